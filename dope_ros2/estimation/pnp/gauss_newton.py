"""Points of an object and where they are seen: residuals, their cost, and the poses that make them least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dope_ros2.estimation.pnp.surface_coordinates import Cells
from dope_ros2.geometry.pose import Pose, rotation_matrices

HUBER_THRESHOLD = 2.0  # standard deviations beyond which a residual counts linearly
MAX_STEPS = 12  # of Gauss-Newton at most
MAX_POINT_COST = (
    12.0  # squared standard deviations beyond which a point is taken to be wrong; however far, it costs so much
)
CELLS_PER_KEYPOINT = 6  # so many agreeing cells count as one agreeing keypoint
MAX_STEP_LENGTH = 1.0  # step [m, rad]; longer ones are cut
CONVERGED_STEP = 1e-5  # a step that is smaller in all of x, y, z [m] and the rotation [rad] is the last
MIN_DEPTH = 1e-6  # nothing is seen nearer than this [m]
MIN_SIGMA, MAX_SIGMA = 1e-3, 1e3  # standard deviations are taken to lie between these [px]


def support(keypoints: np.ndarray | int, cells: np.ndarray | int) -> np.ndarray | int:
    """How many keypoints so many keypoints and cells that agree are worth."""
    return keypoints + cells // CELLS_PER_KEYPOINT


@dataclass(frozen=True, eq=False)
class NormalizedPnP:
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
    ) -> NormalizedPnP:
        """Keypoints, and cells behind them, at unit focal length; all arguments in pixels."""
        (a, b, u), (c, d, v) = np.asarray(K, float)[:2].tolist()
        focal, n = abs(a * d - b * c) ** 0.5, len(points)
        claimed, weights = np.full(n + len(cells), cells.sigma), np.full(n + len(cells), cells.weight)
        claimed[:n], weights[:n] = sigmas, 1.0
        from_centre = np.concatenate([pixels, cells.pixels]) - (u, v)
        return cls(
            points=np.concatenate([points, cells.points]),
            rays=from_centre @ (np.array([[d, -c], [-b, a]]) / (a * d - b * c)),
            sigmas=np.minimum(np.maximum(claimed, MIN_SIGMA), MAX_SIGMA) / focal,
            weights=weights,
            outlier=outlier / focal,
            focal=focal,
            keypoints=n,
        )

    @property
    def most(self) -> int:
        """The support of a pose that all points agree with."""
        return support(self.keypoints, len(self.points) - self.keypoints)

    def support(self, agreeing: np.ndarray) -> np.ndarray:
        """How many keypoints agree, cells counted in; `agreeing` is (..., N)."""
        few, many = agreeing[..., : self.keypoints], agreeing[..., self.keypoints :]
        return support(np.count_nonzero(few, -1), np.count_nonzero(many, -1))

    def squared(self, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """(H, N) squared residuals of many poses; infinite all over when a point lies behind the camera."""
        x = (rotations.reshape(-1, 3) @ self.points.T).reshape(-1, 3, len(self.points)) + translations[..., None]
        depth = np.maximum(x[:, 2], MIN_DEPTH)
        squared = (x[:, 0] / depth - self.rays[:, 0]) ** 2 + (x[:, 1] / depth - self.rays[:, 1]) ** 2
        return np.where((x[:, 2] > MIN_DEPTH).all(1)[:, None], squared, np.inf)

    def truncated(self, squared: np.ndarray) -> np.ndarray:
        """(H,) costs of squared residuals (H, N): their sum in variances, a wrong point counts as much as any other."""
        variances = np.minimum(squared, self.outlier**2) / self.sigmas**2
        return np.minimum(variances, MAX_POINT_COST) @ self.weights


class PnPBatch(NamedTuple):
    """Several problems side by side, each filled up with points of no weight to the number of the longest.

    Points (B, 3, N), rays (B, 2, N), standard deviations (B, N), weights (B, N).
    """

    points: np.ndarray
    rays: np.ndarray
    sigmas: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, problems: list[NormalizedPnP]) -> PnPBatch:
        """Copy them."""
        lengths = np.array([len(problem.points) for problem in problems])
        there = np.arange(lengths.max(initial=0)) < lengths[:, None]
        stack = cls(*(np.zeros((*there.shape, *columns)) for columns in ((3,), (2,), (), ())))
        stack.sigmas[:] = 1
        for array, name in zip(stack, cls._fields, strict=True):
            array[there] = np.concatenate([getattr(problem, name) for problem in problems])
        points, rays = (np.ascontiguousarray(array.transpose(0, 2, 1)) for array in stack[:2])
        return stack._replace(points=points, rays=rays)

    def where(self, kept: np.ndarray) -> PnPBatch:
        """Those at the given indices or True in the given mask."""
        return PnPBatch(*(array[kept] for array in self))

    def repeated(self, counts: list[int]) -> PnPBatch:
        """Each as often as said."""
        return PnPBatch(*(np.repeat(array, counts, axis=0) for array in self))


def residuals(stack: PnPBatch, R: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far points lie from their projections under a pose (3, 3), (3,) of each problem.

    Returns:
        Squared residuals (B, N), infinite all over when a point lies behind the camera, none where there is no point;
        and how residuals move with the poses (B, 6, 2, N).
    """
    J, residual = residuals_and_jacobian(R, t, stack.points, stack.rays)
    there = stack.weights > 0
    behind = ((R[:, 2:] @ stack.points)[:, 0] + t[:, 2:] <= MIN_DEPTH) & there
    squared = np.where(behind.any(1)[:, None], np.inf, (residual[:, 0] ** 2 + residual[:, 1] ** 2) * there)
    return squared, J


def fit_statistics(problems: list[NormalizedPnP], poses: list[Pose]) -> list[tuple[np.ndarray, np.ndarray]]:
    """How well a pose of each problem fits.

    Returns:
        Squared residuals (N,), see `residuals`; and the pose's covariance (6, 6) by the points within the outlier
        limit: the inverse of the weighted normal matrix, enlarged when the residuals exceed the claimed noise.
    """
    if not problems:
        return []
    stack = PnPBatch.of(problems)
    squared, J = residuals(stack, *stacked(poses))
    agreeing = squared < np.array([[problem.outlier**2] for problem in problems])
    weights = stack.weights * agreeing
    precision = weights / stack.sigmas**2
    normal = (J * precision[:, None, None]).reshape(len(J), 6, -1) @ J.reshape(len(J), 6, -1).transpose(0, 2, 1)
    excess = (np.where(agreeing, squared, 0) * precision).sum(1) / np.maximum(1, 2 * weights.sum(1) - 6)
    covariances = np.linalg.pinv(np.nan_to_num(normal), hermitian=True) * np.maximum(1, excess)[:, None, None]
    return [(squared[k, : len(problem.points)], covariances[k]) for k, problem in enumerate(problems)]


def stacked(poses: list[Pose]) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (B, 3, 3) and translations (B, 3)."""
    return np.array([pose.rotation for pose in poses]), np.array([pose.translation for pose in poses])


@dataclass(eq=False)
class Hypotheses:
    """Poses of one problem on the way to where its chosen points fit best.

    Attributes:
        problem: whose.
        rotations, translations: (H, 3, 3) and (H, 3).
        chosen: (H, N) which points count for each.
    """

    problem: NormalizedPnP
    rotations: np.ndarray
    translations: np.ndarray
    chosen: np.ndarray

    @property
    def poses(self) -> list[Pose]:
        """As values."""
        return [Pose(R, t) for R, t in zip(self.rotations, self.translations, strict=True)]

    def where(self, kept: np.ndarray) -> Hypotheses:
        """Those at the given indices or True in the given mask."""
        return Hypotheses(self.problem, self.rotations[kept], self.translations[kept], self.chosen[kept])


def refine_poses(guesses: list[Hypotheses], steps: int = MAX_STEPS) -> list[Hypotheses]:
    """Weighted Gauss-Newton with Huber weights over the chosen points, for all poses of all problems at once.

    Args:
        guesses: where to begin.
        steps: at most.

    Returns:
        Where it ends, without those poses that have left the front of the camera.
    """
    counts = [len(guess.rotations) for guess in guesses]
    if not sum(counts):
        return guesses
    stack = PnPBatch.of([guess.problem for guess in guesses]).repeated(counts)
    rows = np.split(np.arange(sum(counts)), np.cumsum(counts)[:-1])
    precision = stack.weights / stack.sigmas**2
    for guess, own in zip(guesses, rows, strict=True):
        precision[own, : guess.chosen.shape[1]] *= guess.chosen
    R = np.concatenate([guess.rotations for guess in guesses])
    t = np.concatenate([guess.translations for guess in guesses])
    R, t, fine = gauss_newton(R, t, stack, precision, steps)
    ends = zip(guesses, rows, strict=True)
    return [Hypotheses(guess.problem, R[own], t[own], guess.chosen).where(fine[own]) for guess, own in ends]


def gauss_newton(
    R: np.ndarray, t: np.ndarray, stack: PnPBatch, precision: np.ndarray, steps: int = MAX_STEPS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`refine_poses` on arrays: a pose of each problem, rotations (B, 3, 3) and translations (B, 3), which it changes.

    Args:
        R: where to begin.
        t: the same.
        stack: the problems.
        precision: (B, N) weights of the points in inverse variances.
        steps: at most.

    Returns:
        Rotations and translations after so many steps, or as soon as none of them moves any more; and which of them
        (B,) have all points that count in front of the camera.
    """
    counting = precision > 0
    moving, points, rays, sigmas = np.arange(len(R)), stack.points, stack.rays, stack.sigmas
    for _ in range(steps if len(R) else 0):
        J, residual = residuals_and_jacobian(R[moving], t[moving], points, rays)
        length = np.sqrt(residual[:, 0] ** 2 + residual[:, 1] ** 2) / sigmas
        weight = precision * np.minimum(1, HUBER_THRESHOLD / np.maximum(length, 1e-12))
        weighted = (J * weight[:, None, None]).reshape(len(moving), 6, -1)
        normal = weighted @ J.reshape(len(moving), 6, -1).transpose(0, 2, 1)
        normal[:, range(6), range(6)] *= 1 + 1e-9
        step = -_solved(normal, weighted @ residual.reshape(len(moving), -1, 1))[..., 0]
        R[moving] = rotation_matrices(step[:, 3:]) @ R[moving]
        t[moving] += step[:, :3]
        still = (np.abs(step) >= CONVERGED_STEP).any(1)
        if not still.any():
            break
        if not still.all():
            moving, points, rays, sigmas, precision = (
                each[still] for each in (moving, points, rays, sigmas, precision)
            )
    depths = (R[:, 2:] @ stack.points)[:, 0] + t[:, 2:]
    return R, t, np.isfinite(t).all(1) & ((depths > MIN_DEPTH) | ~counting).all(1)


def residuals_and_jacobian(
    R: np.ndarray, t: np.ndarray, points: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Projections of points and how they move with the pose.

    Args:
        R: (B, 3, 3).
        t: (B, 3).
        points: (3, N), or (B, 3, N) of each.
        rays: (2, N), or (B, 2, N) where they are seen.

    Returns:
        Derivatives (B, 6, 2, N) by a motion (v, w): p -> exp(w) R p + t + v, in the camera's frame; residuals
        (B, 2, N), large for points behind the camera.
    """
    turned = R @ points
    a, b, c = turned[:, 0], turned[:, 1], turned[:, 2]
    z = c + t[:, 2:]
    inverse = 1 / np.where(np.abs(z) < MIN_DEPTH, MIN_DEPTH, z)
    x, y = a + t[:, 0:1], b + t[:, 1:2]
    u, v = x * inverse, y * inverse
    J = np.empty((len(R), 6, 2, u.shape[1]))
    J[:, 0, 0] = J[:, 1, 1] = inverse
    J[:, 0, 1] = J[:, 1, 0] = 0
    J[:, 2, 0], J[:, 2, 1] = -u * inverse, -v * inverse
    J[:, 3, 0], J[:, 3, 1] = b * J[:, 2, 0], b * J[:, 2, 1] - c * inverse
    J[:, 4, 0], J[:, 4, 1] = c * inverse - a * J[:, 2, 0], -a * J[:, 2, 1]
    J[:, 5, 0], J[:, 5, 1] = -b * inverse, a * inverse
    forward = 1 / np.maximum(z, MIN_DEPTH)
    residual = np.empty((len(R), 2, u.shape[1]))
    residual[:, 0], residual[:, 1] = x * forward - rays[..., 0, :], y * forward - rays[..., 1, :]
    return J, residual


def _solved(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solutions (H, 6, 1) of A x = b, zero where there is none."""
    try:
        x = np.linalg.solve(A, b)
    except np.linalg.LinAlgError:
        x = np.linalg.pinv(np.nan_to_num(A, posinf=0, neginf=0)) @ np.nan_to_num(b, posinf=0, neginf=0)
    x = np.where(np.isfinite(x), x, 0)
    return x * np.minimum(1, MAX_STEP_LENGTH / np.maximum(np.abs(x).max(1, keepdims=True), 1e-12))
