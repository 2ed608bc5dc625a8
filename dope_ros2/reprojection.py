"""Points of an object and where they are seen: residuals, their cost, and the pose that makes them least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry import Pose
from dope_ros2.surface import Cells

HUBER = 2.0  # standard deviations beyond which a residual counts linearly
STEPS = 12  # of Gauss-Newton at most
WRONG = 12.0  # squared standard deviations beyond which a point is taken to be wrong; however far, it costs so much
CELLS_A_KEYPOINT = 6  # so many agreeing cells count as one agreeing keypoint
LONGEST = 1.0  # step [m, rad]; longer ones are cut
CONVERGED = 1e-7  # a step that is smaller in all of x, y, z [m] and the rotation [rad] is the last
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

    def convincing(self, pose: Pose) -> bool:
        """Whether all keypoints agree, and half of the cells if there are any."""
        agreeing = self.agrees(pose)
        cells = agreeing[self.keypoints :]
        return bool(agreeing[: self.keypoints].all() and 2 * cells.sum() >= len(cells))

    def residuals(self, pose: Pose) -> np.ndarray:
        """(N, 2) projection minus observation; large for points behind the camera."""
        return self.residuals_all(pose.rotation[None], pose.translation[None])[0]

    def residuals_all(self, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """(H, N, 2) the same for many poses."""
        x = self.points @ rotations.transpose(0, 2, 1) + translations[:, None]
        return x[..., :2] / np.maximum(x[..., 2:], CLOSEST) - self.rays

    def agrees(self, pose: Pose) -> np.ndarray:
        """(N,) whether a point's residual is below the outlier limit."""
        return np.linalg.norm(self.residuals(pose), axis=1) < self.outlier

    def squared(self, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """(H, N) squared residuals of many poses; infinite all over when a point lies behind the camera."""
        squared = (self.residuals_all(rotations, translations) ** 2).sum(-1)
        in_front = (self.depths(rotations, translations) > CLOSEST).all(1)
        return np.where(in_front[:, None], squared, np.inf)

    def depths(self, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """(H, N) how far in front of the camera the points are [m]."""
        return rotations[:, 2] @ self.points.T + translations[:, 2:]

    def truncated(self, squared: np.ndarray) -> np.ndarray:
        """(H,) costs of squared residuals (H, N): their sum in variances, a wrong point counts as much as any other."""
        variances = np.minimum(squared, self.outlier**2) / self.sigmas**2
        return np.minimum(variances, WRONG) @ self.weights

    def jacobian(self, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """(H, N, 2, 6) derivatives of projections by a motion (v, w): p -> exp(w) R p + t + v, in the camera frame."""
        turned = self.points @ rotations.transpose(0, 2, 1)  # (H, N, 3)
        x, y, z = np.moveaxis(turned + translations[:, None], -1, 0)
        a, b, c = np.moveaxis(turned, -1, 0)
        inverse = 1 / np.where(np.abs(z) < CLOSEST, CLOSEST, z)
        u, v = x * inverse, y * inverse
        J = np.zeros((*z.shape, 2, 6))
        J[..., 0, 0] = J[..., 1, 1] = inverse
        J[..., 0, 2], J[..., 1, 2] = -u * inverse, -v * inverse
        J[..., 0, 3:] = np.stack([-u * b, c + u * a, -b], -1) * inverse[..., None]
        J[..., 1, 3:] = np.stack([-c - v * b, v * a, a], -1) * inverse[..., None]
        return J

    def refine(self, pose: Pose, chosen: np.ndarray) -> Pose | None:
        """Weighted Gauss-Newton with Huber weights over the chosen points; None when it leaves the camera's front."""
        rotations, translations, fine = self.refine_all(pose.rotation[None], pose.translation[None], chosen[None])
        return Pose(rotations[0], translations[0]) if fine[0] else None

    def refine_all(
        self, rotations: np.ndarray, translations: np.ndarray, chosen: np.ndarray, steps: int = STEPS
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`refine` for many poses at once.

        Args:
            rotations: (H, 3, 3).
            translations: (H, 3).
            chosen: (H, N) which points count for each.
            steps: at most.

        Returns:
            Rotations and translations, and (H,) whether they are poses in front of the camera.
        """
        precision, rows = self.weights / self.sigmas**2 * chosen, 2 * len(self.points)
        for _ in range(steps if len(rotations) else 0):
            residual = self.residuals_all(rotations, translations)
            length = np.linalg.norm(residual, axis=-1) / self.sigmas
            weight = np.minimum(1, HUBER / np.maximum(length, 1e-12)) * precision
            J = self.jacobian(rotations, translations).reshape(len(rotations), rows, 6)
            weighted = (J * np.repeat(weight, 2, axis=1)[..., None]).transpose(0, 2, 1)
            normal = weighted @ J
            normal[:, range(6), range(6)] *= 1 + 1e-9
            step = -_solved(normal, weighted @ residual.reshape(len(rotations), rows, 1))[..., 0]
            rotations = Rotation.from_rotvec(step[:, 3:]).as_matrix() @ rotations
            translations = translations + step[:, :3]
            if (np.abs(step) < CONVERGED).all():
                break
        in_front = (self.depths(rotations, translations) > CLOSEST) | ~chosen
        fine = np.isfinite(translations).all(1) & in_front.all(1)
        return rotations, translations, fine

    def covariance(self, pose: Pose, chosen: np.ndarray) -> np.ndarray:
        """(6, 6) inverse of the weighted normal matrix, enlarged when the residuals exceed the claimed noise."""
        precision = (self.weights / self.sigmas**2)[chosen]
        J = self.jacobian(pose.rotation[None], pose.translation[None])[0, chosen]
        squared = precision @ (self.residuals(pose)[chosen] ** 2).sum(1)
        freedom = max(1.0, 2 * self.weights[chosen].sum() - 6)
        return np.linalg.pinv(np.einsum("nij,n,nik->jk", J, precision, J)) * max(1.0, squared / freedom)


def _solved(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solutions (H, 6, 1) of A x = b, zero where there is none."""
    try:
        x = np.linalg.solve(A, b)
    except np.linalg.LinAlgError:
        x = np.linalg.pinv(np.nan_to_num(A, posinf=0, neginf=0)) @ np.nan_to_num(b, posinf=0, neginf=0)
    x = np.where(np.isfinite(x), x, 0)
    return x * np.minimum(1, LONGEST / np.maximum(np.abs(x).max(1, keepdims=True), 1e-12))
