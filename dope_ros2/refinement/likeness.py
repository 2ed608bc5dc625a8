"""How much a photograph looks like the drawing of an object: the evidence that a pose is right."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from dope_ros2.geometry.pose import Pose
from dope_ros2.refinement.drawing.silhouette import OutlineMesh
from dope_ros2.refinement.drawing.surface_view import Drawing, Window, sampled
from dope_ros2.refinement.residuals.region_outline import log_ratios, outer

BOX = 15  # [px] side of the boxes in which colours are correlated
NOISE = 9.0  # variance [levels2] that is taken for noise
REACH = 4  # [px] of the lines across the outline


class Likeness(NamedTuple):
    """How much a photograph looks like a drawing.

    Attributes:
        print: mean correlation of brightness in small boxes, weighted by the drawing's contrast, from -1 to 1.
        outline: how differently both sides of the outline are coloured, from -1 (wrong way round) to 1.
        contrast: mean deviation of the drawing in the boxes [levels]: how much the first says.
        within: share of the object that lies within the image.
    """

    print: float
    outline: float
    contrast: float
    within: float

    @classmethod
    def of(cls, window: Window, drawing: Drawing, pose: Pose, outline: OutlineMesh) -> Likeness:
        """Of a photograph and a drawing at a pose T_camera_object."""
        within = float((drawing.mask & window.inside).sum() / max(drawing.mask.sum(), 1))
        correlation, deviation = correlate(window, drawing)
        weight = float(deviation.sum())
        pixels = max(int((drawing.mask & window.inside).sum()), 1)
        alike = float((correlation * deviation).sum()) / max(weight, 1e-6)
        return cls(alike, outline_contrast(window, drawing, pose, outline), weight / pixels, within)


def correlate(window: Window, drawing: Drawing) -> tuple[np.ndarray, np.ndarray]:
    """(S, S) correlations of brightness around each pixel, and the drawing's deviation there, 0 beyond the object."""
    mask = (drawing.mask & window.inside).astype(np.float32)
    drawn, seen = (cv2.cvtColor(np.float32(i), cv2.COLOR_RGB2GRAY) for i in (drawing.image, window.image))
    stack = np.dstack([drawn, seen, drawn * drawn, seen * seen]) * mask[..., None]
    share = np.maximum(cv2.blur(mask, (BOX, BOX)), 1e-6)
    a, b, aa, bb = np.moveaxis(cv2.blur(stack, (BOX, BOX)) / share[..., None], 2, 0)
    ab = cv2.blur(drawn * seen * mask, (BOX, BOX)) / share
    one, two = np.maximum(aa - a * a, 0), np.maximum(bb - b * b, 0)
    return (ab - a * b) / np.sqrt((one + NOISE) * (two + NOISE)), np.sqrt(one) * mask


def outline_contrast(window: Window, drawing: Drawing, pose: Pose, outline: OutlineMesh) -> float:
    """See `Likeness.outline`; zero where there is no outline to be seen."""
    contour = outline.contour(pose, window.K)
    contour = None if contour is None else outer(contour, drawing.mask, window.inside)
    ratios = None if contour is None else log_ratios(window, drawing.mask, REACH)
    if ratios is None:
        return 0.0
    steps = np.concatenate([-np.arange(1.0, REACH + 1), np.arange(1.0, REACH + 1)])
    along = sampled(ratios, contour.pixels[:, None] + contour.normals[:, None] * steps[:, None])
    return float(np.tanh(along[:, :REACH].mean(1) - along[:, REACH:].mean(1)).mean())
