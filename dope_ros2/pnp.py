"""Cuboid keypoints in an image to a pose: robust, refined, gated, with a covariance."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry import Pose
from dope_ros2.surface import Cells

FEWEST = 4  # a rigid body needs three points, a unique pose four
HUBER = 2.0  # standard deviations beyond which a residual counts linearly
STEPS = 12  # of Gauss-Newton at most
TRIES = 8  # hypotheses of the robust search that are refined at most
PAIRS = 120  # of cells that are tried as hypotheses, each with the last keypoint
CELLS_A_KEYPOINT = 6  # so many agreeing cells count as one agreeing keypoint
CLOSEST = 1e-6  # nothing is seen nearer than this [m]
FINEST, COARSEST = 1e-3, 1e3  # standard deviations are taken to lie between these [px]


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
    different: float = np.deg2rad(15)
    clearer: float = 4.0


@dataclass(frozen=True, eq=False)
class Solution:
    """A pose that passed the gate.

    Attributes:
        pose: T_camera_object.
        covariance: (6, 6) of x, y, z [m] and rotation about x, y, z [rad], camera frame, fixed axes.
        inliers: (N,) keypoints that agree.
        rms: root mean square error of the inliers [px].
        agreement: share of the cells that agree; NaN without cells.
    """

    pose: Pose
    covariance: np.ndarray
    inliers: np.ndarray
    rms: float
    agreement: float = np.nan


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
    points, pixels = np.asarray(points, float), np.asarray(pixels, float)
    sigmas = np.asarray(sigmas, float)
    usable = np.isfinite(pixels).all(1) & (np.abs(pixels) < 1e5).all(1) & np.isfinite(sigmas) & (sigmas > 0)
    scale = np.sqrt(abs(np.linalg.det(K[:2, :2])))
    problem = _problem(points[usable], pixels[usable], sigmas[usable], K, gate.outlier, cells if usable[-1] else None)
    if problem.support(np.ones(len(problem.points), bool)) < max(gate.fewest, FEWEST):
        return None
    pose = problem.direct() if usable.sum() > FEWEST + 1 else None
    if pose is None or not problem.convincing(pose):
        pose = problem.search(gate)
    if pose is None:
        return None
    agreeing = problem.agrees(pose)
    depth = pose.apply(points)[:, 2]
    enough = problem.support(agreeing) >= max(gate.fewest, FEWEST)
    if not enough or (depth <= CLOSEST).any() or not np.isfinite(pose.matrix).all():
        return None
    keypoints = agreeing[: problem.keypoints]
    squared = (problem.residuals(pose)[: problem.keypoints][keypoints] ** 2).sum(1)
    rms = float(np.sqrt(squared.mean()) * scale) if keypoints.any() else np.inf
    extent = np.ptp(_project(pose, points), axis=0).max() * scale
    if rms > min(gate.rms, gate.relative * extent):
        return None
    inliers = np.zeros(len(points), bool)
    inliers[np.flatnonzero(usable)[keypoints]] = True
    return Solution(pose, problem.covariance(pose, agreeing), inliers, rms, problem.agreement(agreeing))


def _problem(
    points: np.ndarray, pixels: np.ndarray, sigmas: np.ndarray, K: np.ndarray, outlier: float, cells: Cells | None
) -> Problem:
    """Keypoints, and cells behind them, at unit focal length."""
    count = len(points)
    if cells is not None and len(cells.points):
        points, pixels = np.vstack([points, cells.points]), np.vstack([pixels, cells.pixels])
        sigmas = np.concatenate([sigmas, cells.sigmas])
    scale = np.sqrt(abs(np.linalg.det(K[:2, :2])))
    return Problem(points, _normalise(pixels, K), np.clip(sigmas, FINEST, COARSEST) / scale, outlier / scale, count)


def _normalise(pixels: np.ndarray, K: np.ndarray) -> np.ndarray:
    """(N, 2) pixels to coordinates on the plane z = 1."""
    homogeneous = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(K).T
    return np.ascontiguousarray(homogeneous[:, :2])


def _project(pose: Pose, points: np.ndarray) -> np.ndarray:
    """(N, 2) points on the plane z = 1; all must be in front."""
    x = pose.apply(points)
    return x[:, :2] / x[:, 2:]


def turns(rotations: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(H,) angles [rad] between rotations (H, 3, 3) and another (3, 3)."""
    return np.arccos(np.clip(((rotations * other).sum((1, 2)) - 1) / 2, -1, 1))


@dataclass(frozen=True, eq=False)
class Problem:
    """Points (N, 3) and where they are seen, (N, 2) at z = 1, with standard deviations (N,) in the same unit.

    The first `keypoints` of them are keypoints, the others cells.
    """

    points: np.ndarray
    rays: np.ndarray
    sigmas: np.ndarray
    outlier: float
    keypoints: int

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

    def direct(self) -> Pose | None:
        """Least squares over all keypoints from SQPnP's start; None when they are too close together for it."""
        points, rays = self.points[: self.keypoints], self.rays[: self.keypoints]
        try:
            ok, rotvec, translation = cv2.solvePnP(points, rays, np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP)
        except cv2.error:
            return None
        if not ok or not np.isfinite(rotvec).all() or not np.isfinite(translation).all():
            return None
        return self.refine(Pose.from_rotvec(rotvec.ravel(), translation.ravel()), np.arange(self.keypoints))

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
        for _ in range(STEPS):
            if (pose.apply(self.points[chosen])[:, 2] <= CLOSEST).any():
                return None
            residual = self.residuals(pose)[chosen] / self.sigmas[chosen, None]
            length = np.linalg.norm(residual, axis=1)
            weight = np.minimum(1, HUBER / np.maximum(length, 1e-12)) / self.sigmas[chosen] ** 2
            J = self.jacobian(pose, chosen)
            H = np.einsum("nij,n,nik->jk", J, weight, J)
            gradient = np.einsum("nij,n,ni->j", J, weight, self.residuals(pose)[chosen])
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

    def search(self, gate: Gate) -> Pose | None:
        """Best refined pose over the P3P solutions of all triples; None when a different one explains as much."""
        refined = sorted(self.candidates(gate), key=self.cost)
        if not refined:
            return None
        best = refined[0]
        different = turns(np.array([pose.rotation for pose in refined]), best.rotation) > gate.different
        rivals = (self.cost(pose) for pose, differs in zip(refined, different, strict=True) if differs)
        return best if min(rivals, default=np.inf) > self.cost(best) + gate.clearer else None

    def candidates(self, gate: Gate) -> list[Pose]:
        """The best hypotheses that differ and that enough points agree with, each refined over those points."""
        rotations, translations = self.hypotheses()
        squared = self.squared(rotations, translations)
        agreeing = squared < self.outlier**2
        order = np.argsort(self.truncated(squared), kind="stable")
        order = order[self.support(agreeing[order]) >= gate.fewest]
        found: list[Pose] = []
        for _ in range(TRIES):
            if not len(order):
                break
            first, order = order[0], order[1:]
            better = self.refine(Pose(rotations[first], translations[first]), agreeing[first])
            if better is not None:
                found.append(better)
                order = order[turns(rotations[order], better.rotation) > gate.different / 3]
        return found

    def hypotheses(self) -> tuple[np.ndarray, np.ndarray]:
        """P3P solutions of every triple of keypoints, and of the last one with pairs of cells, all in front.

        Returns:
            Rotations (H, 3, 3) and translations (H, 3).
        """
        rotvecs, translations = [np.zeros((0, 3, 1))], [np.zeros((0, 3, 1))]
        triples = list(combinations(range(self.keypoints), 3))
        if len(self.points) > self.keypoints + 1:
            pairs = np.random.default_rng(0).integers(self.keypoints, len(self.points), (PAIRS, 2))
            triples += [(self.keypoints - 1, *pair) for pair in pairs.tolist() if pair[0] != pair[1]]
        for triple in triples:
            chosen = list(triple)
            try:
                count, r, t = cv2.solveP3P(
                    self.points[chosen], self.rays[chosen], np.eye(3), None, flags=cv2.SOLVEPNP_AP3P
                )
            except cv2.error:  # collinear points
                continue
            if count:
                rotvecs.append(np.array(r))
                translations.append(np.array(t))
        r, t = np.concatenate(rotvecs)[..., 0], np.concatenate(translations)[..., 0]
        usable = np.isfinite(r).all(1) & np.isfinite(t).all(1) & (t[:, 2] > 0)
        return Rotation.from_rotvec(r[usable]).as_matrix(), t[usable]

    def squared(self, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """(H, N) squared residuals of many poses; infinite all over when a point lies behind the camera."""
        x = self.points @ rotations.transpose(0, 2, 1) + translations[:, None]  # (H, N, 3)
        in_front = (x[..., 2] > CLOSEST).all(1)
        squared = ((x[..., :2] / np.maximum(x[..., 2:], CLOSEST) - self.rays) ** 2).sum(-1)
        return np.where(in_front[:, None], squared, np.inf)

    def truncated(self, squared: np.ndarray) -> np.ndarray:
        """(H,) costs of squared residuals (H, N): their sum in variances, an outlier counts as its limit."""
        return (np.minimum(squared, self.outlier**2) / self.sigmas**2).sum(-1)

    def cost(self, pose: Pose) -> float:
        """The cost of one pose."""
        return float(self.truncated(self.squared(pose.rotation[None], pose.translation[None]))[0])

    def covariance(self, pose: Pose, chosen: np.ndarray) -> np.ndarray:
        """(6, 6) inverse of the weighted normal matrix, enlarged when the residuals exceed the claimed noise."""
        J = self.jacobian(pose, chosen) / self.sigmas[chosen, None, None]
        squared = ((self.residuals(pose)[chosen] / self.sigmas[chosen, None]) ** 2).sum()
        freedom = max(1, 2 * chosen.sum() - 6)
        return np.linalg.pinv(np.einsum("nij,nik->jk", J, J)) * max(1.0, squared / freedom)
