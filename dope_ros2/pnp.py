"""Cuboid keypoints in an image to a pose: robust, refined, gated, with a covariance."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry import Pose
from dope_ros2.reprojection import CLOSEST, Problem
from dope_ros2.surface import NO_CELLS, Cells

FEWEST = 4  # a rigid body needs three points, a unique pose four
TRIES = 8  # hypotheses of the robust search that are refined at most
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
    """Least squares over all keypoints from SQPnP's start; None when they are too close together for it."""
    points, rays = problem.points[: problem.keypoints], problem.rays[: problem.keypoints]
    try:
        ok, rotvec, translation = cv2.solvePnP(points, rays, np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error:
        return None
    if not ok or not np.isfinite(rotvec).all() or not np.isfinite(translation).all():
        return None
    return problem.refine(Pose.from_rotvec(rotvec.ravel(), translation.ravel()), np.arange(problem.keypoints))


def search(problem: Problem, gate: Gate) -> Pose | None:
    """Best refined pose over the P3P solutions of all triples; None when a different one explains as much."""
    refined = sorted(candidates(problem, gate), key=problem.cost)
    if not refined:
        return None
    best = refined[0]
    different = turns(np.array([pose.rotation for pose in refined]), best.rotation) > gate.different
    rivals = (problem.cost(pose) for pose, differs in zip(refined, different, strict=True) if differs)
    return best if min(rivals, default=np.inf) > problem.cost(best) + gate.clearer else None


def candidates(problem: Problem, gate: Gate) -> list[Pose]:
    """The best hypotheses that differ and that enough points agree with, each refined over those points."""
    rotations, translations = hypotheses(problem)
    squared = problem.squared(rotations, translations)
    agreeing = squared < problem.outlier**2
    order = np.argsort(problem.truncated(squared), kind="stable")
    order = order[problem.support(agreeing[order]) >= gate.fewest]
    found: list[Pose] = []
    for _ in range(TRIES):
        if not len(order):
            break
        first, order = order[0], order[1:]
        better = problem.refine(Pose(rotations[first], translations[first]), agreeing[first])
        if better is not None:
            found.append(better)
            order = order[turns(rotations[order], better.rotation) > gate.different / 3]
    return found


def hypotheses(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """P3P solutions of every triple of keypoints, and of the last one with pairs of cells, all in front.

    Returns:
        Rotations (H, 3, 3) and translations (H, 3).
    """
    rotvecs, translations = [np.zeros((0, 3, 1))], [np.zeros((0, 3, 1))]
    triples = list(combinations(range(problem.keypoints), 3))
    if len(problem.points) > problem.keypoints + 1:
        pairs = np.random.default_rng(0).integers(problem.keypoints, len(problem.points), (PAIRS, 2))
        triples += [(problem.keypoints - 1, *pair) for pair in pairs.tolist() if pair[0] != pair[1]]
    for triple in triples:
        chosen = list(triple)
        try:
            count, r, t = cv2.solveP3P(
                problem.points[chosen], problem.rays[chosen], np.eye(3), None, flags=cv2.SOLVEPNP_AP3P
            )
        except cv2.error:  # collinear points
            continue
        if count:
            rotvecs.append(np.array(r))
            translations.append(np.array(t))
    r, t = np.concatenate(rotvecs)[..., 0], np.concatenate(translations)[..., 0]
    usable = np.isfinite(r).all(1) & np.isfinite(t).all(1) & (t[:, 2] > 0)
    return Rotation.from_rotvec(r[usable]).as_matrix(), t[usable]
