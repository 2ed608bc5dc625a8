"""Points of an object and where they are seen: residuals, their cost, and the pose that makes them least."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dope_ros2.geometry import Pose
from dope_ros2.surface import Cells

HUBER = 2.0  # standard deviations beyond which a residual counts linearly
STEPS = 12  # of Gauss-Newton at most
WRONG = 12.0  # squared standard deviations beyond which a point is taken to be wrong; however far, it costs so much
CELLS_A_KEYPOINT = 6  # so many agreeing cells count as one agreeing keypoint
CLOSEST = 1e-6  # nothing is seen nearer than this [m]
FINEST, COARSEST = 1e-3, 1e3  # standard deviations are taken to lie between these [px]


@dataclass(frozen=True, eq=False)
class Problem:
    """Points (N, 3) [m] and where they are seen, (N, 2) at z = 1, with standard deviations (N,) in the same unit.

    The first `keypoints` of them are keypoints, the others cells. `weights` (N,) says how many independent points each
    is worth, `outlier` how far off the projection of a point is that does not agree, `focal` how many pixels the unit
    is.
    """

    points: np.ndarray
    rays: np.ndarray
    sigmas: np.ndarray
    weights: np.ndarray
    outlier: float
    focal: float
    keypoints: int

    @classmethod
    def of(
        cls, points: np.ndarray, pixels: np.ndarray, sigmas: np.ndarray, K: np.ndarray, outlier: float, cells: Cells
    ) -> Problem:
        """Keypoints, and cells behind them, at unit focal length; all arguments in pixels."""
        focal = float(np.sqrt(abs(np.linalg.det(K[:2, :2]))))
        sigmas = np.concatenate([sigmas, np.full(len(cells), cells.sigma)])
        homogeneous = np.column_stack([np.vstack([pixels, cells.pixels]), np.ones(len(sigmas))])
        return cls(
            points=np.vstack([points, cells.points]),
            rays=np.ascontiguousarray((homogeneous @ np.linalg.inv(K).T)[:, :2]),
            sigmas=np.clip(sigmas, FINEST, COARSEST) / focal,
            weights=np.concatenate([np.ones(len(points)), np.full(len(cells), cells.weight)]),
            outlier=outlier / focal,
            focal=focal,
            keypoints=len(points),
        )

    def support(self, agreeing: np.ndarray) -> np.ndarray:
        """How many keypoints agree, cells counted in; `agreeing` is (..., N)."""
        few, many = agreeing[..., : self.keypoints], agreeing[..., self.keypoints :]
        return few.sum(-1) + many.sum(-1) // CELLS_A_KEYPOINT

    def agreement(self, agreeing: np.ndarray) -> float:
        """Share of the cells that agree."""
        return float(agreeing[self.keypoints :].mean()) if len(agreeing) > self.keypoints else np.nan

    def convincing(self, pose: Pose) -> bool:
        """Whether all keypoints agree, and half of the cells if there are any."""
        agreeing = self.agrees(pose)
        return agreeing[: self.keypoints].all() and not self.agreement(agreeing) < 0.5

    def residuals(self, pose: Pose) -> np.ndarray:
        """(N, 2) projection minus observation; large for points behind the camera."""
        x = pose.apply(self.points)
        return x[:, :2] / np.maximum(x[:, 2:], CLOSEST) - self.rays

    def agrees(self, pose: Pose) -> np.ndarray:
        """(N,) whether a point's residual is below the outlier limit."""
        return np.linalg.norm(self.residuals(pose), axis=1) < self.outlier

    def squared(self, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """(H, N) squared residuals of many poses; infinite all over when a point lies behind the camera."""
        x = self.points @ rotations.transpose(0, 2, 1) + translations[:, None]  # (H, N, 3)
        in_front = (x[..., 2] > CLOSEST).all(1)
        squared = ((x[..., :2] / np.maximum(x[..., 2:], CLOSEST) - self.rays) ** 2).sum(-1)
        return np.where(in_front[:, None], squared, np.inf)

    def truncated(self, squared: np.ndarray) -> np.ndarray:
        """(H,) costs of squared residuals (H, N): their sum in variances, a wrong point counts as much as any other."""
        variances = np.minimum(squared, self.outlier**2) / self.sigmas**2
        return np.minimum(variances, WRONG) @ self.weights

    def cost(self, pose: Pose) -> float:
        """The cost of one pose."""
        return float(self.truncated(self.squared(pose.rotation[None], pose.translation[None]))[0])

    def jacobian(self, pose: Pose, chosen: np.ndarray) -> np.ndarray:
        """(n, 2, 6) derivative of the projection by a motion (v, w): p -> exp(w) R p + t + v, in the camera frame."""
        turned = self.points[chosen] @ pose.rotation.T
        x, y, z = (turned + pose.translation).T
        zero = np.zeros_like(z)
        by_point = np.array([[1 / z, zero, -x / z**2], [zero, 1 / z, -y / z**2]]).transpose(2, 0, 1)  # (n, 2, 3)
        a, b, c = turned.T
        cross = np.array([[zero, c, -b], [-c, zero, a], [b, -a, zero]]).transpose(2, 0, 1)  # -[R p]x
        return np.concatenate([by_point, by_point @ cross], axis=2)

    def refine(self, pose: Pose, chosen: np.ndarray) -> Pose | None:
        """Weighted Gauss-Newton with Huber weights over the chosen points; None when it leaves the camera's front."""
        precision = (self.weights / self.sigmas**2)[chosen]
        for _ in range(STEPS):
            if (pose.apply(self.points[chosen])[:, 2] <= CLOSEST).any():
                return None
            residual = self.residuals(pose)[chosen]
            length = np.linalg.norm(residual, axis=1) / self.sigmas[chosen]
            weight = np.minimum(1, HUBER / np.maximum(length, 1e-12)) * precision
            J = self.jacobian(pose, chosen)
            H = np.einsum("nij,n,nik->jk", J, weight, J)
            gradient = np.einsum("nij,n,ni->j", J, weight, residual)
            H[np.diag_indices(6)] *= 1 + 1e-9
            try:
                step = -np.linalg.solve(H, gradient)
            except np.linalg.LinAlgError:
                return None
            if not np.isfinite(step).all():
                return None
            step_rotation, _ = cv2.Rodrigues(step[3:])
            pose = Pose(step_rotation @ pose.rotation, pose.translation + step[:3])
            if np.abs(step[:3]).max() < 1e-9 * pose.translation[2] and np.abs(step[3:]).max() < 1e-9:
                break
        U, _, Vt = np.linalg.svd(pose.rotation)
        return Pose(U @ Vt, pose.translation)

    def covariance(self, pose: Pose, chosen: np.ndarray) -> np.ndarray:
        """(6, 6) inverse of the weighted normal matrix, enlarged when the residuals exceed the claimed noise."""
        precision = (self.weights / self.sigmas**2)[chosen]
        J = self.jacobian(pose, chosen)
        squared = precision @ (self.residuals(pose)[chosen] ** 2).sum(1)
        freedom = max(1.0, 2 * self.weights[chosen].sum() - 6)
        return np.linalg.pinv(np.einsum("nij,n,nik->jk", J, precision, J)) * max(1.0, squared / freedom)
