"""An object's symmetries as a group of transforms, and the one pose of all equal-looking ones that labels use."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel

CONTINUOUS_STEPS = 64  # of a continuous symmetry, as BOP's toolkit and DOPE's generator have it
TIE_TOLERANCE = 1e-3  # between dot products
# Which axis of the object should look along which axis of the camera, most important first (DOPE's `align_axes`).
ALIGN = (((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)), ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0)), ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))


def group(model: ObjectModel, steps: int = CONTINUOUS_STEPS) -> np.ndarray:
    """The transforms (N, 4, 4) of the object's frame that change nothing to be seen, the identity first [m].

    Discrete ones times continuous ones in `steps`, as BOP combines them.
    """
    discrete = [np.eye(4), *(np.array(entry, float).reshape(4, 4) for entry in model.symmetries_discrete)]
    turning = [np.eye(4)]
    for entry in model.symmetries_continuous:
        axis = np.array(entry["axis"], float) / np.linalg.norm(entry["axis"])
        turns = [
            about(axis, np.array(entry.get("offset", (0, 0, 0)), float), 2 * np.pi * k / steps) for k in range(steps)
        ]
        turning = [a @ b for a, b in product(turning, turns)]
    return np.array([a @ b for a, b in product(discrete, turning)])


def about(axis: np.ndarray, point: np.ndarray, angle: float) -> np.ndarray:
    """The (4, 4) turn by `angle` [rad] about a unit `axis` (3,) through a `point` (3,) [m]."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(angle * axis).as_matrix()
    matrix[:3, 3] = point - matrix[:3, :3] @ point
    return matrix


def canonical(pose: Pose, model: ObjectModel) -> Pose:
    """Of all poses T_camera_object that look the same, the one whose axes lie best along the camera's.

    Without it, the corners of a symmetric object have several right places at once, and a network learns their mean.
    The rule is DOPE's: the first object axis and camera axis with the largest product; the next pair breaks ties.
    """
    if not model.symmetries_discrete and not model.symmetries_continuous:
        return pose
    candidates = pose.matrix @ group(model)
    for of_object, of_camera in ALIGN:
        along = candidates[:, :3, :3] @ np.array(of_object) @ np.array(of_camera)
        candidates = candidates[along > along.max() - TIE_TOLERANCE]
    return Pose(candidates[0, :3, :3], candidates[0, :3, 3])


def nearest(pose: Pose, other: Pose, model: ObjectModel, transforms: np.ndarray | None = None) -> Pose:
    """Of all poses that look like `pose`, the one that is turned least against `other`.

    Discrete symmetries are tried out; about a continuous one's axis the best angle is computed, without steps.

    Args:
        pose: of the object, T_camera_object.
        other: to be near to, of the same kind.
        model: the object.
        transforms: `group(model)`, when it is at hand.
    """
    transforms = group(model) if transforms is None else transforms
    candidates = pose.matrix @ transforms
    best = candidates[np.einsum("nij,ij->n", candidates[:, :3, :3], other.rotation).argmax()]
    for entry in model.symmetries_continuous:
        axis = np.array(entry["axis"], float) / np.linalg.norm(entry["axis"])
        Q = best[:3, :3].T @ other.rotation
        swing = axis @ [Q[2, 1] - Q[1, 2], Q[0, 2] - Q[2, 0], Q[1, 0] - Q[0, 1]]
        angle = float(np.arctan2(swing, np.trace(Q) - axis @ Q @ axis))  # makes trace(turn.T @ Q) largest
        best = best @ about(axis, np.array(entry.get("offset", (0, 0, 0)), float), angle)
    return Pose.from_matrix(best)
