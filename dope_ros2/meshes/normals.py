"""Normals for a mesh that comes without."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array

CREASE = np.deg2rad(40)  # a sharper edge looks like one


def corner_normals(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (M, 3, 3) per corner: of all triangles around it that are not beyond a crease.

    Args:
        positions: (N, 3), no two alike.
        triangles: (M, 3) int.
    """
    count = len(triangles)
    around = coo_array(
        (np.ones(3 * count), (triangles.ravel(), np.repeat(np.arange(count), 3))),
        shape=(len(positions), count),
    ).tocsr()
    around.data[:] = 1
    pairs = around[triangles.ravel()].tocoo()  # rows: corners; columns: triangles around them
    a, b, c = (positions[triangles[:, k]] for k in range(3))
    crosses = np.cross(b - a, c - a)
    unit = crosses / np.maximum(np.linalg.norm(crosses, axis=1, keepdims=True), 1e-300)
    smooth = np.einsum("pd,pd->p", unit[pairs.row // 3], unit[pairs.col]) > np.cos(CREASE)
    sums = np.zeros((3 * count, 3))
    np.add.at(sums, pairs.row[smooth], crosses[pairs.col[smooth]])
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    sums = np.where(lengths > 1e-300, sums / np.maximum(lengths, 1e-300), [0.0, 0.0, 1.0])
    return sums.reshape(count, 3, 3)
