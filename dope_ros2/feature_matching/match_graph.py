"""Which matches can be of one and the same instance: each alone says roughly where the object is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dope_ros2.feature_matching.matches import Matches
from dope_ros2.geometry.bounding_box import BoundingBox

VOTE_RADIUS = 0.4  # of the object's diameter in the image, between the centres that two matches vote for
VOTE_SCALE = 2.0  # ratio of their distances
VOTE_TURN = np.deg2rad(75)  # between their rotations
SAME_SIDE = 0.9  # cosine of the angle between normals, above which both lie on one side of the object
LONGEST, SHORTEST = 1.7, 0.3  # of the distance in the image that one match expects the other at; the second on one side
DIRECTIONS = np.deg2rad(80), np.deg2rad(45)  # off from where it expects it: on different sides, and on one
SLACK = 1.0  # of the sizes of both [px]: so far each may be off from its place
SEEDS = 24


class Votes(NamedTuple):
    """Poses T_camera_object as each match alone gives them.

    Attributes:
        R: (N, 3, 3) rotations.
        t: (N, 3) translations [m].
        depths: (N,) of the features themselves [m].
    """

    R: np.ndarray
    t: np.ndarray
    depths: np.ndarray


def rays_through(pixels: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Rays (N, 3) at z = 1 of the camera frame through pixels (N, 2)."""
    return np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(K).T


def votes(matches: Matches, K: np.ndarray) -> Votes:
    """The pose of each match, its side of the object being seen from straight ahead."""
    rays = rays_through(matches.pixels, K)
    forward = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    x = np.column_stack([np.cos(matches.angles), np.sin(matches.angles), np.zeros(len(rays))])
    x -= (x * forward).sum(1, keepdims=True) * forward
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    seen = np.stack([x, np.cross(-forward, x), -forward], 2)
    own = np.stack([matches.tangents, np.cross(matches.normals, matches.tangents), matches.normals], 2)
    R = seen @ own.transpose(0, 2, 1)
    depths = K[0, 0] * matches.extents / matches.sizes
    return Votes(R, rays * depths[:, None] - np.einsum("nij,nj->ni", R, matches.points), depths)


def compatible(matches: Matches, K: np.ndarray, box: BoundingBox) -> np.ndarray:
    """(N, N) bool, symmetric: whether two matches can be of one instance; none is with itself."""
    R, t, depths = votes(matches, K)
    centres = np.einsum("nij,j->ni", R, box.centre) + t
    centres = centres[:, :2] / np.maximum(centres[:, 2:], 1e-3)
    radius = VOTE_RADIUS * np.linalg.norm(box.size) / np.sqrt(depths[:, None] * depths[None])
    flat, logs = R.reshape(-1, 9), np.log(depths)
    near = ((centres[:, None] - centres[None]) ** 2).sum(2) < radius**2
    near &= np.abs(logs[:, None] - logs[None]) < np.log(VOTE_SCALE)
    near &= flat @ flat.T > 1 + 2 * np.cos(VOTE_TURN)
    i, j = np.nonzero(near)
    near[i, j] = _as_expected(matches, K, Votes(R[i], t[i], depths[i]), i, j)
    return near & near.T


def _as_expected(matches: Matches, K: np.ndarray, vote: Votes, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """(P,) whether match j is seen about where match i, with its vote (P), expects it."""
    arms = np.einsum("pij,pj->pi", vote.R, matches.points[j] - matches.points[i])
    expected = arms[:, :2] * (K[0, 0] / vote.depths)[:, None]
    seen = matches.pixels[j] - matches.pixels[i]
    long, short = np.linalg.norm(expected, axis=1), np.linalg.norm(seen, axis=1)
    one_side = (matches.normals[i] * matches.normals[j]).sum(1) > SAME_SIDE
    slack = SLACK * (matches.sizes[i] + matches.sizes[j])
    directed = (expected * seen).sum(1) > long * short * np.cos(np.where(one_side, DIRECTIONS[1], DIRECTIONS[0]))
    return (
        (short > 1)
        & (short < LONGEST * long + slack)
        & (~one_side | (short > SHORTEST * long - slack))
        & (directed | (np.minimum(long, short) < slack))
    )


def seeds_of(graph: np.ndarray, fewest: int) -> list[int]:
    """Matches from which instances are looked for: those with most neighbours, none being a neighbour of another."""
    degrees = graph.sum(1)
    covered, seeds = degrees < fewest, []
    while len(seeds) < SEEDS and not covered.all():
        seed = int(np.where(covered, -1, degrees).argmax())
        seeds.append(seed)
        covered |= graph[seed]
        covered[seed] = True
    return seeds
