"""The print of an object in a photograph: drawn and seen colours should be alike, whatever the light.

Both are normalised by the mean and deviation of their surroundings within the object. What is compared are brightness
and two differences of colours. Gauss-Newton with the mean of both gradients converges quadratically (Benhimane and
Malis, "Real-time image-based tracking of planes using efficient second-order minimization", IROS 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dope_ros2.geometry.pose import Pose
from dope_ros2.refinement.normal_equations import NormalEquations, pixel_jacobian, projected, tukey
from dope_ros2.refinement.surface_view import Drawing, SurfaceView, sampled

OPPONENT = np.float32([[0.299, 0.587, 0.114], [1, -1, 0], [0.5, 0.5, -1]])  # brightness, red-green, yellow-blue
SURROUNDINGS = 0.13  # of the window's side: how wide they are
MIN_DEVIATION = 6.0  # [levels] that is taken for noise
MIN_POINTS = 40
RIM = 5  # [px] wide brush: what is so near to the outline is left to the outline
TUKEY_LIMIT = 4.0  # standard deviations
MIN_NOISE = 0.05  # of normalised colours
MEDIAN_OF_CHI3 = 1.5  # median length of a three-dimensional normal error, in standard deviations


def normalised(image: np.ndarray, mask: np.ndarray, share: np.ndarray, width: int) -> np.ndarray:
    """Colours (S, S, 3) less the mean of their surroundings in a mask (S, S) float, over their deviation.

    Args:
        image: (S, S, 3) float32.
        mask: 1 where the image counts, else 0.
        share: (S, S) how much of the surroundings of each pixel counts.
        width: of the surroundings [px].
    """
    size, weight = (width, width), np.maximum(share, 1e-3)[..., None]
    away = image - cv2.blur(image * mask[..., None], size) / weight
    variance = cv2.blur(away * away * mask[..., None], size) / weight
    return away / np.sqrt(variance + MIN_DEVIATION**2)


def gradients(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Along x and along y, of an image (S, S, C) [1/px]."""
    return cv2.Scharr(image, cv2.CV_32F, 1, 0, scale=1 / 32), cv2.Scharr(image, cv2.CV_32F, 0, 1, scale=1 / 32)


@dataclass(frozen=True, eq=False)
class PhotometricResiduals:
    """Elements of a surface with the colours that they should have, and the photograph.

    Attributes:
        points: (N, 3) in the object's frame [m].
        expected: (N, 3) normalised colours.
        slopes: (N, 3, 2) of colours in the image, the mean of drawing and photograph [1/px].
        photograph: (S, S, 3) normalised.
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
        cls, view: SurfaceView, drawing: Drawing, blur: float, count: int, independent: float
    ) -> PhotometricResiduals | None:
        """Of the view's `count` most telling elements; None when there are too few.

        Args:
            view: of the surface.
            drawing: of it.
            blur: of both images before they are compared [px].
            count: of elements.
            independent: see there.
        """
        window, mask = view.window, drawing.mask
        inner = cv2.erode((mask & window.inside).astype(np.uint8), np.ones((RIM, RIM), np.uint8))
        columns, rows = np.rint(view.pixels).astype(int).T
        usable = np.flatnonzero(inner[rows, columns])
        if len(usable) < MIN_POINTS:
            return None
        width = int(SURROUNDINGS * window.side) | 1
        weight = (mask & window.inside).astype(np.float32)
        share = cv2.blur(weight, (width, width))
        within = mask.astype(np.float32)
        blurred = cv2.GaussianBlur(drawing.image * within[..., None], (0, 0), blur)
        blurred /= np.maximum(cv2.GaussianBlur(within, (0, 0), blur), 1e-3)[..., None]
        seen = cv2.GaussianBlur(window.image, (0, 0), float(np.hypot(blur, 0.35 * view.spacing)))
        drawn, photograph = (normalised(cv2.transform(i, OPPONENT), weight, share, width) for i in (blurred, seen))
        (dx, dy), (px, py) = gradients(drawn), gradients(photograph)
        if len(usable) > count:
            strength = (dx * dx + dy * dy).sum(2)[rows[usable], columns[usable]]
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
        lengths = np.sqrt((errors * errors).sum(1))
        noise = float(np.median(lengths)) / MEDIAN_OF_CHI3 + MIN_NOISE
        weights = tukey(lengths, TUKEY_LIMIT * noise) * inside * (self.independent / noise**2)
        rows = (self.slopes @ pixel_jacobian(self.points, pose, self.K)).reshape(-1, 6)
        weighted = rows * np.repeat(weights, 3)[:, None]
        return NormalEquations(weighted.T @ rows, weighted.T @ errors.ravel())
