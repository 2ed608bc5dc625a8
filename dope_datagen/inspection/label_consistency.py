"""Whether a label's corners are the projection of its pose, and if not, which known convention they would fit."""

from __future__ import annotations

import numpy as np

from dope_datagen.dataset.labels import Label
from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel

ROUNDED = 1e-6  # [m], of a stored location
FITS = 1.0  # [px]; another convention is named when its corners are this close
OPENGL = Pose(np.diag([1.0, -1.0, -1.0]), np.zeros(3))  # T_optical_opengl


def misfit(label: Label, model: ObjectModel, camera: CameraModel, tolerance: float) -> str | None:
    """Why the stored corners are not those of the stored pose, or None when they are.

    Args:
        label: with its pose T_camera_object and its keypoints (9, 2) [px].
        model: the object's record; its size and centre [m] give the corners and their order.
        camera: of the image.
        tolerance: how far a corner may be off [px], besides what the rounding of the pose explains.
    """
    points = label.pose.apply(model.keypoints)  # (9, 3)
    nearest = points[:, 2].min()
    if nearest <= 0:
        why = _convention(label, model, camera)
        return f"location {_shown(label)}: the cuboid reaches behind the camera, to z = {nearest:.3f} m{why}"
    expected = camera.project(points)
    error = np.linalg.norm(expected - label.keypoints, axis=1)
    focal = camera.K[0, 0]
    away = np.linalg.norm(expected - camera.K[:2, 2], axis=1)
    if (error <= tolerance + (focal + away) * ROUNDED / points[:, 2]).all():
        return None
    worst = int(error.argmax())
    why = _order(label, expected) or _convention(label, model, camera)
    return f"projected_cuboid: corner {worst} is {error[worst]:.1f} px off the projection of the pose{why}"


def _convention(label: Label, model: ObjectModel, camera: CameraModel) -> str:
    """A unit or a frame with which the pose would fit the corners, as the end of a sentence."""
    R, t = label.pose.rotation, label.pose.translation
    flipped = OPENGL @ label.pose
    tries = {
        "in centimetres": Pose(R, t * 0.01),
        "in millimetres": Pose(R, t * 0.001),
        "in OpenGL's axes": flipped,
        "in OpenGL's axes and centimetres": Pose(flipped.rotation, t * [0.01, -0.01, -0.01]),
    }
    for what, pose in tries.items():
        points = pose.apply(model.keypoints)
        if points[:, 2].min() > 0:
            expected = camera.project(points)
            if np.linalg.norm(expected - label.keypoints, axis=1).max() < FITS:
                return f"; it fits a pose {what}"
            if order := _order(label, expected):
                return f"; it fits a pose {what}{order.replace('; it fits', ' with')}"
    return ""


def _order(label: Label, expected: np.ndarray) -> str:
    """The order of corners with which the projection (9, 2) fits, as the end of a sentence."""
    distance = np.linalg.norm(expected[:, None] - label.keypoints[None], axis=-1)  # (9 expected, 9 stored)
    order = distance.argmin(0)
    if sorted(order) != list(range(cuboid.COUNT)) or distance.min(0).max() > FITS:
        return ""
    return f"; it fits the corners in another order: {', '.join(map(str, order))}"


def _shown(label: Label) -> str:
    return f"({', '.join(f'{v:.3f}' for v in label.pose.translation)}) m"
