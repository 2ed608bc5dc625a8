"""Matched features to poses of one or several instances of an object, most of the matches being wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dope_ros2.feature_matching.match_graph import compatible, rays_through, seeds_of
from dope_ros2.feature_matching.matches import Matches
from dope_ros2.feature_matching.weak_perspective import weak_perspective
from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.geometry.pose import Pose, rotation_matrices

TRIPLES = 6  # that are tried with each seed
MIN_INLIERS = 4
MAX_INSTANCES = 5  # of an object
OUTLIER = 3.0  # standard deviations
MAX_TURN, MAX_SCALE = np.deg2rad(35), 1.7  # a feature's direction and size in the image, off from the pose's
KEPT = 64  # poses of triples whose directions and sizes are looked at
REFINED = 8  # poses that are refined to all that agree with them
ROUNDS, STEPS = 3, 4  # of that, and steps of each
MIN_DEPTH = 1e-3  # [m]
LARGEST_TURN, LARGEST_MOVE = 0.4, 0.3  # of a step [rad, of the distance]


class MatchedPose(NamedTuple):
    """A pose T_camera_object, and how many features of the image agree."""

    pose: Pose
    inliers: int


def find_poses(matches: Matches, K: np.ndarray, box: BoundingBox) -> list[MatchedPose]:
    """Poses of the instances of an object, the clearest first; each takes the matches that agree with it.

    Args:
        matches: of the object's features with an image's.
        K: (3, 3) camera matrix.
        box: of the object [m].
    """
    found = []
    while len(found) < MAX_INSTANCES:
        best = _clearest(matches, K, box)
        if best is None:
            break
        pose, agreeing = best
        places = len(np.unique(np.rint(matches.pixels[agreeing]), axis=0))
        if places < MIN_INLIERS:
            break
        found.append(MatchedPose(pose, places))
        matches = matches.where(~agreeing)
    return found


def _clearest(matches: Matches, K: np.ndarray, box: BoundingBox) -> tuple[Pose, np.ndarray] | None:
    """The pose that most matches agree with, and which (N,) do; None where too few agree."""
    graph = compatible(matches, K, box)
    seeds = seeds_of(graph, MIN_INLIERS - 1)
    if not seeds:
        return None
    R, t = _of_triples(matches, K, _triples(graph, seeds))
    error = errors(matches, R, t, K)
    support = np.maximum(1 - (error / (OUTLIER * matches.sigmas)) ** 2, 0).sum(1)
    kept = np.argsort(-support, kind="stable")[:KEPT]
    R, t = R[kept], t[kept]
    weights = agreement(matches, R, t, K)
    kept = np.argsort(-weights.sum(1), kind="stable")[:REFINED]
    R, t, weights = R[kept], t[kept], weights[kept]
    if np.count_nonzero(weights, axis=1).max(initial=0) < MIN_INLIERS - 1:
        return None
    for _ in range(ROUNDS):
        used = weights.any(0)
        if not used.any():
            return None
        points = np.broadcast_to(matches.points[used], (len(R), int(used.sum()), 3))
        R, t = gauss_newton(points, matches.pixels[used], matches.sigmas[used], weights[:, used] > 0, R, t, K, STEPS)
        weights = agreement(matches, R, t, K)
    if not weights.any():
        return None
    best = int(weights.sum(1).argmax())
    return Pose(R[best], t[best]), weights[best] > 0


def _triples(graph: np.ndarray, seeds: list[int]) -> np.ndarray:
    """(M, 3) indices of matches: each seed with pairs of those that it is compatible with, the same every time."""
    rng, triples = np.random.default_rng(0), []
    for seed in seeds:
        near = np.flatnonzero(graph[seed])
        first = rng.integers(len(near), size=TRIPLES)
        second = (first + rng.integers(1, len(near), size=TRIPLES)) % len(near)
        triples.append(np.column_stack([np.full(TRIPLES, seed), near[first], near[second]]))
    return np.concatenate(triples)


def _of_triples(matches: Matches, K: np.ndarray, triples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poses (H, 3, 3) and (H, 3) of triples (M, 3) of matches."""
    rays = rays_through(matches.pixels, K)
    R, t, which = weak_perspective(matches.points[triples], rays[triples, :2])
    if not len(R):
        return R, t
    own = triples[which]
    ones = np.ones(own.shape)
    return gauss_newton(matches.points[own], matches.pixels[own], matches.sigmas[own], ones, R, t, K, ROUNDS)


def errors(matches: Matches, R: np.ndarray, t: np.ndarray, K: np.ndarray) -> np.ndarray:
    """(H, N) how far matches lie from their projections under poses [px]; infinite behind the camera."""
    homogeneous = ((K @ R).reshape(-1, 3) @ matches.points.T).reshape(-1, 3, len(matches.points)) + (t @ K.T)[..., None]
    depth = np.maximum(homogeneous[:, 2], MIN_DEPTH)
    off = homogeneous[:, :2] / depth[:, None] - matches.pixels.T
    return np.where(homogeneous[:, 2] > MIN_DEPTH, np.hypot(off[:, 0], off[:, 1]), np.inf)


def agreement(matches: Matches, R: np.ndarray, t: np.ndarray, K: np.ndarray) -> np.ndarray:
    """(H, N) how much matches agree with poses, from 0 to 1: place, size and direction, on a side that is seen."""

    def seen(vectors: np.ndarray) -> np.ndarray:
        return vectors @ R.transpose(0, 2, 1)

    places, normals = seen(matches.points) + t[:, None], seen(matches.normals)
    depth = np.maximum(places[..., 2], MIN_DEPTH)
    pixels = (places @ K.T)[..., :2] / depth[..., None]
    tips = places + seen(matches.tangents) * (matches.extents * 0.1)[:, None]
    ahead = (tips @ K.T)[..., :2] / np.maximum(tips[..., 2:], MIN_DEPTH) - pixels
    along = ahead[..., 0] * np.cos(matches.angles) + ahead[..., 1] * np.sin(matches.angles)
    size = K[0, 0] * matches.extents / depth / matches.sizes
    agreeing = (
        (places[..., 2] > MIN_DEPTH)
        & ((normals * places).sum(2) < 0)
        & (along > np.cos(MAX_TURN) * np.hypot(ahead[..., 0], ahead[..., 1]))
        & (np.abs(np.log(size)) < np.log(MAX_SCALE))
    )
    off = np.linalg.norm(pixels - matches.pixels, axis=2) / (OUTLIER * matches.sigmas)
    return np.where(agreeing, np.maximum(1 - off**2, 0), 0)


def gauss_newton(
    points: np.ndarray,
    pixels: np.ndarray,
    sigmas: np.ndarray,
    weights: np.ndarray,
    R: np.ndarray,
    t: np.ndarray,
    K: np.ndarray,
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Poses R (B, 3, 3), t (B, 3) moved to where points (B, N, 3) are seen: pixels (.., N, 2), deviations (.., N)."""
    for _ in range(steps):
        arms = points @ R.transpose(0, 2, 1)
        places = arms + t[:, None]
        depth = np.maximum(places[..., 2:], MIN_DEPTH)
        seen = (places @ K.T)[..., :2] / depth
        residuals = (seen - pixels) / sigmas[..., None]
        moves = (K[:2] - seen[..., None] * K[2]) / (depth * sigmas[..., None])[..., None]  # (B, N, 2, 3)
        (x, y, z), (u, v, w) = np.moveaxis(arms[..., None, :], -1, 0), np.moveaxis(moves, -1, 0)
        J = np.stack([u, v, w, y * w - z * v, z * u - x * w, x * v - y * u], -1).reshape(len(R), -1, 6)
        robust = weights / (1 + (residuals**2).sum(-1) / 4)
        weighted = J * np.repeat(robust, 2, axis=1)[..., None]
        H = weighted.transpose(0, 2, 1) @ J
        H += np.eye(6) * (1e-3 * np.einsum("bii->bi", H) + 1e-6)[:, None]
        step = -np.linalg.solve(H, weighted.transpose(0, 2, 1) @ residuals.reshape(len(R), -1, 1))[..., 0]
        excess = np.maximum(
            np.abs(step[:, 3:]).max(1) / LARGEST_TURN,
            np.linalg.norm(step[:, :3], axis=1) / (LARGEST_MOVE * np.maximum(np.abs(t[:, 2]), MIN_DEPTH)),
        )
        step /= np.maximum(excess, 1)[:, None]
        R, t = rotation_matrices(step[:, 3:]) @ R, t + step[:, :3]
    return R, t
