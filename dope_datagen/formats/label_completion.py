"""Labels from files that do not say everything: what is missing is worked out where that is possible."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dope_datagen.dataset.labels import Label
from dope_datagen.formats.silhouette import Silhouettes
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class ReportedOnce:
    """What a file says of an object beside its pose; None where it says nothing.

    Attributes:
        visibility: fraction.
        truncation: fraction.
        bbox: left, top, width, height of the visible pixels [px].
        px_visible, px_all: pixels, of the visible part and of the object alone.
    """

    visibility: float | None = None
    truncation: float | None = None
    bbox: Box | None = None
    px_visible: int | None = None
    px_all: int | None = None


def complete(
    model: ObjectModel, pose: Pose, camera: CameraModel, said: ReportedOnce, seen: np.ndarray | None, alone: Silhouettes
) -> Label:
    """Make a label of what is known.

    A visibility that is unknown becomes 1, a `px_all` that is unknown 0. Without a mask the box is that of the cuboid's
    outline in the frame, and the truncation that of this outline.

    Args:
        model: the object.
        pose: T_camera_object.
        camera: of the image.
        said: what the file says.
        seen: (H, W) bool, the visible pixels; None when there is no mask.
        alone: silhouettes, to turn a number of visible pixels into a fraction.
    """
    keypoints = camera.project(pose.apply(model.keypoints))
    px_visible, px_all, visibility = said.px_visible, said.px_all, said.visibility
    if px_visible is None and seen is not None:
        px_visible = int(seen.sum())
    if visibility is None and px_visible is not None and px_all is None:
        shape = alone.of(model.name, pose, camera)
        px_all = None if shape is None else max(shape.area, px_visible)
    if visibility is None:
        visibility = px_visible / px_all if px_visible is not None and px_all else 1.0
    bbox = said.bbox
    if bbox is None:
        bbox = outline_box(keypoints, camera) if seen is None else cv2.boundingRect(seen.astype(np.uint8))
    truncation = outline_truncation(keypoints, camera) if said.truncation is None else said.truncation
    return Label(
        model.name, model.class_id, pose, keypoints, visibility, truncation, bbox, px_visible or 0, px_all or 0
    )


def outline_box(keypoints: np.ndarray, camera: CameraModel) -> Box:
    """Left, top, width, height [px] of the cuboid's outline in the frame; zeros outside it."""
    frame = np.array([camera.width, camera.height])
    low = np.clip(np.floor(keypoints.min(0) + 0.5), 0, frame).astype(int)
    high = np.clip(np.floor(keypoints.max(0) + 0.5) + 1, 0, frame).astype(int)
    (left, top), (width, height) = low.tolist(), (high - low).tolist()
    return (left, top, width, height) if width > 0 and height > 0 else (0, 0, 0, 0)


def outline_truncation(keypoints: np.ndarray, camera: CameraModel) -> float:
    """Share of the cuboid's outline that lies outside the frame."""
    hull = cv2.convexHull(keypoints.astype(np.float32))
    right, bottom = camera.width - 0.5, camera.height - 0.5
    frame = np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]], np.float32)
    area = cv2.contourArea(hull)
    return float(np.clip(1 - cv2.intersectConvexConvex(hull, frame)[0] / area, 0, 1)) if area > 0 else 0.0
