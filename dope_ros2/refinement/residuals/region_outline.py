"""The outline of an object in a photograph, by colour statistics inside against outside.

Along lines across the drawn outline each pixel is more or less probably the object's or the background's; where one
changes into the other, the outline is (Tjaden et al., "A Region-Based Gauss-Newton Approach to Real-Time Monocular
Multiple Object Tracking", TPAMI 2019; Stoiber et al., "SRT3D", IJCV 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import correlate1d

from dope_ros2.geometry.pose import Pose
from dope_ros2.refinement.drawing.silhouette import MIN_LINES, Contour, OutlineMesh
from dope_ros2.refinement.drawing.surface_view import Drawing, Window, sampled
from dope_ros2.refinement.residuals.normal_equations import NormalEquations, pixel_jacobian, projected, tukey

BINS = 16  # of each channel's histogram
UNSEEN = 0.1  # share of colours that the statistics have not seen
MAX_RATIO = 3.0  # logarithm; no pixel says more
INDEPENDENT_PIXELS = 0.5  # share of the pixels of a line: neighbours say the same
CLEAR = 2.0  # [px] from the outline to where inside and outside are sure to be
MIN_CORE, MIN_BAND = 10, 30  # pixels that statistics need
MIN_VARIANCE = 0.25  # of where a line has the outline [px2]
INDEPENDENT_LINES = 1 / 3  # share of the lines


@dataclass(frozen=True, eq=False)
class OutlineResiduals:
    """Points of an outline and how far from them the photograph has it.

    Attributes:
        contour: where it was drawn.
        offsets: (N,) along the normals [px].
        variances: (N,) [px2].
        K: (3, 3) camera matrix of the window.
        limit: from which on an offset is taken for that of something else [px].
    """

    contour: Contour
    offsets: np.ndarray
    variances: np.ndarray
    K: np.ndarray
    limit: float

    @classmethod
    def of(
        cls, outline: OutlineMesh, pose: Pose, window: Window, drawing: Drawing, reach: int, limit: float
    ) -> OutlineResiduals | None:
        """Of an object drawn at a pose; None where its outline says too little.

        Args:
            outline: the object's.
            pose: T_camera_object.
            window: what it is seen in.
            drawing: of it.
            reach: how far lines go to both sides [px].
            limit: see there.
        """
        contour = outline.contour(pose, window.K)
        contour = None if contour is None else outer(contour, drawing.mask, window.inside)
        ratios = None if contour is None else log_ratios(window, drawing.mask, reach)
        if ratios is None:
            return None
        steps = np.arange(-reach, reach + 1.0)
        along = sampled(ratios, contour.pixels[:, None] + contour.normals[:, None] * steps[:, None])
        inside = np.cumsum(along, axis=1) - along / 2  # the outline at a step: all before it is the object's
        probable = np.exp(INDEPENDENT_PIXELS * (inside - inside.max(1, keepdims=True)))
        probable /= probable.sum(1, keepdims=True)
        offsets = probable @ steps
        variances = (probable * (steps - offsets[:, None]) ** 2).sum(1)
        return cls(contour, offsets, variances + MIN_VARIANCE, window.K, limit)

    def at(self, pose: Pose) -> NormalEquations:
        """See `Residuals`."""
        points, pixels, normals = self.contour
        moved = ((projected(points, pose, self.K) - pixels) * normals).sum(1)
        errors = self.offsets - moved
        weights = tukey(errors, self.limit) / self.variances * INDEPENDENT_LINES
        rows = np.einsum("nd,ndk->nk", normals, pixel_jacobian(points, pose, self.K))
        weighted = rows * weights[:, None]
        return NormalEquations(weighted.T @ rows, weighted.T @ errors)


def outer(contour: Contour, mask: np.ndarray, inside: np.ndarray) -> Contour | None:
    """The part of an outline with the object (mask) on one side and the image, but not the object, on the other."""
    last = len(mask) - 1
    out, within = (np.rint(contour.pixels + side * CLEAR * contour.normals).astype(int) for side in (1, -1))
    there = ((out > 0) & (out < last) & (within > 0) & (within < last)).all(1)
    (x, y), (u, v) = out.clip(0, last).T, within.clip(0, last).T
    contour = contour.where(there & ~mask[y, x] & mask[v, u] & inside[y, x])
    return contour if len(contour.points) >= MIN_LINES else None


def log_ratios(window: Window, mask: np.ndarray, reach: int) -> np.ndarray | None:
    """(S, S) float32: logarithm of how much more probable each pixel's colour is on the object than around it."""
    drawn, wide = mask.astype(np.uint8), 2 * reach + 1
    core = cv2.erode(drawn, square(2 * max(1, reach // 4) + 1)).astype(bool) & window.inside
    near = cv2.dilate(drawn, square(reach | 1)).astype(bool)
    band = cv2.dilate(drawn, square(2 * wide + 7)).astype(bool) & ~near & window.inside
    core = core if core.sum() >= MIN_BAND else mask & window.inside
    if core.sum() < MIN_CORE or band.sum() < MIN_BAND:
        return None
    levels = np.clip(window.image * (BINS / 256), 0, BINS - 1).astype(int)
    bins = (levels[..., 0] * BINS + levels[..., 1]) * BINS + levels[..., 2]
    ratio = np.log(frequencies(bins[core])) - np.log(frequencies(bins[band]))
    return np.float32(np.clip(ratio, -MAX_RATIO, MAX_RATIO))[bins]


def square(side: int) -> np.ndarray:
    """A brush."""
    return np.ones((side, side), np.uint8)


def frequencies(bins: np.ndarray) -> np.ndarray:
    """Smoothed frequencies (BINS**3,) of colours (N,), none of them zero."""
    histogram = np.bincount(bins, minlength=BINS**3).reshape(BINS, BINS, BINS).astype(float)
    for axis in range(3):
        histogram = correlate1d(histogram, [0.25, 0.5, 0.25], axis, mode="constant")
    return histogram.ravel() * ((1 - UNSEEN) / histogram.sum()) + UNSEEN / BINS**3
