"""The inner loops of drawing, compiled where Numba is installed; `surface_view` has each as NumPy, which is the law.

The compiled code is kept beside this file, or in the user's cache where that cannot be written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import numpy as np

INSTALLED = find_spec("numba") is not None


@cache
def compiled(loops: Callable) -> Callable:
    """A function of this file, compiled when it is called first."""
    import numba

    return numba.njit(cache=True, nogil=True)(loops)


def fastest(loops: Callable, numpy_form: Callable) -> Callable:
    """A function of this file, compiled, or without Numba its form in NumPy."""
    return compiled(loops) if INSTALLED else numpy_form


def seen(
    points: np.ndarray,
    normals: np.ndarray,
    rotation: np.ndarray,
    translation: np.ndarray,
    K: np.ndarray,
    side: int,
    min_cosine: float,
    near: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """See `surface_view.facing`."""
    count = len(points)
    indices, pixels, depths = np.empty(count, np.int64), np.empty((count, 2)), np.empty(count)
    eye = -(rotation.T @ translation)
    found = 0
    for i in range(count):
        x, y, z = float(points[i, 0]), float(points[i, 1]), float(points[i, 2])
        a, b, c = eye[0] - x, eye[1] - y, eye[2] - z
        along = normals[i, 0] * a + normals[i, 1] * b + normals[i, 2] * c
        if along <= 0 or along * along <= min_cosine * min_cosine * (a * a + b * b + c * c):
            continue
        depth = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z + translation[2]
        if depth <= near:
            continue
        right = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z + translation[0]
        down = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z + translation[1]
        u = (K[0, 0] * right + K[0, 1] * down) / depth + K[0, 2]
        v = K[1, 1] * down / depth + K[1, 2]
        if 0 < u < side - 1 and 0 < v < side - 1:
            indices[found], pixels[found, 0], pixels[found, 1], depths[found] = i, u, v, depth
            found += 1
    return indices[:found], pixels[:found], depths[:found]


def nearest_of_cells(pixels: np.ndarray, depths: np.ndarray, size: float, count: int) -> np.ndarray:
    """See `surface_view.unhidden`: the smallest depth in each of count x count cells."""
    nearest = np.full((count, count), np.inf, np.float32)
    for i in range(len(depths)):
        row, column = int(pixels[i, 1] / size), int(pixels[i, 0] / size)
        if depths[i] < nearest[row, column]:
            nearest[row, column] = depths[i]
    return nearest


def splatted(pixels: np.ndarray, colors: np.ndarray, side: int) -> np.ndarray:
    """See `surface_view.splat`."""
    sums = np.zeros((side, side, 4))
    for i in range(len(pixels)):
        column, row = int(pixels[i, 0]), int(pixels[i, 1])
        right, down = pixels[i, 0] - column, pixels[i, 1] - row
        for dy in range(2):
            for dx in range(2):
                weight = (right if dx else 1 - right) * (down if dy else 1 - down)
                for c in range(3):
                    sums[row + dy, column + dx, c] += weight * colors[i, c]
                sums[row + dy, column + dx, 3] += weight
    return sums


def light_sums(
    cells: np.ndarray, colors: np.ndarray, normals: np.ndarray, photograph: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """See `surface_view.sum_light`."""
    counts, targets, bases = np.zeros(count, np.int64), np.zeros((3, count)), np.zeros((3, count, 4))
    for i in range(len(cells)):
        cell = cells[i]
        counts[cell] += 1
        for c in range(3):
            targets[c, cell] += photograph[i, c]
            color = float(colors[i, c])
            bases[c, cell, 0] += color
            for d in range(3):
                bases[c, cell, 1 + d] += color * normals[i, d]
    return counts, targets, bases


def warm_up() -> None:
    """Compile everything, or read it from where it is kept, so that no image has to wait for it."""
    if not INSTALLED:
        return
    one, unit, identity = np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32), np.eye(3)
    compiled(seen)(one, unit, identity, np.ones(3), identity, 8, 0.1, 0.02)
    compiled(nearest_of_cells)(np.ones((1, 2)), np.ones(1), 2.0, 4)
    compiled(splatted)(np.ones((1, 2)), np.ones((1, 3)), 8)
    compiled(light_sums)(np.zeros(1, np.int64), unit, np.ones((1, 3)), unit, 1)
