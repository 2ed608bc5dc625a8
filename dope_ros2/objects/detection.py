"""What the estimator says about one object in one image."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from dope_ros2.geometry import cuboid
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel


class Evidence:
    """Features that a score is made of, each a number."""

    @property
    def row(self) -> np.ndarray:
        """(N,) in the order of the attributes."""
        return np.array([getattr(self, f.name) for f in fields(self)])


@dataclass(frozen=True)
class ConfidenceFeatures(Evidence):
    """What a pose rests on.

    Attributes:
        belief: mean belief of the nine keypoints, those not used counting as zero, in [0, 1].
        cells: logarithm of one more than the number of cells that agree.
        range: logarithm of the claimed standard deviation of the box's centre along the optical axis over its distance.
        turn: logarithm of the claimed standard deviation of the rotation [rad], root mean square over three axes.
    """

    belief: float
    cells: float
    range: float
    turn: float


@dataclass(frozen=True)
class RefinedFeatures(Evidence):
    """What a pose rests on that was compared with the photograph.

    Attributes:
        print: correlation of drawn and seen brightness, from -1 to 1.
        outline: how differently both sides of the outline are coloured, from -1 to 1.
        contrast: logarithm of one more than the drawing's contrast [levels]: how much `print` says.
        size: logarithm of the object's diagonal in the image [px].
        range, turn: as of `ConfidenceFeatures`, claimed by the comparison.
    """

    print: float
    outline: float
    contrast: float
    size: float
    range: float
    turn: float


def no_keypoints() -> np.ndarray:
    """The keypoints (9, 2) of a pose that none were found for: all NaN."""
    return np.full((cuboid.COUNT, 2), np.nan)


@dataclass(frozen=True, eq=False)
class Detection:
    """One instance of a known object.

    Attributes:
        model: the object.
        score: probability that the pose is right, in [0, 1].
        pose: T_camera_object, camera optical frame, the object's frame is its mesh's frame.
        covariance: (6, 6) of (x, y, z [m], rotation about x, y, z [rad]) in the camera frame, fixed axes.
        keypoints: (9, 2) detected keypoints in the image [px], NaN where none was found or it was an outlier.
        reprojection_error: root mean square distance of the used keypoints to the projected cuboid [px], of the fit,
            before its distance was corrected; NaN without keypoints.
        evidence: what the score was made of; None of detections that were not made here.
        track: name of the instance over time, `<class>_<n>`; empty where nobody tracks.
        unseen_for: since the image in which the instance was last detected [s]; 0: in this one. Above 0 it is coasting.
    """

    model: ObjectModel
    score: float
    pose: Pose
    covariance: np.ndarray
    keypoints: np.ndarray = field(default_factory=no_keypoints)
    reprojection_error: float = np.nan
    evidence: Evidence | None = None
    track: str = ""
    unseen_for: float = 0.0

    def corrected(self, distance_bias: float) -> Detection:
        """The same, when poses of this object come out too far by this share of the distance.

        The centre of its box moves along the ray on which it is seen; the rotation stays.
        """
        offset = self.pose.rotation @ np.array(self.model.centre)
        centre = (self.pose.translation + offset) / (1 + distance_bias)
        return replace(self, pose=Pose(self.pose.rotation, centre - offset))
