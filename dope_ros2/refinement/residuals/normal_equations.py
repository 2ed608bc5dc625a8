"""What the parts of a refinement have in common: each says how the pose should move, in one least squares problem."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from dope_ros2.geometry.pose import Pose


class NormalEquations(NamedTuple):
    """A quadratic model of a cost near a pose: the best motion (6,) solves `information @ motion = gradient`.

    Attributes:
        information: (6, 6).
        gradient: (6,).
    """

    information: np.ndarray
    gradient: np.ndarray


class Residuals(Protocol):
    """Something seen in an image that a pose should explain; linearised where it was made, valid nearby."""

    def at(self, pose: Pose) -> NormalEquations:
        """At T_camera_object; motions are those of `Pose.plus`, weights those of measured noise."""


def pixel_jacobian(points: np.ndarray, pose: Pose, K: np.ndarray) -> np.ndarray:
    """(N, 2, 6) how the pixels of an object's points (N, 3) [m] move with a motion of its pose, as of `Pose.plus`."""
    arms = points @ pose.rotation.T
    x, y, z = (arms + pose.translation).T
    rows = np.zeros((len(points), 2, 6))
    rows[:, 0, 0], rows[:, 0, 1], rows[:, 0, 2] = K[0, 0] / z, K[0, 1] / z, -(K[0, 0] * x + K[0, 1] * y) / z**2
    rows[:, 1, 1], rows[:, 1, 2] = K[1, 1] / z, -K[1, 1] * y / z**2
    rows[:, :, 3:] = np.cross(arms[:, None], rows[:, :, :3])
    return rows


def projected(points: np.ndarray, pose: Pose, K: np.ndarray) -> np.ndarray:
    """(N, 2) pixels of an object's points (N, 3) [m]; far away where one is behind the camera."""
    homogeneous = pose.apply(points) @ K.T
    return homogeneous[:, :2] / np.maximum(homogeneous[:, 2:], 1e-6)


def tukey(residuals: np.ndarray, limit: float) -> np.ndarray:
    """Tukey's weights (N,) of residuals (N,): 1 at zero, 0 from the limit on."""
    return np.clip(1 - (residuals / limit) ** 2, 0, None) ** 2
