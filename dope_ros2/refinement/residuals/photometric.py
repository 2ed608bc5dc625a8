"""The print of an object in a photograph: drawn and seen brightness should be alike, whatever the light.

Both are normalised by the mean and deviation of their surroundings within the object. Gauss-Newton with the mean of
both gradients converges quadratically (Benhimane and Malis, "Real-time image-based tracking of planes using efficient
second-order minimization", IROS 2004). Colours besides brightness were tried and gained nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dope_ros2.geometry.pose import Pose
from dope_ros2.refinement.drawing.surface_view import Drawing, SurfaceView, sampled
from dope_ros2.refinement.residuals.normal_equations import NormalEquations, pixel_jacobian, projected, tukey

MIN_DEVIATION = 6.0  # [levels] that is taken for noise
MIN_POINTS = 40
RIM = 5  # [px] wide brush: what is so near to the outline is left to the outline
TUKEY_LIMIT = 4.0  # standard deviations
MIN_NOISE = 0.05  # of normalised brightness
MEDIAN_OF_NORMAL = 0.6745  # median size of a normal error, in standard deviations


def normalised(image: np.ndarray, mask: np.ndarray, share: np.ndarray, width: int) -> np.ndarray:
    """Brightness (S, S) less the mean of its surroundings in a mask (S, S) float, over its deviation.

    Args:
        image: (S, S) float32.
        mask: 1 where the image counts, else 0.
        share: (S, S) how much of the surroundings of each pixel counts.
        width: of the surroundings [px].
    """
    size, weight = (width, width), np.maximum(share, 1e-3)
    away = image - cv2.blur(image * mask, size) / weight
    variance = cv2.blur(away * away * mask, size) / weight
    return away / np.sqrt(variance + MIN_DEVIATION**2)


def gradients(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Along x and along y, of an image (S, S) [1/px]."""
    return cv2.Scharr(image, cv2.CV_32F, 1, 0, scale=1 / 32), cv2.Scharr(image, cv2.CV_32F, 0, 1, scale=1 / 32)


@dataclass(frozen=True, eq=False)
class PhotometricResiduals:
    """Elements of a surface with the brightness that they should have, and the photograph.

    Attributes:
        points: (N, 3) in the object's frame [m].
        expected: (N,) normalised brightness.
        slopes: (N, 2) of brightness in the image, the mean of drawing and photograph [1/px].
        photograph: (S, S) normalised.
        K: (3, 3) camera matrix of the window.
        independent: share of the elements that speak for themselves; neighbours err together.
    """

    points: np.ndarray
    expected: np.ndarray
    slopes: np.ndarray
    photograph: np.ndarray
    K: np.ndarray
    independent: float

    @classmethod
    def of(
        cls, view: SurfaceView, drawing: Drawing, blur: float, width: int, count: int, independent: float
    ) -> PhotometricResiduals | None:
        """Of the view's `count` most telling elements; None when there are too few.

        Args:
            view: of the surface.
            drawing: of it.
            blur: of both images before they are compared [px].
            width: of the surroundings, odd [px].
            count: of elements.
            independent: see there.
        """
        window, mask = view.window, drawing.mask
        inner = cv2.erode((mask & window.inside).astype(np.uint8), np.ones((RIM, RIM), np.uint8))
        columns, rows = np.rint(view.pixels).astype(int).T
        usable = np.flatnonzero(inner[rows, columns])
        if len(usable) < MIN_POINTS:
            return None
        weight = (mask & window.inside).astype(np.float32)
        share = cv2.blur(weight, (width, width))
        within = mask.astype(np.float32)
        drawn, seen = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (drawing.image, window.image))
        drawn = cv2.GaussianBlur(drawn * within, (0, 0), blur)
        drawn /= np.maximum(cv2.GaussianBlur(within, (0, 0), blur), 1e-3)
        seen = cv2.GaussianBlur(seen, (0, 0), float(np.hypot(blur, 0.35 * view.spacing)))
        drawn, photograph = (normalised(image, weight, share, width) for image in (drawn, seen))
        (dx, dy), (px, py) = gradients(drawn), gradients(photograph)
        if len(usable) > count:
            strength = (dx * dx + dy * dy)[rows[usable], columns[usable]]
            usable = usable[np.argpartition(-strength, min(2 * count, len(usable) - 1))[: 2 * count]]
            usable = np.sort(usable)[:: max(1, len(usable) // count)]
        pixels = view.pixels[usable]
        slopes = np.stack([sampled((dx + px) / 2, pixels), sampled((dy + py) / 2, pixels)], axis=-1)
        points = view.elements.points[view.seen[usable]].astype(float)
        return cls(points, sampled(drawn, pixels), slopes, photograph, window.K, independent)

    def at(self, pose: Pose) -> NormalEquations:
        """See `Residuals`."""
        pixels = projected(self.points, pose, self.K)
        side = len(self.photograph)
        inside = ((pixels > 1) & (pixels < side - 2)).all(1)
        errors = self.expected - sampled(self.photograph, np.clip(pixels, 0, side - 1))
        noise = float(np.median(np.abs(errors))) / MEDIAN_OF_NORMAL + MIN_NOISE
        weights = tukey(errors, TUKEY_LIMIT * noise) * inside * (self.independent / noise**2)
        rows = np.einsum("nd,ndk->nk", self.slopes, pixel_jacobian(self.points, pose, self.K))
        weighted = rows * weights[:, None]
        return NormalEquations(weighted.T @ rows, weighted.T @ errors)
