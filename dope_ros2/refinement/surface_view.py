"""How the surface of an object lies in a window of an image at a pose: which elements are seen, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.image_warp import warp
from dope_ros2.geometry.pose import Pose
from dope_ros2.refinement.appearance import Appearance, Elements

MAX_MAGNIFICATION = 1.8  # of an image; more shows nothing new
NEAR_PLANE = 0.02  # nothing is seen nearer than this [m]
MIN_COSINE = 0.1  # of the angle between an element's normal and the ray to it; flatter ones are not used
CELLS_PER_SPACING = 2.0  # a cell of the depth buffer is so many spacings of the elements wide
MIN_CELL = 2.0  # [px]
OCCLUSION_MARGIN = 0.05  # of the diameter: an element so far behind the nearest one around it is not seen
MAX_SPACING = 1.0  # of the elements that are drawn [px]
LIGHT_CELLS = 16  # on each side of the window: light is fitted to mean colours of cells, so that it does not depend on
# whether drawing and photograph lie on each other
LIGHT_ROUNDS = 3
LIGHT_OFFSET = 40.0  # levels of one unit of the constant part of the light model
LIGHT_PRIOR = np.array([3.0, 3e3, 3e3, 3e3, 3e3])  # weight, for 50 cells, of a plain gain
MIN_LIGHT_ERROR = 60.0  # [levels squared], over three channels, that is taken for noise
MIN_COVERAGE = 0.15  # of a pixel, from which on it belongs to the drawing


class Window(NamedTuple):
    """A square part of an image, scaled.

    Attributes:
        image: (S, S, 3) float32 RGB levels.
        K: (3, 3) its camera matrix.
        inside: (S, S) bool, what lies within the image that it is of.
        A: (2, 3) from pixels of that image to those of the window.
    """

    image: np.ndarray
    K: np.ndarray
    inside: np.ndarray
    A: np.ndarray

    @property
    def side(self) -> int:
        """S [px]."""
        return len(self.image)


def window_around(image: np.ndarray, camera: CameraModel, corners: np.ndarray, side: int, fill: float) -> Window | None:
    """The window in which an object spans a share `fill` of the side; None when it is not in the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        camera: of the image.
        corners: (8, 3) of the object's box in the camera's frame [m].
        side: of the window [px].
        fill: share.
    """
    if corners[:, 2].min() < NEAR_PLANE:
        return None
    pixels = camera.project(corners)
    low, high = pixels.min(0), pixels.max(0)
    if (high < 0).any() or (low > (camera.width - 1, camera.height - 1)).any():
        return None
    scale = min(fill * side / max(float((high - low).max()), 1.0), MAX_MAGNIFICATION)
    A = np.column_stack([scale * np.eye(2), (side - 1) / 2 - scale * (low + high) / 2])
    grid = np.arange(side)
    x, y = ((grid - A[k, 2]) / scale for k in (0, 1))
    inside = ((y >= 0) & (y <= camera.height - 1))[:, None] & ((x >= 0) & (x <= camera.width - 1))[None]
    return Window(warp(image, A, side).astype(np.float32), np.vstack([A, [0, 0, 1]]) @ camera.K, inside, A)


class Drawing(NamedTuple):
    """An object as it should look.

    Attributes:
        image: (S, S, 3) float32 RGB levels; of no meaning beyond the mask.
        mask: (S, S) bool, the pixels that show it.
    """

    image: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True, eq=False)
class SurfaceView:
    """The elements of a surface that are seen in a window.

    Attributes:
        window: what they are seen in.
        pose: T_camera_object.
        elements: all elements of the level of detail that suits the window.
        seen: (N,) indices of those that are seen.
        pixels: (N, 2) where [px]; depths: (N,) [m].
        spacing: of the elements [px].
    """

    window: Window
    pose: Pose
    elements: Elements
    seen: np.ndarray
    pixels: np.ndarray
    depths: np.ndarray
    spacing: float

    @classmethod
    def of(cls, appearance: Appearance, pose: Pose, window: Window) -> SurfaceView:
        """What is seen of an object at a pose."""
        focal, distance = window.K[0, 0], max(float(pose.apply(appearance.box.centre)[2]), NEAR_PLANE)
        elements = appearance.level(MAX_SPACING * distance / focal)
        R, t, K = pose.rotation.astype(np.float32), pose.translation.astype(np.float32), window.K.astype(np.float32)
        to_eye = -R.T @ t - elements.points
        facing = np.einsum("nd,nd->n", elements.normals, to_eye)
        seen = np.flatnonzero(facing > MIN_COSINE * np.sqrt(np.einsum("nd,nd->n", to_eye, to_eye)))
        points = elements.points[seen] @ R.T + t
        depths = points[:, 2]
        homogeneous = points @ K.T
        pixels = homogeneous[:, :2] / np.maximum(depths, NEAR_PLANE)[:, None]
        last = window.side - 1
        within = (depths > NEAR_PLANE) & ((pixels > 0) & (pixels < last)).all(1)
        seen, pixels, depths = seen[within], pixels[within], depths[within]
        spacing = elements.spacing * focal / distance
        shown = unhidden(pixels, depths, window.side, spacing, OCCLUSION_MARGIN * appearance.diameter)
        return cls(window, pose, elements, seen[shown], pixels[shown], depths[shown], spacing)

    def lit(self) -> np.ndarray:
        """The elements' colours (N, 3) in the light of the photograph [levels].

        In each channel the photograph is taken for `colour * (L0 + L . normal) + b`, fitted robustly.
        """
        colors, normals = (
            self.elements.colors[self.seen],
            self.elements.normals[self.seen] @ np.float32(self.pose.rotation.T),
        )
        photograph = sampled(self.window.image, self.pixels)
        size = -(-self.window.side // LIGHT_CELLS)
        columns, rows = (self.pixels / size).astype(int).T
        cells = rows * LIGHT_CELLS + columns
        counts = np.bincount(cells, minlength=LIGHT_CELLS**2)
        used = counts > counts.max() / 4

        def means(values: np.ndarray) -> np.ndarray:
            return np.bincount(cells, values, LIGHT_CELLS**2)[used] / counts[used]

        target = np.stack([means(photograph[:, c]) for c in range(3)])
        basis = np.empty((3, int(used.sum()), 5))
        for c in range(3):
            basis[c, :, 0] = means(colors[:, c])
            for d in range(3):
                basis[c, :, 1 + d] = means(colors[:, c] * normals[:, d])
        basis[:, :, 4] = LIGHT_OFFSET
        lights = _fit_light(basis, target)
        gains = np.maximum(lights[:, :1].T + normals @ np.float32(lights[:, 1:4].T), 0.05)
        return np.float32(colors * gains + LIGHT_OFFSET * lights[:, 4])

    def drawn(self, colors: np.ndarray) -> Drawing:
        """The object in these colours (N, 3) of the elements: each pixel the mean of those around it."""
        side = self.window.side
        corner = self.pixels.astype(int)
        right, down = (self.pixels - corner).T.astype(np.float64)
        sums = np.zeros((side * side, 4), np.float32)
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            weights = (right if dx else 1 - right) * (down if dy else 1 - down)
            places = (corner[:, 1] + dy) * side + corner[:, 0] + dx
            for c in range(3):
                sums[:, c] += np.bincount(places, weights * colors[:, c], side * side)
            sums[:, 3] += np.bincount(places, weights, side * side)
        sums = sums.reshape(side, side, 4)
        covered = (sums[..., 3] > MIN_COVERAGE).astype(np.uint8)
        mask = cv2.morphologyEx(covered, cv2.MORPH_CLOSE, np.ones((3, 3) if self.spacing < 1.5 else (5, 5), np.uint8))
        sigma = float(np.clip(0.4 * self.spacing, 0.4, 2.0))
        sums = cv2.GaussianBlur(sums, (0, 0), sigma)
        return Drawing(sums[..., :3] / np.maximum(sums[..., 3:], 1e-6), mask > 0)


def unhidden(pixels: np.ndarray, depths: np.ndarray, side: int, spacing: float, margin: float) -> np.ndarray:
    """(N,) bool: which points no other point hides; a coarse depth buffer says so.

    Args:
        pixels: (N, 2) in a window [px].
        depths: (N,) [m].
        side: of the window [px].
        spacing: of the points [px].
        margin: that a point may lie behind the nearest one of its cell, or twice that of the cells around [m].
    """
    size = max(MIN_CELL, CELLS_PER_SPACING * spacing)
    count = int(side / size) + 1
    columns, rows = (pixels / size).astype(int).T
    cells = rows * count + columns
    nearest = np.full(count * count, np.inf, np.float32)
    np.minimum.at(nearest, cells, depths)
    around = cv2.erode(nearest.reshape(count, count), np.ones((3, 3))).ravel()
    return depths <= np.minimum(nearest[cells] + margin, around[cells] + 2 * margin)


def sampled(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """An image (S, S) or (S, S, C <= 4), bilinear at pixels (..., 2)."""
    shape = pixels.shape[:-1]
    x, y = (np.float32(pixels[..., k]).reshape(1, -1) for k in (0, 1))
    values = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.reshape(*shape, *image.shape[2:])


def _fit_light(basis: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Light (3, 5) of each channel such that `basis` (3, M, 5) times it is `target` (3, M); outliers count little."""
    plain = np.zeros(5)
    plain[0] = np.median(target.sum(0)) / max(np.median(basis[..., 0].sum(0)), 1.0)
    prior = np.diag(LIGHT_PRIOR) * max(target.shape[1], 1) / 50
    lights = np.tile(plain, (3, 1))
    for _ in range(LIGHT_ROUNDS):
        squared = ((target - np.einsum("cmk,ck->cm", basis, lights)) ** 2).sum(0)
        weights = 1 / (1 + squared / (2 * max(float(np.quantile(squared, 0.4)), MIN_LIGHT_ERROR))) ** 2
        weighted = basis * weights[:, None]
        left = weighted.swapaxes(1, 2) @ basis + prior
        right = (weighted * target[..., None]).sum(1) + prior @ plain
        lights = np.linalg.solve(left, right[..., None])[..., 0]
    return lights
