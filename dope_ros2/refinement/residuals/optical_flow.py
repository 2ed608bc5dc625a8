"""Where the parts of a drawing lie in the photograph: dense optical flow, for poses that are pixels off.

The flow is only known across edges, so each point is weighted with the structure tensor of the drawing. Where the flow
back does not lead home, something hides the object. The flow itself is OpenCV's (Kroeger et al., "Fast Optical Flow
using Dense Inverse Search", ECCV 2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dope_ros2.geometry.pose import Pose
from dope_ros2.refinement.drawing.surface_view import Drawing, SurfaceView, sampled
from dope_ros2.refinement.residuals.normal_equations import NormalEquations, pixel_jacobian, projected, tukey

SURROUNDINGS = 6.0  # standard deviation of what images are normalised by [px]
MIN_DEVIATION = 6.0  # [levels]
CONTRAST, MIDDLE = 40, 128  # of a normalised image as bytes
MAX_RETURN_ERROR = 1.5  # [px] between where a point was and where flow there and back leads
TENSOR_BLUR = 2.0  # [px]
TUKEY_LIMIT = 4.0  # standard deviations
MIN_NOISE = 0.15  # [px]
INDEPENDENT = 0.1  # share of the points: neighbours flow together
NOISE_OF_SLOPE = 0.3  # of normalised brightness: with the tensor, it makes the flow's uncertainty
MIN_POINTS = 40


def brightness_normalised(image: np.ndarray) -> np.ndarray:
    """(S, S) float32: brightness less its surroundings', over its deviation, of an image (S, S, 3) float32."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    away = gray - cv2.GaussianBlur(gray, (0, 0), SURROUNDINGS)
    return away / np.sqrt(cv2.GaussianBlur(away * away, (0, 0), SURROUNDINGS) + MIN_DEVIATION**2)


@dataclass(frozen=True, eq=False)
class FlowResiduals:
    """Points of an object and where the flow leads them.

    Attributes:
        points: (N, 3) in the object's frame [m].
        targets: (N, 2) [px].
        tensors: (N, 2, 2) information on the targets' places [1/px2].
        K: (3, 3) camera matrix of the window.
    """

    points: np.ndarray
    targets: np.ndarray
    tensors: np.ndarray
    K: np.ndarray

    @classmethod
    def of(cls, view: SurfaceView, drawing: Drawing, count: int) -> FlowResiduals | None:
        """Of `count` of the view's elements; None when too few are left."""
        window = view.window
        over = np.where(drawing.mask[..., None], drawing.image, window.image)
        drawn, seen = brightness_normalised(over), brightness_normalised(window.image)
        one, two = (np.uint8(np.clip(i * CONTRAST + MIDDLE, 0, 255)) for i in (drawn, seen))
        dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        there, back = dis.calc(one, two, None), dis.calc(two, one, None)
        inner = cv2.erode(drawing.mask.astype(np.uint8), np.ones((5, 5), np.uint8))
        columns, rows = np.rint(view.pixels).astype(int).T
        chosen = np.flatnonzero(inner[rows, columns])
        if len(chosen) < MIN_POINTS:
            return None
        chosen = chosen[:: max(1, len(chosen) // count)]
        pixels = view.pixels[chosen]
        flow = sampled(there, pixels)
        ends = pixels + flow
        columns, rows = np.rint(ends).astype(int).clip(0, window.side - 1).T
        agrees = np.linalg.norm(flow + sampled(back, ends), axis=1) < MAX_RETURN_ERROR
        good = agrees & window.inside[rows, columns]
        if good.sum() < MIN_POINTS:
            return None
        x, y = (cv2.Scharr(drawn, cv2.CV_32F, *d, scale=1 / 32) for d in ((1, 0), (0, 1)))
        products = cv2.GaussianBlur(np.dstack([x * x, x * y, y * y]), (0, 0), TENSOR_BLUR)
        tensors = sampled(products, pixels[good])[:, [0, 1, 1, 2]].reshape(-1, 2, 2).astype(float)
        points = view.elements.points[view.seen[chosen[good]]].astype(float)
        return cls(points, ends[good].astype(float), tensors * (INDEPENDENT / NOISE_OF_SLOPE**2), window.K)

    def at(self, pose: Pose) -> NormalEquations:
        """See `Residuals`."""
        errors = self.targets - projected(self.points, pose, self.K)
        lengths = np.linalg.norm(errors, axis=1)
        weights = tukey(lengths, TUKEY_LIMIT * (1.4826 * float(np.median(lengths)) + MIN_NOISE))
        rows = pixel_jacobian(self.points, pose, self.K)
        weighted = (self.tensors * weights[:, None, None]) @ rows
        information = np.tensordot(rows, weighted, ((0, 1), (0, 1)))
        return NormalEquations(information, np.tensordot(weighted, errors, ((0, 1), (0, 1))))
