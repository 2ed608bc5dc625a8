"""How the surface of an object lies in a window of an image at a pose: which elements are seen, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.image_warp import warp
from dope_ros2.geometry.pose import Pose
from dope_ros2.refinement.drawing import kernels
from dope_ros2.refinement.drawing.appearance import Appearance, Elements

MAX_MAGNIFICATION = 1.8  # of an image; more shows nothing new
NEAR_PLANE = 0.02  # nothing is seen nearer than this [m]
MIN_COSINE = 0.1  # of the angle between an element's normal and the ray to it; flatter ones are not used
CELLS_PER_SPACING = 2.0  # a cell of the depth buffer is so many spacings of the elements wide
MIN_CELL = 2.0  # [px]
OCCLUSION_MARGIN = 0.04  # of the diameter: an element so far behind the nearest one around it is not seen
MAX_SPACING = 1.0  # of the elements that are drawn [px]
LIGHT_CELLS = 16  # on each side of the window: light is fitted to mean colours of cells, so that it does not depend on
# whether drawing and photograph lie on each other
LIGHT_ROUNDS = 3
MIN_GAIN = 0.05  # nothing is darker
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
        place = np.ascontiguousarray(pose.rotation), np.ascontiguousarray(pose.translation), window.K
        see = kernels.fastest(kernels.seen, facing)
        seen, pixels, depths = see(elements.points, elements.normals, *place, window.side, MIN_COSINE, NEAR_PLANE)
        spacing = elements.spacing * focal / distance
        to_eye = -(pose.rotation.T @ pose.translation) - elements.points[seen]
        along = np.einsum("nd,nd->n", elements.normals[seen], to_eye)
        slopes = np.sqrt(np.maximum(np.einsum("nd,nd->n", to_eye, to_eye) / along**2 - 1, 0)) * depths / focal
        shown = unhidden(pixels, depths, slopes, window.side, spacing, OCCLUSION_MARGIN * appearance.diameter)
        return cls(window, pose, elements, seen[shown], pixels[shown], depths[shown], spacing)

    def lit(self) -> np.ndarray:
        """The elements' colours (N, 3) in the light of the photograph [levels].

        In each channel the photograph is taken for `colour * (L0 + L . normal) + b`, fitted robustly.
        """
        colors = self.elements.colors[self.seen]
        normals = self.elements.normals[self.seen] @ self.pose.rotation.T
        photograph = sampled(self.window.image, self.pixels)
        size = -(-self.window.side // LIGHT_CELLS)
        columns, rows = (self.pixels / size).astype(int).T
        add = kernels.fastest(kernels.light_sums, sum_light)
        counts, targets, bases = add(rows * LIGHT_CELLS + columns, colors, normals, photograph, LIGHT_CELLS**2)
        used = counts > counts.max(initial=0) / 4
        target = targets[:, used] / counts[used]
        basis = np.empty((3, int(used.sum()), 5))
        basis[..., :4], basis[..., 4] = bases[:, used] / counts[used, None], LIGHT_OFFSET
        lights = _fit_light(basis, target)
        gains = np.maximum(lights[:, 0] + normals @ lights[:, 1:4].T, MIN_GAIN)
        return colors * gains + LIGHT_OFFSET * lights[:, 4]

    def drawn(self, colors: np.ndarray) -> Drawing:
        """The object in these colours (N, 3) of the elements: each pixel the mean of those around it."""
        side = self.window.side
        add = kernels.fastest(kernels.splatted, splat)
        sums = np.float32(add(self.pixels, colors, side))
        covered = (sums[..., 3] > MIN_COVERAGE).astype(np.uint8)
        mask = cv2.morphologyEx(covered, cv2.MORPH_CLOSE, np.ones((3, 3) if self.spacing < 1.5 else (5, 5), np.uint8))
        sigma = float(np.clip(0.4 * self.spacing, 0.4, 2.0))
        sums = cv2.GaussianBlur(sums, (0, 0), sigma)
        return Drawing(sums[..., :3] / np.maximum(sums[..., 3:], 1e-6), mask > 0)


def facing(
    points: np.ndarray,
    normals: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    K: np.ndarray,
    side: int,
    min_cosine: float,
    near: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which elements face the camera and project into a window: indices, pixels (N, 2), depths (N,) [m].

    Args:
        points: (M, 3) in the object's frame [m].
        normals: (M, 3) their unit normals.
        rotation: (3, 3) of T_camera_object.
        translation: (3,) of it [m].
        K: (3, 3) camera matrix.
        side: of the window [px].
        min_cosine: of the angle between a normal and the ray to the camera.
        near: smallest depth [m].
    """
    to_eye = -rotation.T @ translation - points
    along = np.einsum("nd,nd->n", normals, to_eye)
    steep = along**2 > min_cosine**2 * np.einsum("nd,nd->n", to_eye, to_eye)
    indices = np.flatnonzero((along > 0) & steep)
    placed = points[indices] @ rotation.T + translation
    indices, placed = indices[placed[:, 2] > near], placed[placed[:, 2] > near]
    pixels = (placed / placed[:, 2:]) @ K[:2].T
    inside = ((pixels > 0) & (pixels < side - 1)).all(1)
    return indices[inside], pixels[inside], placed[inside, 2]


def smallest_depths(pixels: np.ndarray, depths: np.ndarray, size: float, count: int) -> np.ndarray:
    """(count, count) float32: of the points (N, 2) in each cell of `size` px the smallest depth, infinite without."""
    columns, rows = (pixels / size).astype(int).T
    nearest = np.full((count, count), np.inf, np.float32)
    np.minimum.at(nearest, (rows, columns), np.float32(depths))
    return nearest


def splat(pixels: np.ndarray, colors: np.ndarray, side: int) -> np.ndarray:
    """(side, side, 4): colours (N, 3) and ones, added up with bilinear weights on the four pixels around each point."""
    corner = pixels.astype(int)
    right, down = (pixels - corner).T
    sums = np.zeros((4, side * side))
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weights = (right if dx else 1 - right) * (down if dy else 1 - down)
        places = (corner[:, 1] + dy) * side + corner[:, 0] + dx
        for c in range(3):
            sums[c] += np.bincount(places, weights * colors[:, c], side * side)
        sums[3] += np.bincount(places, weights, side * side)
    return sums.T.reshape(side, side, 4)


def sum_light(
    cells: np.ndarray, colors: np.ndarray, normals: np.ndarray, photograph: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What light is fitted to, added up by cell.

    Returns:
        How many elements (count,), sums of seen colours (3, count), and sums of drawn ones, alone and times each part
        of the normal, (3, count, 4).
    """
    parts = np.column_stack([np.ones(len(cells)), normals])
    targets = np.stack([np.bincount(cells, photograph[:, c], count) for c in range(3)])
    bases = [[np.bincount(cells, colors[:, c] * parts[:, k], count) for k in range(4)] for c in range(3)]
    return np.bincount(cells, minlength=count), targets, np.array(bases).swapaxes(1, 2)


def unhidden(
    pixels: np.ndarray, depths: np.ndarray, slopes: np.ndarray, side: int, spacing: float, margin: float
) -> np.ndarray:
    """(N,) bool: which points no other point hides; a coarse depth buffer says so.

    Args:
        pixels: (N, 2) in a window [px].
        depths: (N,) [m].
        slopes: (N,) how the depth of their surface grows with a pixel [m/px].
        side: of the window [px].
        spacing: of the points [px].
        margin: that a point may lie behind the nearest one of its cell, besides what its slope makes, or twice as far
            behind that of the cells around [m].
    """
    size = max(MIN_CELL, CELLS_PER_SPACING * spacing)
    count = int(side / size) + 1
    find = kernels.fastest(kernels.nearest_of_cells, smallest_depths)
    nearest = find(pixels, depths, size, count)
    columns, rows = (pixels / size).astype(int).T
    cells = rows * count + columns
    around = cv2.erode(nearest, np.ones((3, 3))).ravel()
    margins = margin + size * slopes
    return depths <= np.minimum(nearest.ravel()[cells] + margins, around[cells] + 2 * margins)


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
