"""Cuboid keypoints in an image to a pose: robust, refined, gated, with a covariance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import cv2
import numpy as np

from dope_ros2.estimation.pnp.gauss_newton import (
    MIN_DEPTH,
    Hypotheses,
    NormalizedPnP,
    PnPBatch,
    fit_statistics,
    gauss_newton,
    refine_poses,
    residuals,
    stacked,
    support,
)
from dope_ros2.estimation.pnp.p3p import p3p
from dope_ros2.estimation.pnp.surface_coordinates import NO_CELLS, Cells
from dope_ros2.geometry.pose import Pose

MIN_INLIERS = 4  # a rigid body needs three points, a unique pose four
MAX_REFINED = 5  # hypotheses of the robust search that are refined at most
MAX_REFINABLE_ERROR = 3.0  # outlier limits from its projection: a keypoint that no refinement brings back
PRELIMINARY_STEPS = 5  # of their refinement
MAX_PIXEL = 1e5  # from the image's corner that a keypoint is taken for one [px]
MAX_CELL_PAIRS = 60  # of cells that are tried as hypotheses, each with the last keypoint


@dataclass(frozen=True)
class Gate:
    """When a pose is believed.

    Attributes:
        outlier: a keypoint farther from its projection is an outlier [px].
        rms: largest root mean square error of the inliers [px].
        relative: the same, over the extent of the projected keypoints; small far objects fit any blur.
        fewest: fewest inliers; six agreeing cells count as one.
        different: two poses whose rotations differ by more are different answers [rad].
        clearer: a different answer's squared residuals, in variances, must exceed the best's by this much.
    """

    outlier: float = 10.0
    rms: float = 6.0
    relative: float = 0.08
    fewest: int = MIN_INLIERS
    different: float = np.deg2rad(25)
    clearer: float = 4.0


@dataclass(frozen=True, eq=False)
class Solution:
    """A pose that passed the gate.

    Attributes:
        pose: T_camera_object.
        covariance: (6, 6) of x, y, z [m] and rotation about x, y, z [rad], camera frame, fixed axes.
        inliers: (N,) keypoints that agree.
        rms: root mean square error of the inliers [px].
        cells: how many cells agree.
    """

    pose: Pose
    covariance: np.ndarray
    inliers: np.ndarray
    rms: float
    cells: int = 0


@dataclass(frozen=True, eq=False)
class Correspondences:
    """Keypoints of an object and where they are seen.

    Attributes:
        points: (N, 3) in the object's frame [m].
        pixels: (N, 2) [px]; rows that are not finite are missing.
        K: (3, 3) camera matrix.
        sigmas: (N,) standard deviations [px].
        cells: further points, many and unsure; the last keypoint is taken to be the centroid they lie around.
    """

    points: np.ndarray
    pixels: np.ndarray
    K: np.ndarray
    sigmas: np.ndarray
    cells: Cells = NO_CELLS

    def usable(self) -> np.ndarray:
        """(N,) which keypoints can be reckoned with."""
        return (np.abs(self.pixels) < MAX_PIXEL).all(1) & (self.sigmas > 0) & (self.sigmas < np.inf)

    def problem(self, usable: np.ndarray, outlier: float) -> NormalizedPnP:
        """At unit focal length, of the keypoints that are usable; without the centroid the cells say nothing."""
        arrays = (np.asarray(values, float)[usable] for values in (self.points, self.pixels, self.sigmas))
        return NormalizedPnP.of(*arrays, self.K, outlier, self.cells if usable[-1] else NO_CELLS)


def solve(
    points: np.ndarray, pixels: np.ndarray, K: np.ndarray, sigmas: np.ndarray, gate: Gate, cells: Cells | None = None
) -> Solution | None:
    """`solve_all` for one object; the arguments are those of a `Correspondences`."""
    points, pixels, sigmas = (np.asarray(values, float) for values in (points, pixels, sigmas))
    return solve_all([Correspondences(points, pixels, K, sigmas, cells or NO_CELLS)], gate)[0]


def solve_all(sightings: list[Correspondences], gate: Gate) -> list[Solution | None]:
    """Find the pose that explains the keypoints, for each of many objects; they share the arithmetic and nothing else.

    Every triple of keypoints is tried (P3P), judged by all of them with a truncated cost, and the best are refined on
    those that agree. Cells of the surface, where there are any, give further hypotheses and are judged and refined with
    the keypoints; where there are none, a direct solution over all keypoints is tried first and taken if they agree.

    Args:
        sightings: of the objects.
        gate: what to believe.

    Returns:
        Solutions; None where there is none, it is ambiguous or the gate refuses it.
    """
    usable = [sighting.usable() for sighting in sightings]
    problems = [s.problem(u, gate.outlier) for s, u in zip(sightings, usable, strict=True)]
    enough = [problem.most >= max(gate.fewest, MIN_INLIERS) for problem in problems]
    tried = [k for k, p in enumerate(problems) if enough[k] and MIN_INLIERS + 1 < p.keypoints == len(p.points)]
    found = PoseFit.all(problems, dict(zip(tried, direct([problems[k] for k in tried]), strict=True)))
    sure = {k: fit for k, fit in found.items() if fit.convincing}
    unsure = [k for k in range(len(problems)) if enough[k] and k not in sure]
    searched = PoseFit.all(problems, dict(zip(unsure, search([problems[k] for k in unsure], gate), strict=True)))
    answers = sure | searched
    return [answers[k].judged(s, usable[k], gate) if k in answers else None for k, s in enumerate(sightings)]


@dataclass(frozen=True, eq=False)
class PoseFit:
    """A pose of a problem, how well it fits, and its covariance, see `fit_statistics`."""

    problem: NormalizedPnP
    pose: Pose
    squared: np.ndarray
    covariance: np.ndarray

    @classmethod
    def all(cls, problems: list[NormalizedPnP], poses: dict[int, Pose | None]) -> dict[int, PoseFit]:
        """Those of the poses that are there, by their problems' indices."""
        there = {k: pose for k, pose in poses.items() if pose is not None}
        own = [problems[k] for k in there]
        measured = fit_statistics(own, list(there.values()))
        return {k: cls(problems[k], there[k], *fit) for k, fit in zip(there, measured, strict=True)}

    @property
    def agreeing(self) -> np.ndarray:
        """(N,) whether a point's residual is below the outlier limit."""
        return self.squared < self.problem.outlier**2

    @property
    def convincing(self) -> bool:
        """Whether all points agree."""
        return bool(self.agreeing.all())

    def judged(self, sighting: Correspondences, usable: np.ndarray, gate: Gate) -> Solution | None:
        """The pose with its covariance, if the gate lets it pass."""
        agreeing, n = self.agreeing, self.problem.keypoints
        keypoints, placed = agreeing[:n], self.pose.apply(sighting.points)
        used, cells = int(np.count_nonzero(keypoints)), int(np.count_nonzero(agreeing[n:]))
        if support(used, cells) < max(gate.fewest, MIN_INLIERS) or not placed[:, 2].min() > MIN_DEPTH:
            return None
        rms = (self.squared[:n] @ keypoints / used) ** 0.5 * self.problem.focal if used else np.inf
        picture = placed[:, :2] / placed[:, 2:]
        extent = (picture.max(0) - picture.min(0)).max() * self.problem.focal
        if rms > min(gate.rms, gate.relative * extent):
            return None
        inliers = np.zeros(len(sighting.points), bool)
        inliers[np.flatnonzero(usable)[keypoints]] = True
        return Solution(self.pose, self.covariance, inliers, float(rms), cells)


def rotations_differ(rotations: np.ndarray, other: np.ndarray, by: float) -> np.ndarray:
    """(H,) whether rotations (H, 3, 3) differ from another (3, 3) by more than an angle [rad]."""
    return rotations.reshape(-1, 9) @ other.ravel() < 1 + 2 * np.cos(by)  # the trace of their quotient


def direct(problems: list[NormalizedPnP]) -> list[Pose | None]:
    """Least squares over all points from SQPnP's start; None when it is far off, or they are too close together."""
    starts = {k: pose for k, problem in enumerate(problems) if (pose := _sqpnp(problem)) is not None}
    if not starts:
        return [None] * len(problems)
    stack, (R, t) = PnPBatch.of([problems[k] for k in starts]), stacked(list(starts.values()))
    squared, _ = residuals(stack, R, t)
    near = squared.max(1) <= [(MAX_REFINABLE_ERROR * problems[k].outlier) ** 2 for k in starts]
    stack = stack.where(near)
    R, t, fine = gauss_newton(R[near], t[near], stack, stack.weights / stack.sigmas**2)
    ends = {k: Pose(R[row], t[row]) for row, k in enumerate(np.array(list(starts))[near]) if fine[row]}
    return [ends.get(k) for k in range(len(problems))]


def _sqpnp(problem: NormalizedPnP) -> Pose | None:
    try:
        found = cv2.solvePnP(problem.points, problem.rays, np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error:
        return None
    ok, rotvec, translation = found
    if not ok or not np.isfinite(rotvec).all() or not np.isfinite(translation).all():
        return None
    return Pose(cv2.Rodrigues(rotvec)[0], translation.ravel())


def search(problems: list[NormalizedPnP], gate: Gate) -> list[Pose | None]:
    """Best refined poses over the P3P solutions of all triples; None where a different one explains as much."""
    best: list[Hypotheses | None] = []
    for guess in candidates(problems, gate):
        problem = guess.problem
        squared = problem.squared(guess.rotations, guess.translations)
        costs = problem.truncated(squared)
        k = int(costs.argmin()) if len(costs) else 0
        rivals = costs[rotations_differ(guess.rotations, guess.rotations[k], gate.different)] if len(costs) else costs
        if not len(costs) or rivals.min(initial=np.inf) <= costs[k] + gate.clearer:
            best.append(None)
        else:
            chosen = squared[k] < problem.outlier**2
            best.append(Hypotheses(problem, guess.rotations[[k]], guess.translations[[k]], chosen[None]))
    ends = iter(refine_poses([guess for guess in best if guess is not None]))
    return [None if guess is None else next(iter(next(ends).poses), None) for guess in best]


def candidates(problems: list[NormalizedPnP], gate: Gate) -> list[Hypotheses]:
    """The best hypotheses of each problem that differ and that enough points agree with, refined over those points.

    Returns:
        `MAX_REFINED` for each problem at most.
    """
    starts = zip(problems, hypotheses(problems), strict=True)
    guesses = refine_poses([select_hypotheses(problem, *poses, gate) for problem, poses in starts], PRELIMINARY_STEPS)
    return [guess.where(guess.problem.support(guess.chosen) >= MIN_INLIERS - 1) for guess in guesses]


def select_hypotheses(
    problem: NormalizedPnP, rotations: np.ndarray, translations: np.ndarray, gate: Gate
) -> Hypotheses:
    """Of hypotheses (H, 3, 3) and (H, 3), the cheapest that differ and that enough points agree with."""
    squared = problem.squared(rotations, translations)
    agreeing = squared < problem.outlier**2
    order = np.argsort(problem.truncated(squared), kind="stable")
    order = order[problem.support(agreeing[order]) >= gate.fewest]
    chosen: list[int] = []
    while len(order) and len(chosen) < MAX_REFINED:
        chosen.append(int(order[0]))
        order = order[rotations_differ(rotations[order], rotations[order[0]], gate.different / 3)]
    return Hypotheses(problem, rotations[chosen], translations[chosen], agreeing[chosen])


def hypotheses(problems: list[NormalizedPnP]) -> list[tuple[np.ndarray, np.ndarray]]:
    """P3P solutions of every triple of keypoints, and of the last one with pairs of cells, all in front.

    Returns:
        Rotations (H, 3, 3) and translations (H, 3) for each problem.
    """
    chosen = [triples(p.keypoints, len(p.points) - p.keypoints) for p in problems]
    points = [problem.points[three] for problem, three in zip(problems, chosen, strict=True)]
    rays = [problem.rays[three] for problem, three in zip(problems, chosen, strict=True)]
    whose = np.repeat(np.arange(len(problems)), [len(three) for three in chosen])
    if not len(whose):
        return [(np.zeros((0, 3, 3)), np.zeros((0, 3)))] * len(problems)
    rotations, translations, which = p3p(np.concatenate(points), np.concatenate(rays))
    in_front = translations[:, 2] > 0
    own = [in_front & (whose[which] == k) for k in range(len(problems))]
    return [(rotations[rows], translations[rows]) for rows in own]


@cache
def triples(keypoints: int, cells: int) -> np.ndarray:
    """(M, 3) indices of points that are tried together, cells behind the keypoints; not to be changed."""
    chosen = np.array(list(combinations(range(keypoints), 3)), int).reshape(-1, 3)
    if cells <= 1:
        return chosen
    pairs = np.random.default_rng(0).integers(keypoints, keypoints + cells, (MAX_CELL_PAIRS, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return np.vstack([chosen, np.column_stack([np.full(len(pairs), keypoints - 1), pairs])])
