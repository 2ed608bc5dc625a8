"""Cuboid keypoints in an image to a pose: robust, refined, gated, with a covariance."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry import Pose

FEWEST = 4  # a rigid body needs three points, a unique pose four
HUBER = 2.0  # standard deviations beyond which a residual counts linearly
STEPS = 12  # of Gauss-Newton at most
TOP = 6  # hypotheses of the robust search that are refined


@dataclass(frozen=True)
class Gate:
    """When a pose is believed.

    Attributes:
        outlier: a keypoint farther from its projection is an outlier [px].
        rms: largest root mean square error of the inliers [px].
        fewest: fewest inliers.
        different: two poses whose rotations differ by more are different answers [rad].
        clearer: a different answer's squared residuals, in variances, must exceed the best's by this much.
    """

    outlier: float = 10.0
    rms: float = 6.0
    fewest: int = FEWEST
    different: float = np.deg2rad(15)
    clearer: float = 9.0


@dataclass(frozen=True, eq=False)
class Solution:
    """A pose that passed the gate.

    Attributes:
        pose: T_camera_object.
        covariance: (6, 6) of x, y, z [m] and rotation about x, y, z [rad], camera frame, fixed axes.
        inliers: (N,) keypoints that agree.
        rms: root mean square error of the inliers [px].
    """

    pose: Pose
    covariance: np.ndarray
    inliers: np.ndarray
    rms: float


def solve(points: np.ndarray, pixels: np.ndarray, K: np.ndarray, sigmas: np.ndarray, gate: Gate) -> Solution | None:
    """Find the pose that explains the keypoints.

    A direct solution over all keypoints is tried first; when one of them disagrees, every triple is tried (P3P),
    judged by all keypoints with a truncated cost, and the best are refined on those that agree.

    Args:
        points: (N, 3) keypoints in the object's frame [m].
        pixels: (N, 2) keypoints in the image [px]; rows that are not finite are missing.
        K: (3, 3) camera matrix.
        sigmas: (N,) standard deviations of the keypoints [px].
        gate: what to believe.

    Returns:
        The solution, or None when there is none, it is ambiguous or the gate refuses it.
    """
    points, pixels = np.asarray(points, float), np.asarray(pixels, float)
    usable = np.isfinite(pixels).all(1) & (np.abs(pixels) < 1e5).all(1) & np.isfinite(sigmas) & (np.asarray(sigmas) > 0)
    if usable.sum() < gate.fewest:
        return None
    points_used, rays, sigmas_used = points[usable], _normalise(pixels[usable], K), np.asarray(sigmas, float)[usable]
    scale = np.sqrt(abs(np.linalg.det(K[:2, :2])))
    problem = Problem(points_used, rays, sigmas_used / scale, gate.outlier / scale)
    pose = problem.direct() if usable.sum() > FEWEST + 1 else None
    if pose is None or not problem.agrees(pose).all():
        pose = problem.search(gate)
    if pose is None:
        return None
    agreeing = problem.agrees(pose)
    depth = pose.apply(points)[:, 2]
    if agreeing.sum() < gate.fewest or (depth <= 0).any() or not np.isfinite(pose.matrix).all():
        return None
    rms = float(np.sqrt((problem.residuals(pose)[agreeing] ** 2).sum(1).mean()) * scale)
    if rms > gate.rms:
        return None
    inliers = np.zeros(len(points), bool)
    inliers[np.flatnonzero(usable)[agreeing]] = True
    return Solution(pose, problem.covariance(pose, agreeing), inliers, rms)


def _normalise(pixels: np.ndarray, K: np.ndarray) -> np.ndarray:
    """(N, 2) pixels to coordinates on the plane z = 1."""
    homogeneous = np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(K).T
    return np.ascontiguousarray(homogeneous[:, :2])


def turn(one: Pose, other: Pose) -> float:
    """Angle between two rotations [rad]; quicker than `Pose.angle_to`."""
    return float(np.arccos(np.clip(((one.rotation * other.rotation).sum() - 1) / 2, -1, 1)))


@dataclass(frozen=True, eq=False)
class Problem:
    """Points (N, 3) and where they are seen, (N, 2) at z = 1, with standard deviations (N,) in the same unit."""

    points: np.ndarray
    rays: np.ndarray
    sigmas: np.ndarray
    outlier: float

    def residuals(self, pose: Pose) -> np.ndarray:
        """(N, 2) projection minus observation; large for points behind the camera."""
        x = pose.apply(self.points)
        depth = np.where(x[:, 2] > 1e-6, x[:, 2], 1e-6)
        return x[:, :2] / depth[:, None] - self.rays

    def agrees(self, pose: Pose) -> np.ndarray:
        """(N,) whether a point's residual is below the outlier limit."""
        return np.linalg.norm(self.residuals(pose), axis=1) < self.outlier

    def direct(self) -> Pose | None:
        """Least squares over all points from SQPnP's start."""
        ok, rotvec, translation = cv2.solvePnP(self.points, self.rays, np.eye(3), None, flags=cv2.SOLVEPNP_SQPNP)
        if not ok or not np.isfinite(rotvec).all() or not np.isfinite(translation).all():
            return None
        return self.refine(Pose.from_rotvec(rotvec.ravel(), translation.ravel()), np.ones(len(self.points), bool))

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
            if (pose.apply(self.points[chosen])[:, 2] <= 1e-6).any():
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
        rotations, translations = self.hypotheses()
        if not len(rotations):
            return None
        costs = self.costs(rotations, translations)
        refined: list[Pose] = []
        for index in np.argsort(costs, kind="stable"):
            if len(refined) == TOP:
                break
            hypothesis = Pose(rotations[index], translations[index])
            if any(turn(hypothesis, other) < gate.different / 3 for other in refined):
                continue
            agreeing = self.agrees(hypothesis)
            better = self.refine(hypothesis, agreeing) if agreeing.sum() >= gate.fewest else None
            if better is not None:
                refined.append(better)
        if not refined:
            return None
        refined.sort(key=self.cost)
        best = refined[0]
        rivals = (self.cost(p) for p in refined[1:] if turn(p, best) > gate.different)
        return best if min(rivals, default=np.inf) > self.cost(best) + gate.clearer else None

    def hypotheses(self) -> tuple[np.ndarray, np.ndarray]:
        """P3P solutions of every triple of points: rotations (H, 3, 3) and translations (H, 3), all in front."""
        rotvecs, translations = [np.zeros((0, 3, 1))], [np.zeros((0, 3, 1))]
        for triple in combinations(range(len(self.points)), 3):
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

    def costs(self, rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
        """(H,) costs of many poses: squared residuals in variances, truncated; behind the camera all count in full."""
        limit = (self.outlier / self.sigmas) ** 2
        x = self.points @ rotations.transpose(0, 2, 1) + translations[:, None]  # (H, N, 3)
        in_front = (x[..., 2] > 1e-6).all(1)
        squared = ((x[..., :2] / np.maximum(x[..., 2:], 1e-6) - self.rays) ** 2).sum(-1) / self.sigmas**2
        return np.where(in_front, np.minimum(squared, limit).sum(1), limit.sum())

    def cost(self, pose: Pose) -> float:
        """The cost of one pose."""
        return float(self.costs(pose.rotation[None], pose.translation[None])[0])

    def covariance(self, pose: Pose, chosen: np.ndarray) -> np.ndarray:
        """(6, 6) inverse of the weighted normal matrix, enlarged when the residuals exceed the claimed noise."""
        J = self.jacobian(pose, chosen) / self.sigmas[chosen, None, None]
        squared = ((self.residuals(pose)[chosen] / self.sigmas[chosen, None]) ** 2).sum()
        freedom = max(1, 2 * chosen.sum() - 6)
        return np.linalg.pinv(np.einsum("nij,nik->jk", J, J)) * max(1.0, squared / freedom)
