"""Several samples a pixel, but only where an image has edges; in software that is four times as fast as everywhere."""

from __future__ import annotations

import cv2
import moderngl
import numpy as np

from dope_datagen.renderers.raster import shaders

# Where a pixel is sampled beside its centre [px]: their mean is the centre, so nothing moves.
SHIFTS = [(0.38 * np.cos(turn), 0.38 * np.sin(turn)) for turn in np.deg2rad([75, 195, 315])]
CREASE = 0.05  # bend of 1 / z over its slope


def find(numbers: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Pixels (H, W) bool next to another body's, by `numbers` (H, W), or on a crease, by depth `z` (H, W) [m].

    The inverse of depth is linear in the image wherever a surface is flat.
    """
    outline = cv2.morphologyEx(numbers, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    inverse = 1 / np.maximum(z, 1e-3)
    slope = np.abs(cv2.Sobel(inverse, cv2.CV_32F, 1, 0)) + np.abs(cv2.Sobel(inverse, cv2.CV_32F, 0, 1))
    bend = np.abs(cv2.Laplacian(inverse, cv2.CV_32F, ksize=1))
    return outline | ((bend > CREASE * slope) & (bend > 1e-5 * inverse))


class EdgeMask:
    """Covers all pixels but some, so that nothing is drawn there."""

    def __init__(self, ctx: moderngl.Context) -> None:
        self._ctx = ctx
        self._program = ctx.program(shaders.SHIELD_VERTEX, shaders.SHIELD_FRAGMENT)
        corners = ctx.buffer(np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], "f4").tobytes())
        self._screen = ctx.vertex_array(self._program, [(corners, "2f", "in_corner")])
        self._open = ctx.texture((1, 1), 1)

    def draw(self, leave_open: np.ndarray) -> None:
        """Cover the framebuffer in use but for pixels (H, W) bool."""
        size = leave_open.shape[::-1]
        if self._open.size != size:
            self._open.release()
            self._open = self._ctx.texture(size, 1, alignment=1)
        self._open.write(np.uint8(255 * leave_open).tobytes(), alignment=1)
        self._open.use(0)
        self._screen.render(moderngl.TRIANGLE_STRIP)
