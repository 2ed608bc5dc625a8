"""A Kalman filter on SE(3) with constant velocity: one object's pose and motion out of noisy poses.

The state is a pose T_camera_object and its velocity; the error is a small motion (x, y, z [m], rotation about x, y, z
[rad]) in the camera frame about fixed axes, as in the covariances of detections, so nothing has to be converted
(Barfoot, State Estimation for Robotics, 2017, section 7.3, with perturbations on the left).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dope_ros2.geometry.pose import ROTATION, Pose, difference, moved

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
        pose = moved(self.pose, seconds * self.velocity)
        return State(pose, self.velocity, step @ self.covariance @ step.T + noise)

    def surprise(self, pose: Pose, covariance: np.ndarray) -> np.ndarray:
        """(6,) a measurement's difference in standard deviations, decorrelated; unit normal when all is as assumed."""
        root = np.linalg.cholesky(self.covariance[:6, :6] + covariance)
        return np.linalg.solve(root, difference(pose, self.pose))

    def turned(self, pose: Pose, covariance: np.ndarray) -> float:
        """Squared Mahalanobis distance of a measurement's rotation alone (3 degrees of freedom)."""
        error = difference(pose, self.pose)[ROTATION]
        return float(error @ np.linalg.solve((self.covariance[:6, :6] + covariance)[ROTATION, ROTATION], error))

    def seen(self, pose: Pose, covariance: np.ndarray) -> State:
        """The state with a measurement of the same moment taken in; Joseph's form keeps the covariance positive."""
        error = difference(pose, self.pose)
        gain = np.linalg.solve(self.covariance[:6, :6] + covariance, self.covariance[:6]).T  # (12, 6)
        correction = gain @ error
        left = np.eye(12)
        left[:, :6] -= gain
        whole = left @ self.covariance @ left.T + gain @ covariance @ gain.T
        return State(moved(self.pose, correction[:6]), self.velocity + correction[6:], (whole + whole.T) / 2)
