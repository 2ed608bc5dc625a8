"""The one meaning of "right": which detection is which true object, how far off it is, and whether that will do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.optimize import linear_sum_assignment

from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.objects.symmetry import nearest

MAX_DISTANCE = 0.10  # of the distance to the camera, between the two centres
MAX_ANGLE = float(np.deg2rad(20))  # between the two poses [rad]
DEFINITION = f"within {100 * MAX_DISTANCE:g} % of the distance and {np.degrees(MAX_ANGLE):g} degrees"
MIN_VISIBILITY = 0.6  # objects of which less can be seen are not asked for, where a user does not say otherwise
_FAR = 1e3  # cost of a pair that cannot be a match


class ObjectLabel(Protocol):
    """A label of an image: the name of the object's class, T_camera_object, and the visible fraction."""

    name: str
    pose: Pose
    visibility: float


@dataclass(frozen=True, eq=False)
class LabelledPose:
    """One object in a camera image, detected or true.

    Attributes:
        model: the object.
        score: of a detection; the visible fraction of a true object.
        pose: T_camera_object.
    """

    model: ObjectModel
    score: float
    pose: Pose

    @classmethod
    def of_detection(cls, detection: Detection) -> LabelledPose:
        """What an estimator found."""
        return cls(detection.model, detection.score, detection.pose)

    @property
    def name(self) -> str:
        """Of its class."""
        return self.model.name

    @cached_property
    def centre(self) -> np.ndarray:
        """(3,) of its box in the camera frame [m]."""
        return self.pose.apply(self.model.centre)

    def nearest_to(self, other: LabelledPose) -> LabelledPose:
        """The same object in that of all its equal-looking poses that is turned least against another one's."""
        pose = nearest(self.pose, other.pose, self.model)
        return self if pose is self.pose else replace(self, pose=pose)


def true_poses(labels: Iterable[ObjectLabel], models: Iterable[ObjectModel]) -> list[LabelledPose]:
    """The labels of those objects that are known, in order."""
    known = {model.name: model for model in models}
    return [LabelledPose(known[label.name], label.visibility, label.pose) for label in labels if label.name in known]


@dataclass(frozen=True, eq=False)
class Match:
    """A true object and what the detector made of it.

    Attributes:
        truth: index of the true object.
        detection: index of the nearest detection of its class, None when there is none near.
        translation: distance of the centres over the true centre's distance to the camera.
        rotation: angle between the two [rad].
        nearest: T_camera_object, of all poses that look like the true one that which the errors are measured from:
            the one turned least against the detection; None without a detection.
    """

    truth: int
    detection: int | None = None
    translation: float = np.inf
    rotation: float = np.inf
    nearest: Pose | None = None

    @property
    def found(self) -> bool:
        """Whether the detection is right: within MAX_DISTANCE of the distance and MAX_ANGLE."""
        return self.translation <= MAX_DISTANCE and self.rotation <= MAX_ANGLE


def match(truths: Sequence[LabelledPose], detections: Sequence[LabelledPose]) -> list[Match]:
    """Pair objects with detections of their class one to one, so that the sum of relative distances is least.

    A pair further apart than MAX_DISTANCE of the true distance is no pair. Symmetries are those of the true objects.

    Args:
        truths: what is there, in the camera's frame.
        detections: what was found, in the same frame.

    Returns:
        One match for each true object, in order.
    """
    matches = [Match(index) for index in range(len(truths))]
    if not truths or not detections:
        return matches
    equal = [
        [truth.nearest_to(found) if truth.name == found.name else None for found in detections] for truth in truths
    ]
    costs = np.array([[_relative_distance(t, d) for t, d in zip(row, detections, strict=True)] for row in equal])
    costs[costs > MAX_DISTANCE] = _FAR
    for i, j in zip(*linear_sum_assignment(costs), strict=True):
        if costs[i, j] < _FAR:
            pose = equal[i][j].pose
            angle = float(pose.angle_to(detections[j].pose))
            matches[i] = Match(int(i), int(j), float(costs[i, j]), angle, pose)
    return matches


def _relative_distance(truth: LabelledPose | None, detection: LabelledPose) -> float:
    if truth is None:  # of another class
        return np.inf
    return float(np.linalg.norm(truth.centre - detection.centre) / np.linalg.norm(truth.centre))


def shares_of_limits(translation: float, rotation: float) -> tuple[float, float]:
    """Errors of a match, the rotation in [rad], as shares of what is allowed: beyond 1 a pose is wrong."""
    return translation / MAX_DISTANCE, rotation / MAX_ANGLE
