"""ADD and ADD-S, the mean distances of an object's points under two poses, and the area under their curve."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from dope_ros2.geometry.pose import Pose

MAX_ADD = 0.10  # [m], to which the curve of PoseCNN's and DOPE's papers goes
MAX_ADD_OF_DIAMETER = (
    0.10  # of the diameter; a pose whose ADD(-S) is below counts as right (Hinterstoisser et al. 2012)
)


def add(points: np.ndarray, trues: np.ndarray, found: Pose) -> float:
    """Mean distance [m] between the points under the true and the found pose.

    Hinterstoisser et al., ACCV 2012. Of an object's equal-looking true poses the nearest counts; with a
    single one this is the published measure.

    Args:
        points: (N, 3) of the object, in its frame [m].
        trues: (S, 4, 4) equal-looking true poses T_camera_object.
        found: the estimate T_camera_object.
    """
    return float(distances(points, trues, found).mean(1).min())


def adds(points: np.ndarray, true: Pose, found: Pose) -> float:
    """Mean distance [m] from each of the points (N, 3) [m] under the true pose to the nearest under the found one.

    Hinterstoisser et al., ACCV 2012, for objects that look the same from several sides.
    """
    return float(cKDTree(found.apply(points)).query(true.apply(points))[0].mean())


def distances(points: np.ndarray, trues: np.ndarray, found: Pose) -> np.ndarray:
    """(S, N) distances [m] of points (N, 3) [m] under each of the true poses (S, 4, 4) from those under the found."""
    placed = points @ trues[:, :3, :3].transpose(0, 2, 1) + trues[:, None, :3, 3]  # (S, N, 3)
    return np.linalg.norm(placed - found.apply(points), axis=2)


def auc(errors: np.ndarray, limit: float = MAX_ADD) -> float:
    """Area under the share of objects below a threshold, over thresholds from 0 to `limit`; in [0, 1].

    PoseCNN (Xiang et al., RSS 2018) and DOPE (Tremblay et al., CoRL 2018). The area is exact:
    an object of error e contributes 1 - e / limit, or nothing beyond the limit.

    Args:
        errors: (N,) one for each true object [m]; infinite for one that was missed.
        limit: where the curve ends [m].
    """
    return float(np.clip(1 - np.asarray(errors, float) / limit, 0, 1).mean())


def accuracy(errors: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share of the errors (N,) below each of the thresholds (H,), same unit; (H,)."""
    return (np.asarray(errors)[None] < np.asarray(thresholds)[:, None]).mean(1)
