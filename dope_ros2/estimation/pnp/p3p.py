"""Poses from three points each, for many triples at once."""

from __future__ import annotations

import numpy as np

MAX_IMAGINARY = 1e-4  # imaginary part of a root that noise may have given it
MAX_RELATIVE_ERROR = 1e-4  # of the distance; roots that lie together are not known well enough to give a pose
EPSILON = 1e-12
MIN_TRIANGLE_AREA = 1e-5  # area of a triangle over its longest side squared


def p3p(points: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All poses that put three points onto three rays, for each of M triples.

    Grunert's equations in the form of Haralick et al., "Review and analysis of solutions of the three point perspective
    pose estimation problem", IJCV 1994: a quartic in the ratio of two of the three distances. Degenerate triples give
    no pose, and a few in a thousand that are nearly so.

    Args:
        points: (M, 3, 3), three points of each triple in the object's frame [m].
        rays: (M, 3, 2), where they are seen, at z = 1.

    Returns:
        Rotations (H, 3, 3) and translations (H, 3), points in front of the camera, and of which triple (H,) each is.
    """
    directions = np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=2)
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    sides = points[:, [1, 0, 0]] - points[:, [2, 2, 1]]  # opposite to the first, the second, the third point
    cosines = (directions[:, [1, 0, 0]] * directions[:, [2, 2, 1]]).sum(2)
    squares = (sides**2).sum(2)
    usable = _spread_out(points) & _spread_out(np.concatenate([rays, np.ones((*rays.shape[:2], 1))], axis=2))
    which, ratios = _roots(squares[usable], cosines[usable])
    points, directions, squares, cosines = (each[usable][which] for each in (points, directions, squares, cosines))
    distances = _distances(ratios, squares, cosines)
    good = np.isfinite(distances).all(1) & (distances > 0).all(1)
    seen, points = distances[good, :, None] * directions[good], points[good]
    rotations = _frames(seen) @ _frames(points).transpose(0, 2, 1)
    translations = seen[:, 0] - (rotations @ points[:, 0, :, None])[..., 0]
    exact = (
        np.abs(points @ rotations.transpose(0, 2, 1) + translations[:, None] - seen).max((1, 2))
        < MAX_RELATIVE_ERROR * seen[:, 0, 2]
    )
    return rotations[exact], translations[exact], np.flatnonzero(usable)[which[good]][exact]


def _spread_out(triangles: np.ndarray) -> np.ndarray:
    """(M,) whether the corners (M, 3, 3) are not on one line."""
    one, other = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    area = np.linalg.norm(np.cross(one, other), axis=1)
    return area > MIN_TRIANGLE_AREA * np.maximum((one**2).sum(1), (other**2).sum(1))


def _roots(squares: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Real positive roots v = (third distance / first), and which triple each belongs to."""
    (a, b, c), (ca, cb, cg) = squares.T, cosines.T
    d, s, p, q = (a - c) / b, (a + c) / b, a / b, c / b
    quartic = np.stack([
        (d - 1) ** 2 - 4 * q * ca**2,
        4 * (d * (1 - d) * cb - (1 - s) * ca * cg + 2 * q * ca**2 * cb),
        2 * (d**2 - 1 + 2 * d**2 * cb**2 + 2 * (1 - q) * ca**2 - 4 * s * ca * cb * cg + 2 * (1 - p) * cg**2),
        4 * (-d * (1 + d) * cb + 2 * p * cg**2 * cb - (1 - s) * ca * cg),
        (1 + d) ** 2 - 4 * p * cg**2,
    ], axis=1)  # fmt: skip
    leading = quartic[:, :1]
    roots = quartic_roots(quartic[:, 1:] / np.where(np.abs(leading) < EPSILON, EPSILON, leading))
    real = (np.abs(roots.imag) < MAX_IMAGINARY * np.maximum(1, np.abs(roots.real))) & (roots.real > 0)
    which, column = np.nonzero(real)
    return which, roots.real[which, column]


def quartic_roots(coefficients: np.ndarray) -> np.ndarray:
    """(M, 4) complex roots of x^4 + a x^3 + b x^2 + c x + d, by Ferrari's method and two steps of Newton's.

    Args:
        coefficients: (M, 4) a, b, c, d.
    """
    a, b, c, d = coefficients.T.astype(complex)
    p, q = b - 3 * a**2 / 8, c - a * b / 2 + a**3 / 8  # of the quartic without its cubic term
    r = d - a * c / 4 + a**2 * b / 16 - 3 * a**4 / 256
    m = _largest_cubic_root(p, p**2 / 4 - r, -(q**2) / 8)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        slope = np.sqrt(2 * m)
        tilt = np.where(np.abs(slope) > EPSILON, np.sqrt(2) * q / np.sqrt(m), 0)
        inner = np.sqrt(-(2 * p + 2 * m + tilt)), np.sqrt(-(2 * p + 2 * m - tilt))
        y = np.stack([slope + inner[0], slope - inner[0], -slope + inner[1], -slope - inner[1]], 1) / 2
        x = y - a[:, None] / 4
        a, b, c, d = (each[:, None] for each in (a, b, c, d))
        for _ in range(2):
            step = ((((x + a) * x + b) * x + c) * x + d) / (((4 * x + 3 * a) * x + 2 * b) * x + c)
            x = np.where(np.isfinite(step), x - step, x)
    return x


def _largest_cubic_root(b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """(M,) the root of x^3 + b x^2 + c x + d farthest from zero, by Cardano's formula."""
    p, q = c - b**2 / 3, d - b * c / 3 + 2 * b**3 / 27
    root = np.sqrt(q**2 / 4 + p**3 / 27)
    large = np.where(np.abs(-q / 2 + root) > np.abs(-q / 2 - root), -q / 2 + root, -q / 2 - root) ** (1 / 3)
    turns = np.exp(2j * np.pi / 3 * np.arange(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        each = large[:, None] * turns
        roots = each - np.where(each == 0, 0, p[:, None] / (3 * each)) - b[:, None] / 3
    return roots[np.arange(len(roots)), np.abs(roots).argmax(1)]


def _distances(v: np.ndarray, squares: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """(H, 3) distances of the three points from the camera's centre; not finite or negative where there are none."""
    (a, b, c), (ca, cb, cg) = squares.T, cosines.T
    d = (a - c) / b
    with np.errstate(divide="ignore", invalid="ignore"):
        u = ((d - 1) * v**2 - 2 * d * cb * v + 1 + d) / (2 * (cg - v * ca))
        first = np.sqrt(b / (1 + v**2 - 2 * v * cb))
        return first[:, None] * np.column_stack([np.ones_like(v), u, v])


def _frames(triangles: np.ndarray) -> np.ndarray:
    """(H, 3, 3) right-handed axes, as columns, that go with triangles (H, 3, 3)."""
    x = triangles[:, 1] - triangles[:, 0]
    z = np.cross(x, triangles[:, 2] - triangles[:, 0])
    x, z = (axis / np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), EPSILON) for axis in (x, z))
    return np.stack([x, np.cross(z, x), z], axis=2)
