"""Is a BOP scene in millimetres and an OpenCV camera, as it should be? Its boxes (`bbox_obj`) tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from dope_datagen.formats.conventions import CAMERAS, UNIT_NAMES
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.bop import MM
from dope_ros2.objects.object_model import UNITS, ObjectModel

MIN_BOX_IOU = 0.3  # overlap (IoU) of an object's box with that of its cuboid; a ball has 0.4 in the worst of views


@dataclass(frozen=True, eq=False)
class Boxed:
    """An object: its pose read as millimetres and OpenCV, and its `bbox_obj` as it is in the file, None without."""

    pose: Pose
    model: ObjectModel
    camera: CameraModel
    box: np.ndarray | None


@dataclass(frozen=True)
class BopConvention:
    """A way to read poses: `unit` m, cm or mm, `camera` OpenCV or OpenGL; whether boxes were there to check it."""

    unit: str
    camera: str
    checked: bool

    def pose(self, pose: Pose) -> Pose:
        """`T_camera_object` of a pose that was read as millimetres and OpenCV."""
        there = Pose(pose.rotation, pose.translation * UNITS[self.unit] / MM)
        return Pose(CAMERAS[self.camera], np.zeros(3)) @ there

    def __str__(self) -> str:
        text = f"{UNIT_NAMES[self.unit]}, {self.camera} camera"
        return f"{text}; bbox_obj agrees" if self.checked else f"{text}, as BOP says; no bbox_obj to check it"


BOP_CONVENTIONS = [BopConvention(unit, camera, True) for unit, camera in product(("mm", "cm", "m"), CAMERAS)]


def cuboid_box(keypoints: np.ndarray) -> list[int]:
    """Left, top, width, height [px] of projected keypoints (9, 2), in the frame or not."""
    low, high = np.floor(keypoints.min(0) + 0.5).astype(int), np.floor(keypoints.max(0) + 0.5).astype(int)
    return [*low.tolist(), *(high - low + 1).tolist()]


def decide(pictures: Sequence[Sequence[Boxed]], wheres: Sequence[str]) -> tuple[BopConvention, list[int], list[str]]:
    """Choose one reading for all images.

    Args:
        pictures: the objects of each.
        wheres: the file and image of each, for messages.

    Returns:
        The reading, the indices of the images that fit it, and a line for each other.
    """
    overlaps = [np.array([_overlaps(boxed) for boxed in boxes]).reshape(-1, len(BOP_CONVENTIONS)) for boxes in pictures]
    every = np.vstack([*overlaps, np.zeros((0, len(BOP_CONVENTIONS)))])
    told = ~np.isnan(every).any(1)
    best = int((every[told] >= MIN_BOX_IOU).sum(0).argmax()) if told.any() else 0
    reading = BopConvention(BOP_CONVENTIONS[best].unit, BOP_CONVENTIONS[best].camera, bool(told.any()))
    kept, refused = [], []
    for k, (boxes, overlap) in enumerate(zip(pictures, overlaps, strict=True)):
        behind = [b for b in boxes if _keypoints(b, reading) is None]
        off = [b for b, o in zip(boxes, overlap[:, best], strict=True) if o < MIN_BOX_IOU]
        if behind:
            refused.append(f"{wheres[k]}: {behind[0].model.name} has a corner behind the camera")
        elif off:
            refused.append(f"{wheres[k]}: bbox_obj of {off[0].model.name} is not where its pose puts it ({reading})")
        else:
            kept.append(k)
    return reading, kept, refused


def _keypoints(boxed: Boxed, reading: BopConvention) -> np.ndarray | None:
    points = reading.pose(boxed.pose).apply(boxed.model.keypoints)
    return boxed.camera.project(points) if (points[:, 2] > 0).all() else None


def _overlaps(boxed: Boxed) -> list[float]:
    """Overlap of the box with the cuboid's under each of `BOP_CONVENTIONS`; NaN without a box."""
    box = boxed.box
    if box is None or min(box[2:]) <= 0:
        return [np.nan] * len(BOP_CONVENTIONS)
    points = [_keypoints(boxed, reading) for reading in BOP_CONVENTIONS]
    return [0.0 if p is None else _iou(box, cuboid_box(p)) for p in points]


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)
