"""Cuboid keypoints in an image to a pose: robust, refined, gated, with a covariance."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np

from dope_ros2.geometry import Pose
from dope_ros2.p3p import p3p
from dope_ros2.reprojection import CLOSEST, Problem
from dope_ros2.surface import NO_CELLS, Cells

FEWEST = 4  # a rigid body needs three points, a unique pose four
TRIES = 8  # hypotheses of the robust search that are refined at most
HOPELESS = 3.0  # outlier limits from its projection: a keypoint that no refinement brings back
ROUNDS, STEPS_A_ROUND = 2, 4  # of their refinement
PAIRS = 120  # of cells that are tried as hypotheses, each with the last keypoint


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
    fewest: int = FEWEST
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


def solve(
    points: np.ndarray, pixels: np.ndarray, K: np.ndarray, sigmas: np.ndarray, gate: Gate, cells: Cells | None = None
) -> Solution | None:
    """Find the pose that explains the keypoints.

    A direct solution over all keypoints is tried first; when one of them disagrees, every triple is tried (P3P),
    judged by all keypoints with a truncated cost, and the best are refined on those that agree. Cells of the surface,
    where there are any, give further hypotheses and are judged and refined with the keypoints.

    Args:
        points: (N, 3) keypoints in the object's frame [m].
        pixels: (N, 2) keypoints in the image [px]; rows that are not finite are missing.
        K: (3, 3) camera matrix.
        sigmas: (N,) standard deviations of the keypoints [px].
        gate: what to believe.
        cells: further points, many and unsure; the last keypoint is taken to be the centroid they lie around.

    Returns:
        The solution, or None when there is none, it is ambiguous or the gate refuses it.
    """
    points, pixels, sigmas = (np.asarray(values, float) for values in (points, pixels, sigmas))
    usable = np.isfinite(pixels).all(1) & (np.abs(pixels) < 1e5).all(1) & np.isfinite(sigmas) & (sigmas > 0)
    cells = cells if cells is not None and usable[-1] else NO_CELLS
    problem = Problem.of(points[usable], pixels[usable], sigmas[usable], K, gate.outlier, cells)
    if problem.support(np.ones(len(problem.points), bool)) < max(gate.fewest, FEWEST):
        return None
    pose = direct(problem) if usable.sum() > FEWEST + 1 else None
    if pose is None or not problem.convincing(pose):
        pose = search(problem, gate)
    if pose is None:
        return None
    agreeing = problem.agrees(pose)
    placed = pose.apply(points)
    enough = problem.support(agreeing) >= max(gate.fewest, FEWEST)
    if not enough or (placed[:, 2] <= CLOSEST).any() or not np.isfinite(pose.matrix).all():
        return None
    keypoints = agreeing[: problem.keypoints]
    squared = (problem.residuals(pose)[: problem.keypoints][keypoints] ** 2).sum(1)
    rms = float(np.sqrt(squared.mean()) * problem.focal) if keypoints.any() else np.inf
    extent = np.ptp(placed[:, :2] / placed[:, 2:], axis=0).max() * problem.focal
    if rms > min(gate.rms, gate.relative * extent):
        return None
    inliers = np.zeros(len(points), bool)
    inliers[np.flatnonzero(usable)[keypoints]] = True
    return Solution(pose, problem.covariance(pose, agreeing), inliers, rms, int(agreeing[problem.keypoints :].sum()))


def turns(rotations: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(H,) angles [rad] between rotations (H, 3, 3) and another (3, 3)."""
    return np.arccos(np.clip(((rotations * other).sum((1, 2)) - 1) / 2, -1, 1))


def direct(problem: Problem) -> Pose | None:
    """Least squares over all keypoints from SQPnP's start; None when it is far off, or they are too close together."""
    only = np.arange(len(problem.points)) < problem.keypoints
    points, rays = problem.points[only], problem.rays[only]
    try:
        ok, rotvec, translation = cv2.solvePnP(points, rays, np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error:
        return None
    if not ok or not np.isfinite(rotvec).all() or not np.isfinite(translation).all():
        return None
    pose = Pose.from_rotvec(rotvec.ravel(), translation.ravel())
    if np.linalg.norm(problem.residuals(pose)[only], axis=1).max() > HOPELESS * problem.outlier:
        return None
    return problem.refine(pose, only)


def search(problem: Problem, gate: Gate) -> Pose | None:
    """Best refined pose over the P3P solutions of all triples; None when a different one explains as much."""
    rotations, translations = candidates(problem, gate)
    if not len(rotations):
        return None
    costs = problem.truncated(problem.squared(rotations, translations))
    best = int(costs.argmin())
    different = turns(rotations, rotations[best]) > gate.different
    if costs[different].min(initial=np.inf) <= costs[best] + gate.clearer:
        return None
    pose = Pose(rotations[best], translations[best])
    return problem.refine(pose, problem.agrees(pose))


def candidates(problem: Problem, gate: Gate) -> tuple[np.ndarray, np.ndarray]:
    """The best hypotheses that differ and that enough points agree with, refined over those points.

    Returns:
        Rotations (H, 3, 3) and translations (H, 3), `TRIES` at most.
    """
    rotations, translations = hypotheses(problem)
    squared = problem.squared(rotations, translations)
    agreeing = squared < problem.outlier**2
    order = np.argsort(problem.truncated(squared), kind="stable")
    order = order[problem.support(agreeing[order]) >= gate.fewest]
    chosen: list[int] = []
    while len(order) and len(chosen) < TRIES:
        chosen.append(int(order[0]))
        order = order[turns(rotations[order], rotations[order[0]]) > gate.different / 3]
    rotations, translations = rotations[chosen], translations[chosen]
    for _ in range(ROUNDS if chosen else 0):  # points that agree with a better pose are other ones
        agreeing = problem.squared(rotations, translations) < problem.outlier**2
        rotations, translations, fine = problem.refine_all(rotations, translations, agreeing, STEPS_A_ROUND)
        fine &= problem.support(agreeing) >= FEWEST - 1
        rotations, translations = rotations[fine], translations[fine]
    return rotations, translations


def hypotheses(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """P3P solutions of every triple of keypoints, and of the last one with pairs of cells, all in front.

    Returns:
        Rotations (H, 3, 3) and translations (H, 3).
    """
    triples = list(combinations(range(problem.keypoints), 3))
    if len(problem.points) > problem.keypoints + 1:
        pairs = np.random.default_rng(0).integers(problem.keypoints, len(problem.points), (PAIRS, 2))
        triples += [(problem.keypoints - 1, *pair) for pair in pairs.tolist() if pair[0] != pair[1]]
    chosen = np.array(triples, int).reshape(-1, 3)
    rotations, translations = p3p(problem.points[chosen], problem.rays[chosen])
    in_front = translations[:, 2] > 0
    return rotations[in_front], translations[in_front]
