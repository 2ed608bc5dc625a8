"""Poses from three points each, seen as if from afar: two for each triple, also where perspective allows none."""

from __future__ import annotations

import numpy as np

EPSILON = 1e-12
MIN_TRIANGLE_AREA = 0.02  # area of a triangle over its longest side squared, in space and in the image


def weak_perspective(points: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both poses that put three points onto three rays, for each of M triples, in parallel projection and scaled.

    Alter, "3-D pose from 3 points using weak-perspective", PAMI 1994. The image plane is at right angles to the ray
    through the middle of the three. Noise moves P3P's double root, that of a triangle seen from straight ahead, into
    the complex plane; here it stays a pose.

    Args:
        points: (M, 3, 3), three points of each triple in the object's frame [m].
        rays: (M, 3, 2), where they are seen, at z = 1.

    Returns:
        Rotations (H, 3, 3) and translations (H, 3), and of which triple (H,) each is. Triples on a line give none.
    """
    views, seen = _turned_to(rays)
    a, b = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    p, q = seen[:, 1] - seen[:, 0], seen[:, 2] - seen[:, 0]
    aa, ab, bb = _products(a, b)
    pp, pq, qq = _products(p, q)
    area, shown = aa * bb - ab**2, pp * qq - pq**2  # four times the squares of the areas
    usable = np.flatnonzero((area > (2 * MIN_TRIANGLE_AREA * np.maximum(aa, bb)) ** 2)
                            & (shown > (2 * MIN_TRIANGLE_AREA * np.maximum(pp, qq)) ** 2))  # fmt: skip
    views, a, b, p, q, aa, ab, bb, pp, pq, qq, area, shown = (
        each[usable] for each in (views, a, b, p, q, aa, ab, bb, pp, pq, qq, area, shown)
    )
    half = (pp * bb + qq * aa - 2 * pq * ab) / 2
    scale2 = (half + np.sqrt(np.maximum(half**2 - area * shown, 0))) / area
    h, k = np.sqrt(np.maximum(scale2 * aa - pp, 0)), np.sqrt(np.maximum(scale2 * bb - qq, 0))
    k *= np.where(scale2 * ab >= pq, 1, -1)
    scale = np.sqrt(scale2)
    rotations, translations = [], []
    for sign in (1, -1):
        ahead = np.column_stack([p, sign * h]), np.column_stack([q, sign * k])
        R = _frames(*ahead) @ _frames(a, b).transpose(0, 2, 1)
        middle = points[usable].mean(1)
        centre = np.column_stack([seen[usable].mean(1), np.ones(len(usable))]) / scale[:, None]
        t = centre - np.einsum("nij,nj->ni", R, middle)
        rotations.append(views.transpose(0, 2, 1) @ R)
        translations.append(np.einsum("nji,nj->ni", views, t))
    return np.concatenate(rotations), np.concatenate(translations), np.tile(usable, 2)


def _turned_to(rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (M, 3, 3) of the camera towards the middle of three rays (M, 3, 2), and the rays there."""
    ahead = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=2)
    z = ahead.mean(1)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    x = np.cross([0.0, 1.0, 0.0], z)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), EPSILON)
    views = np.stack([x, np.cross(z, x), z], axis=1)
    turned = ahead @ views.transpose(0, 2, 1)
    return views, turned[..., :2] / turned[..., 2:]


def _products(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (one * one).sum(1), (one * other).sum(1), (other * other).sum(1)


def _frames(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N, 3, 3) right-handed axes, as columns, of planes along two vectors (N, 3) each."""
    z = np.cross(one, other)
    x, z = (axis / np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), EPSILON) for axis in (one, z))
    return np.stack([x, np.cross(z, x), z], axis=2)
