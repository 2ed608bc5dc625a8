"""What a pose rests on: the features that its score is made of."""

from __future__ import annotations

import numpy as np

from dope_ros2.estimation.pnp.solver import Solution
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import ConfidenceFeatures

MIN_DEVIATION = 1e-6  # distances and deviations below are taken for this [m, rad]


def confidence_features(beliefs: np.ndarray, solution: Solution, centre: np.ndarray) -> ConfidenceFeatures:
    """Collect it from the keypoints' beliefs (9,), the pose, and the box's centre (3,) in the object's frame."""
    used = np.where(solution.inliers, np.clip(beliefs, 0, 1), 0)
    range_, turn = claimed_deviations(solution.pose, solution.covariance, centre)
    return ConfidenceFeatures(
        belief=float(used.mean()),
        cells=float(np.log1p(solution.cells)),
        range=range_,
        turn=turn,
    )


def claimed_deviations(pose: Pose, covariance: np.ndarray, centre: np.ndarray) -> tuple[float, float]:
    """Logarithms of what a covariance (6, 6) claims, see `range` and `turn` of `ConfidenceFeatures`."""
    x, y, _ = pose.rotation @ centre
    along = np.array([0, 0, 1, y, -x, 0])  # how the centre's z moves with the pose
    deviation = np.sqrt(max(along @ covariance @ along, MIN_DEVIATION**2))
    turns = np.maximum(np.diag(covariance)[3:], MIN_DEVIATION**2)
    distance = max(pose.apply(centre)[2], MIN_DEVIATION)
    return float(np.log(deviation / distance)), float(np.log(np.sqrt(turns.mean())))
