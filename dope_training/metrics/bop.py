"""MSSD and MSPD with the average recalls of the BOP challenge.

Hodan et al., "BOP Challenge 2020 on 6D Object Localization", ECCV Workshops 2020, section 2. VSD is left out: it
compares depth images, which a colour camera does not have.
"""

from __future__ import annotations

import numpy as np

from dope_ros2.geometry.pose import Pose
from dope_training.metrics.add import distances

MSSD_THRESHOLDS = np.arange(1, 11) * 0.05  # of the object's diameter
MSPD_THRESHOLDS = np.arange(1, 11) * 5.0  # pixels of an image that is 640 wide
WIDTH = 640
LEAST_VISIBLE = 0.1  # less visible objects are no targets


def mssd(points: np.ndarray, trues: np.ndarray, found: Pose) -> float:
    """Maximum symmetry-aware surface distance [m]: the largest distance of a point, of the nearest true pose.

    Args:
        points: (N, 3) of the object's surface, in its frame [m]; the corners of its convex hull are enough.
        trues: (S, 4, 4) equal-looking true poses T_camera_object.
        found: the estimate T_camera_object.
    """
    return float(distances(points, trues, found).max(1).min())


def mspd(points: np.ndarray, trues: np.ndarray, found: Pose, K: np.ndarray) -> float:
    """Maximum symmetry-aware projection distance [px]: as `mssd`, of the points' images.

    Args:
        points: (N, 3) of the object, in its frame [m].
        trues: (S, 4, 4) equal-looking true poses T_camera_object.
        found: the estimate T_camera_object; infinitely wrong when a point of it lies behind the camera.
        K: (3, 3) camera matrix [px].
    """
    placed = points @ trues[:, :3, :3].transpose(0, 2, 1) + trues[:, None, :3, 3]  # (S, N, 3)
    offsets = project(placed, K) - project(found.apply(points), K)
    return float(np.linalg.norm(offsets, axis=2).max(1).min())


def project(points: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) of points (..., 3) in the camera frame [m]; infinite for those behind the camera."""
    homogeneous = points @ K.T
    depth = np.where(homogeneous[..., 2:] > 0, homogeneous[..., 2:], np.nan)
    return np.where(np.isnan(depth), np.inf, homogeneous[..., :2] / depth)


def recalled(errors: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Which true objects are found at which threshold.

    Each estimate, best score first, takes the free object of least error, if that error is below the threshold.

    Args:
        errors: (D, T) of each estimate against each object; rows in order of falling score.
        thresholds: (H,) in the unit of the errors.

    Returns:
        (H, T) booleans; their mean over thresholds and objects is the average recall.
    """
    found = np.zeros((len(thresholds), errors.shape[1]), bool)
    for taken, threshold in zip(found, thresholds, strict=True):
        for row in errors if errors.shape[1] else ():
            open_errors = np.where(taken, np.inf, row)
            nearest = open_errors.argmin()
            taken[nearest] |= open_errors[nearest] < threshold
    return found
