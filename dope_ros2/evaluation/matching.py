"""Which detection is which object of the truth, and how far off it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from dope_ros2.geometry.pose import Pose

MAX_DISTANCE = 0.10  # of the distance to the camera, between the two centres
MAX_ANGLE = float(np.deg2rad(20))  # between the two poses [rad]
_FAR = 1e3  # cost of a pair that cannot be a match


@dataclass(frozen=True, eq=False)
class LabelledPose:
    """One object in a camera image, detected or true.

    Attributes:
        name: of its class.
        score: of a detection; the visible fraction of a true object.
        pose: T_camera_object.
        centre: (3,) of its box in the camera frame [m].
    """

    name: str
    score: float
    pose: Pose
    centre: np.ndarray


@dataclass(frozen=True)
class Match:
    """A true object and what the detector made of it.

    Attributes:
        truth: index of the true object.
        detection: index of the nearest detection of its class, None when there is none near.
        translation: distance of the centres over the true centre's distance to the camera.
        rotation: angle between the two [rad], over the object's symmetries where given.
    """

    truth: int
    detection: int | None = None
    translation: float = np.inf
    rotation: float = np.inf

    @property
    def found(self) -> bool:
        """Whether the detection is right: within MAX_DISTANCE of the distance and MAX_ANGLE."""
        return self.translation <= MAX_DISTANCE and self.rotation <= MAX_ANGLE


def match(
    truths: list[LabelledPose], detections: list[LabelledPose], symmetries: dict[str, list[np.ndarray]] | None = None
) -> list[Match]:
    """Pair objects with detections of their class one to one, so that the sum of relative distances is least.

    A pair further apart than MAX_DISTANCE of the true distance is no pair.

    Args:
        truths: what is there, in the camera's frame.
        detections: what was found, in the same frame.
        symmetries: by class name, (3, 3) rotations under which an object looks the same.

    Returns:
        One match for each true object, in order.
    """
    matches = [Match(index) for index in range(len(truths))]
    if not truths or not detections:
        return matches
    costs = np.array([[_relative_distance(t, d) for d in detections] for t in truths])
    costs[costs > MAX_DISTANCE] = _FAR
    for i, j in zip(*linear_sum_assignment(costs), strict=True):
        if costs[i, j] < _FAR:
            angle = rotation_error(truths[i], detections[j], (symmetries or {}).get(truths[i].name, []))
            matches[i] = Match(int(i), int(j), float(costs[i, j]), angle)
    return matches


def _relative_distance(truth: LabelledPose, detection: LabelledPose) -> float:
    if truth.name != detection.name:
        return np.inf
    return float(np.linalg.norm(truth.centre - detection.centre) / np.linalg.norm(truth.centre))


def rotation_error(truth: LabelledPose, detection: LabelledPose, symmetries: list[np.ndarray]) -> float:
    """Least angle [rad] between the two poses over the object's symmetries, (3, 3) rotations each."""
    turned = [truth.pose.rotation @ symmetry for symmetry in [np.eye(3), *symmetries]]
    return float(min(Pose(rotation, np.zeros(3)).angle_to(detection.pose) for rotation in turned))
