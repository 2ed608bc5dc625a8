"""Rigid transforms. `T_to_from` maps points of frame `from` into frame `to`, so neighbours cancel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

ROTATION = slice(3, 6)  # of a motion (6,)


@dataclass(frozen=True, eq=False)
class Pose:
    """An element of SE(3).

    Attributes:
        rotation: (3, 3) rotation matrix.
        translation: (3,) [m].
    """

    rotation: np.ndarray
    translation: np.ndarray

    @classmethod
    def identity(cls) -> Pose:
        """The transform that moves nothing."""
        return cls(np.eye(3), np.zeros(3))

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> Pose:
        """Take apart a (4, 4) homogeneous matrix."""
        matrix = np.asarray(matrix, float)
        return cls(matrix[:3, :3].copy(), matrix[:3, 3].copy())

    @classmethod
    def from_quaternion(cls, xyzw: np.ndarray, translation: np.ndarray) -> Pose:
        """Build from a quaternion (x, y, z, w), normalised here, and a translation [m]."""
        return cls(Rotation.from_quat(xyzw).as_matrix(), np.asarray(translation, float))

    @classmethod
    def from_rotvec(cls, rotvec: np.ndarray, translation: np.ndarray) -> Pose:
        """Build from an axis-angle vector (3,) [rad] and a translation [m]."""
        return cls(Rotation.from_rotvec(rotvec).as_matrix(), np.asarray(translation, float))

    @classmethod
    def random(cls, rng: np.random.Generator, translation: np.ndarray = (0.0, 0.0, 0.0)) -> Pose:
        """Draw a rotation uniform in SO(3) at a given translation [m]."""
        return cls.from_quaternion(rng.normal(size=4), translation)

    def __matmul__(self, other: Pose) -> Pose:
        """Compose: `T_a_c = T_a_b @ T_b_c`."""
        return Pose(self.rotation @ other.rotation, self.apply(other.translation))

    def inverse(self) -> Pose:
        """`T_b_a` of `T_a_b`."""
        return Pose(self.rotation.T, -self.rotation.T @ self.translation)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Map (..., 3) points [m] of the `from` frame into the `to` frame."""
        return np.asarray(points) @ self.rotation.T + self.translation

    @property
    def matrix(self) -> np.ndarray:
        """The (4, 4) homogeneous matrix."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.rotation, self.translation
        return matrix

    @cached_property
    def quaternion(self) -> np.ndarray:
        """The (4,) unit quaternion x, y, z, w, with w >= 0."""
        return Rotation.from_matrix(self.rotation).as_quat(canonical=True)

    def minus(self, other: Pose) -> np.ndarray:
        """The motion (6,) that takes `other` to this pose, so that `other.plus(self.minus(other))` is this pose.

        It is [v, w] in the axes of the `to` frame, T_camera_object's is in the camera's: `t_self = t_other + v` [m] and
        `R_self = exp(w) R_other` [rad, |w| <= pi]. Origins and rotations are taken apart (R^3 x SO(3), perturbed on the
        left), as in `Detection.covariance`: v is no matter of w.
        """
        turn = Rotation.from_matrix(self.rotation @ other.rotation.T).as_rotvec()
        return np.concatenate([self.translation - other.translation, turn])

    def plus(self, motion: np.ndarray) -> Pose:
        """The pose after a motion (6,), [v, w] in the axes of the `to` frame [m, rad], as `minus` gives it."""
        turn = Rotation.from_rotvec(motion[ROTATION]).as_matrix()
        return Pose(turn @ self.rotation, self.translation + motion[:3])

    def angle_to(self, other: Pose) -> float:
        """Angle [rad] of the rotation between the two."""
        return Rotation.from_matrix(self.rotation.T @ other.rotation).magnitude()

    def distance_to(self, other: Pose) -> float:
        """Distance [m] between the two origins."""
        return float(np.linalg.norm(self.translation - other.translation))


def rotation_matrices(rotvecs: np.ndarray) -> np.ndarray:
    """(N, 3, 3) of axis-angle vectors (N, 3) [rad], by Rodrigues' formula; for few of them quicker than SciPy."""
    x, y, z = rotvecs.T
    half = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-12)[:, None, None] / 2
    cross = np.zeros((len(rotvecs), 3, 3))
    cross[:, 2, 1], cross[:, 0, 2], cross[:, 1, 0] = x, y, z
    cross -= cross.transpose(0, 2, 1)
    ratio = np.sin(half) / half
    return np.eye(3) + ratio * np.cos(half) * cross + ratio**2 / 2 * (cross @ cross)


def transport_covariance(covariance: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """The (6, 6) covariance of a pose whose origin is `arm` (3,) [m] away from the one it was given for.

    Rows, columns and the arm are in the axes of the `to` frame, as of `Pose.minus`: the origin's motion is v + w x arm.
    """
    if not arm.any():
        return covariance
    x, y, z = arm
    move = np.eye(6)
    move[:3, 3:] = [[0, z, -y], [-z, 0, x], [y, -x, 0]]
    return move @ covariance @ move.T
