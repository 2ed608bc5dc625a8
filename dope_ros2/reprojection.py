"""Points of an object and where they are seen: residuals, their cost, and the poses that make them least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry import Pose
from dope_ros2.surface import Cells

HUBER = 2.0  # standard deviations beyond which a residual counts linearly
STEPS = 12  # of Gauss-Newton at most
WRONG = 12.0  # squared standard deviations beyond which a point is taken to be wrong; however far, it costs so much
CELLS_A_KEYPOINT = 6  # so many agreeing cells count as one agreeing keypoint
LONGEST = 1.0  # step [m, rad]; longer ones are cut
CONVERGED = 1e-6  # a step that is smaller in all of x, y, z [m] and the rotation [rad] is the last
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

    def of_keypoints(self) -> Problem:
        """The same without cells."""
        n = self.keypoints
        arrays = (self.points[:n], self.rays[:n], self.sigmas[:n], self.weights[:n])
        return Problem(*arrays, self.outlier, self.focal, n)

    def support(self, agreeing: np.ndarray) -> np.ndarray:
        """How many keypoints agree, cells counted in; `agreeing` is (..., N)."""
        few, many = agreeing[..., : self.keypoints], agreeing[..., self.keypoints :]
        return few.sum(-1) + many.sum(-1) // CELLS_A_KEYPOINT

    def squared(self, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """(H, N) squared residuals of many poses; infinite all over when a point lies behind the camera."""
        x = (rotations.reshape(-1, 3) @ self.points.T).reshape(-1, 3, len(self.points)) + translations[..., None]
        depth = np.maximum(x[:, 2], CLOSEST)
        squared = (x[:, 0] / depth - self.rays[:, 0]) ** 2 + (x[:, 1] / depth - self.rays[:, 1]) ** 2
        return np.where((x[:, 2] > CLOSEST).all(1)[:, None], squared, np.inf)

    def truncated(self, squared: np.ndarray) -> np.ndarray:
        """(H,) costs of squared residuals (H, N): their sum in variances, a wrong point counts as much as any other."""
        variances = np.minimum(squared, self.outlier**2) / self.sigmas**2
        return np.minimum(variances, WRONG) @ self.weights


class Stack(NamedTuple):
    """Several problems side by side, each filled up with points of no weight to the number of the longest.

    Points (B, 3, N), rays (B, 2, N), standard deviations (B, N), weights (B, N).
    """

    points: np.ndarray
    rays: np.ndarray
    sigmas: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, problems: list[Problem]) -> Stack:
        """Copy them."""
        count, longest = len(problems), max((len(problem.points) for problem in problems), default=0)
        stack = cls(*(np.zeros((count, *rows, longest)) for rows in ((3,), (2,), (), ())))
        stack.sigmas[:] = 1
        for k, problem in enumerate(problems):
            n = len(problem.points)
            stack.points[k, :, :n], stack.rays[k, :, :n] = problem.points.T, problem.rays.T
            stack.sigmas[k, :n], stack.weights[k, :n] = problem.sigmas, problem.weights
        return stack

    def repeated(self, counts: list[int]) -> Stack:
        """Each as often as said."""
        return Stack(*(np.repeat(array, counts, axis=0) for array in self))


def fits(problems: list[Problem], poses: list[Pose]) -> list[tuple[np.ndarray, np.ndarray]]:
    """How well a pose of each problem fits.

    Returns:
        Squared residuals (N,), infinite all over when a point lies behind the camera; and the pose's covariance (6, 6)
        by the points within the outlier limit: the inverse of the weighted normal matrix, enlarged when the residuals
        exceed the claimed noise.
    """
    if not problems:
        return []
    stack = Stack.of(problems)
    R, t = np.array([pose.rotation for pose in poses]), np.array([pose.translation for pose in poses])
    J, residual = linearised(R, t, stack.points, stack.rays)
    behind = ((R[:, 2:] @ stack.points)[:, 0] + t[:, 2:] <= CLOSEST) & (stack.weights > 0)
    squared = np.where(behind.any(1)[:, None], np.inf, (residual**2).sum(1))
    agreeing = squared < np.array([[problem.outlier**2] for problem in problems])
    weights = stack.weights * agreeing
    precision = weights / stack.sigmas**2
    normal = (J * precision[:, None, None]).reshape(len(J), 6, -1) @ J.reshape(len(J), 6, -1).transpose(0, 2, 1)
    excess = (np.where(agreeing, squared, 0) * precision).sum(1) / np.maximum(1, 2 * weights.sum(1) - 6)
    covariances = np.linalg.pinv(np.nan_to_num(normal)) * np.maximum(1, excess)[:, None, None]
    return [(squared[k, : len(problem.points)], covariances[k]) for k, problem in enumerate(problems)]


@dataclass(eq=False)
class Guess:
    """Poses of one problem on the way to where its chosen points fit best.

    Attributes:
        problem: whose.
        rotations, translations: (H, 3, 3) and (H, 3).
        chosen: (H, N) which points count for each.
    """

    problem: Problem
    rotations: np.ndarray
    translations: np.ndarray
    chosen: np.ndarray

    @classmethod
    def one(cls, problem: Problem, pose: Pose, chosen: np.ndarray) -> Guess:
        """A single pose, and the points (N,) that count."""
        return cls(problem, pose.rotation[None], pose.translation[None], chosen[None])

    @property
    def poses(self) -> list[Pose]:
        """As values."""
        return [Pose(R, t) for R, t in zip(self.rotations, self.translations, strict=True)]

    def where(self, kept: np.ndarray) -> Guess:
        """Those at the given indices or True in the given mask."""
        return Guess(self.problem, self.rotations[kept], self.translations[kept], self.chosen[kept])


def refined(guesses: list[Guess], steps: int = STEPS) -> list[Guess]:
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
    stack = Stack.of([guess.problem for guess in guesses]).repeated(counts)
    rows = np.split(np.arange(sum(counts)), np.cumsum(counts)[:-1])
    precision = stack.weights / stack.sigmas**2
    for guess, own in zip(guesses, rows, strict=True):
        precision[own, : guess.chosen.shape[1]] *= guess.chosen
    R = np.concatenate([guess.rotations for guess in guesses])
    t = np.concatenate([guess.translations for guess in guesses])
    R, t = _descended(R, t, stack, precision, steps)
    depths = (R[:, 2:] @ stack.points)[:, 0] + t[:, 2:]
    fine = np.isfinite(t).all(1) & ((depths > CLOSEST) | (precision == 0)).all(1)
    ends = zip(guesses, rows, strict=True)
    return [Guess(guess.problem, R[own], t[own], guess.chosen).where(fine[own]) for guess, own in ends]


def _descended(
    R: np.ndarray, t: np.ndarray, stack: Stack, precision: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (B, 3, 3) and translations (B, 3) after so many steps, or as soon as none of them moves any more."""
    moving = np.arange(len(R))
    for _ in range(steps):
        J, residual = linearised(R[moving], t[moving], stack.points[moving], stack.rays[moving])
        length = np.sqrt((residual**2).sum(1)) / stack.sigmas[moving]
        weight = precision[moving] * np.minimum(1, HUBER / np.maximum(length, 1e-12))
        weighted = (J * weight[:, None, None]).reshape(len(moving), 6, -1)
        normal = weighted @ J.reshape(len(moving), 6, -1).transpose(0, 2, 1)
        normal[:, range(6), range(6)] *= 1 + 1e-9
        step = -_solved(normal, weighted @ residual.reshape(len(moving), -1, 1))[..., 0]
        R[moving] = Rotation.from_rotvec(step[:, 3:]).as_matrix() @ R[moving]
        t[moving] += step[:, :3]
        moving = moving[(np.abs(step) >= CONVERGED).any(1)]
        if not len(moving):
            break
    return R, t


def linearised(R: np.ndarray, t: np.ndarray, points: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
    inverse = 1 / np.where(np.abs(z) < CLOSEST, CLOSEST, z)
    x, y = a + t[:, 0:1], b + t[:, 1:2]
    u, v = x * inverse, y * inverse
    J = np.empty((len(R), 6, 2, u.shape[1]))
    J[:, 0, 0] = J[:, 1, 1] = inverse
    J[:, 0, 1] = J[:, 1, 0] = 0
    J[:, 2, 0], J[:, 2, 1] = -u * inverse, -v * inverse
    J[:, 3, 0], J[:, 3, 1] = b * J[:, 2, 0], b * J[:, 2, 1] - c * inverse
    J[:, 4, 0], J[:, 4, 1] = c * inverse - a * J[:, 2, 0], -a * J[:, 2, 1]
    J[:, 5, 0], J[:, 5, 1] = -b * inverse, a * inverse
    forward = 1 / np.maximum(z, CLOSEST)
    return J, np.stack([x * forward, y * forward], 1) - rays


def _solved(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solutions (H, 6, 1) of A x = b, zero where there is none."""
    try:
        x = np.linalg.solve(A, b)
    except np.linalg.LinAlgError:
        x = np.linalg.pinv(np.nan_to_num(A, posinf=0, neginf=0)) @ np.nan_to_num(b, posinf=0, neginf=0)
    x = np.where(np.isfinite(x), x, 0)
    return x * np.minimum(1, LONGEST / np.maximum(np.abs(x).max(1, keepdims=True), 1e-12))
