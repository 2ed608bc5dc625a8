"""What a pose rests on: the features that its score is made of."""

from __future__ import annotations

import numpy as np

from dope_ros2.estimation.pnp.solver import Solution
from dope_ros2.objects.detection import ConfidenceFeatures

MIN_DEVIATION = 1e-6  # distances and deviations below are taken for this [m, rad]


def confidence_features(beliefs: np.ndarray, solution: Solution, centre: np.ndarray) -> ConfidenceFeatures:
    """Collect it from the keypoints' beliefs (9,), the pose, and the box's centre (3,) in the object's frame."""
    used = np.where(solution.inliers, np.clip(beliefs, 0, 1), 0)
    x, y, _ = solution.pose.rotation @ centre
    along = np.array([0, 0, 1, y, -x, 0])  # how the centre's z moves with the pose
    deviation = np.sqrt(max(along @ solution.covariance @ along, MIN_DEVIATION**2))
    turns = np.maximum(np.diag(solution.covariance)[3:], MIN_DEVIATION**2)
    return ConfidenceFeatures(
        belief=float(used.mean()),
        cells=float(np.log1p(solution.cells)),
        range=float(np.log(deviation / max(solution.pose.apply(centre)[2], MIN_DEVIATION))),
        turn=float(np.log(np.sqrt(turns.mean()))),
    )
