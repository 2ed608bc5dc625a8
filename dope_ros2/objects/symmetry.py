"""An object's symmetries as a group of transforms, and the one pose of all equal-looking ones that labels use."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel

CONTINUOUS_STEPS = 64  # of a continuous symmetry, as BOP's toolkit and DOPE's generator have it
TIE_TOLERANCE = 1e-3  # between dot products
PARALLEL_TOLERANCE = 1e-6  # 1 - cosine of the angle between two axes that are one
# Which axis of the object should look along which axis of the camera, most important first (DOPE's `align_axes`).
ALIGN = (((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)), ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0)), ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))


def group(model: ObjectModel, steps: int = CONTINUOUS_STEPS) -> np.ndarray:
    """The transforms (N, 4, 4) of the object's frame that change nothing to be seen, the identity first [m].

    Discrete ones times continuous ones in `steps`, as BOP combines them.
    """
    discrete = [np.eye(4), *(np.array(entry, float).reshape(4, 4) for entry in model.symmetries_discrete)]
    turning = [np.eye(4)]
    for axis, offset in _axes(model):
        turns = [about(axis, offset, 2 * np.pi * k / steps) for k in range(steps)]
        turning = [a @ b for a, b in product(turning, turns)]
    return np.array([a @ b for a, b in product(discrete, turning)])


def _axes(model: ObjectModel) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each continuous symmetry the unit axis (3,) and a point on it (3,) [m]."""
    entries = [
        (np.array(e["axis"], float), np.array(e.get("offset", (0, 0, 0)), float)) for e in model.symmetries_continuous
    ]
    return [(axis / np.linalg.norm(axis), offset) for axis, offset in entries]


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
    """Of all poses that look like `pose`, the one that is turned least against `other`; exact, whatever the steps.

    Discrete symmetries are tried out; about a continuous one's axis the best angle is computed. Axes that differ make
    a ball, which is turned as `other` is.

    Args:
        pose: of the object, T_camera_object.
        other: to be near to, of the same kind.
        model: the object.
        transforms: `group(model)`, when it is at hand, with any number of steps.
    """
    if not model.symmetries_discrete and not model.symmetries_continuous:
        return pose
    axes = _axes(model)
    if (middle := _middle_of_ball(axes)) is not None:
        return Pose(other.rotation, pose.apply(middle) - other.rotation @ middle)
    candidates = pose.matrix @ (group(model, 1) if transforms is None else transforms)
    left = candidates[:, :3, :3].swapaxes(1, 2) @ other.rotation  # to be turned; the larger its trace, the less
    if not axes:
        return Pose.from_matrix(candidates[np.trace(left, axis1=1, axis2=2).argmax()])
    traces, angles = _best_turns(left, axes[0][0])
    best = traces.argmax()
    return Pose.from_matrix(candidates[best] @ about(*axes[0], angles[best]))


def _best_turns(Q: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of turns about an axis (3,) those that make the traces of `turn.T @ Q` largest: traces (N,) and angles (N,)."""
    along = axis @ Q @ axis
    across = np.trace(Q, axis1=1, axis2=2) - along
    swing = np.stack([Q[:, 2, 1] - Q[:, 1, 2], Q[:, 0, 2] - Q[:, 2, 0], Q[:, 1, 0] - Q[:, 0, 1]], -1) @ axis
    return along + np.hypot(swing, across), np.arctan2(swing, across)


def _middle_of_ball(axes: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray | None:
    """The point (3,) [m] about which an object with axes of several directions turns; None where there is one."""
    across = [np.eye(3) - np.outer(axis, axis) for axis, _ in axes]
    if len(axes) < 2 or np.linalg.eigvalsh(sum(across))[0] < PARALLEL_TOLERANCE:
        return None
    return np.linalg.solve(sum(across), sum(A @ offset for A, (_, offset) in zip(across, axes, strict=True)))
