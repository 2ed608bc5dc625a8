"""Makes a surface ready: few triangles and one texture."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from dope_datagen.mesh_preparation.bake import bake
from dope_datagen.mesh_preparation.simplify import decimate, tidy
from dope_datagen.mesh_preparation.surface import Surface

PLAIN = 8  # [px] edge of the texture of a surface of one colour
TRIANGLES, TEXTURE_SIZE = 15_000, 2048  # at most, unless asked otherwise


def prepare(surface: Surface, triangles: int = TRIANGLES, texture_size: int = TEXTURE_SIZE) -> Surface:
    """Bring a surface to at most so many triangles and one texture of at most so many pixels a side."""
    fits = len(surface.triangles) <= triangles
    if fits and len(surface.images) == 1 and (surface.image_of == 0).all():
        return replace(surface, images=(resized(surface.images[0], texture_size),))
    thinned = (
        tidy(surface.positions, surface.triangles)
        if fits
        else decimate(surface.positions, surface.triangles, triangles)
    )
    if surface.plain:
        return plain(surface, *thinned)
    return bake(surface, *thinned, texture_size)


def resized(image: np.ndarray, largest: int) -> np.ndarray:
    """An image whose longer side has at most `largest` pixels."""
    scale = largest / max(image.shape[:2])
    if scale >= 1:
        return image
    shape = [max(1, round(n * scale)) for n in image.shape[1::-1]]
    return cv2.resize(image, shape, interpolation=cv2.INTER_AREA)


def plain(surface: Surface, positions: np.ndarray, triangles: np.ndarray) -> Surface:
    """A mesh with a small texture of the surface's one colour."""
    color = np.uint8(np.round(surface.corner_colors.reshape(-1, 3).mean(0)))
    count = len(triangles)
    return Surface(
        positions,
        triangles,
        np.full((count, 3, 2), 0.5),
        np.zeros(count, int),
        (np.tile(color, (PLAIN, PLAIN, 1)),),
        np.tile(np.float32(color), (count, 3, 1)),
    )
