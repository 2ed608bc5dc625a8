"""A Kalman filter on SE(3) with constant velocity: one object's pose and motion out of noisy poses.

The state is a pose T_camera_object and its velocity; the error is a small motion (x, y, z [m], rotation about x, y, z
[rad]) in the camera frame about fixed axes, as in the covariances of detections, so nothing has to be converted
(Barfoot, State Estimation for Robotics, 2017, section 7.3, with perturbations on the left).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dope_ros2.geometry.pose import ROTATION, Pose

CALM_ACCELERATION = np.array(
    [0.0014] * 3 + [0.007] * 3
)  # what the velocity wanders in a second [m/s, rad/s] while nothing happens
MANOEUVRE_FACTOR = 300.0  # times as much when it does
INITIAL_VELOCITY_SIGMA = np.array([1.0] * 3 + [3.0] * 3)  # standard deviation of an unknown velocity [m/s, rad/s]


@dataclass(frozen=True, eq=False)
class State:
    """What is known about an object's motion at one moment.

    Attributes:
        pose: T_camera_object.
        velocity: (6,) of x, y, z [m/s] and about x, y, z [rad/s].
        covariance: (12, 12) of the pose's error and the velocity's.
    """

    pose: Pose
    velocity: np.ndarray
    covariance: np.ndarray

    @classmethod
    def first(cls, pose: Pose, covariance: np.ndarray, fastest: np.ndarray = INITIAL_VELOCITY_SIGMA) -> State:
        """What one measurement with its (6, 6) covariance says, and that nothing is much faster than `fastest`."""
        whole = np.zeros((12, 12))
        whole[:6, :6], whole[6:, 6:] = covariance, np.diag(fastest**2)
        return cls(pose, np.zeros(6), whole)

    def after(self, seconds: float, wander: np.ndarray = CALM_ACCELERATION) -> State:
        """The state so much later, when nothing was seen meanwhile and the velocity wanders by `wander` a second."""
        step = np.eye(12)
        step[:6, 6:] = seconds * np.eye(6)
        density = np.diag(wander**2)
        noise = np.block(
            [[density * seconds**3 / 3, density * seconds**2 / 2], [density * seconds**2 / 2, density * seconds]]
        )
        pose = self.pose.plus(seconds * self.velocity)
        return State(pose, self.velocity, step @ self.covariance @ step.T + noise)

    def surprise(self, pose: Pose, covariance: np.ndarray) -> np.ndarray:
        """(6,) a measurement's difference in standard deviations, decorrelated; unit normal when all is as assumed."""
        root = np.linalg.cholesky(self.covariance[:6, :6] + covariance)
        return np.linalg.solve(root, pose.minus(self.pose))

    def turned(self, pose: Pose, covariance: np.ndarray) -> float:
        """Squared Mahalanobis distance of a measurement's rotation alone (3 degrees of freedom)."""
        error = pose.minus(self.pose)[ROTATION]
        return float(error @ np.linalg.solve((self.covariance[:6, :6] + covariance)[ROTATION, ROTATION], error))

    def seen(self, pose: Pose, covariance: np.ndarray) -> State:
        """The state with a measurement of the same moment, of the pose and its (6, 6) covariance, taken in."""
        rows = np.eye(6, 12)  # the pose is measured, the velocity is not
        correction, whole = kalman_update(self.covariance, rows, pose.minus(self.pose), covariance)
        return State(self.pose.plus(correction[:6]), self.velocity + correction[6:], whole)


def kalman_update(
    prior: np.ndarray, rows: np.ndarray, innovation: np.ndarray, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What a linear measurement says of an error that was expected to be zero.

    The covariance is computed in Joseph's form, which rounding leaves symmetric and positive.

    Args:
        prior: (n, n) covariance of the error before.
        rows: (k, n) what one of each of the error adds to what is measured.
        innovation: (k,) measured minus expected.
        noise: (k, k) covariance of the measurement.

    Returns:
        The error (n,) that is most probable now, and its covariance (n, n).
    """
    gain = np.linalg.solve(rows @ prior @ rows.T + noise, rows @ prior).T  # (n, k)
    left = np.eye(len(prior)) - gain @ rows
    covariance = left @ prior @ left.T + gain @ noise @ gain.T
    return gain @ innovation, (covariance + covariance.T) / 2
