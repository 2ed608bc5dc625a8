"""Decimation of a mesh that keeps its texture coordinates, quickly: for things that are seen from a distance."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import pip_install
from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.meshes.mesh import barycentric_weights
from dope_ros2.meshes.parts import weld

SAME_UV = 1e-6  # closer texture coordinates are one
USUAL_HASTE = 7.0  # fast-simplification's own


def decimate(
    corners: np.ndarray, uvs: np.ndarray, part_of: np.ndarray, count: int, haste: float = USUAL_HASTE
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Collapse edges until about `count` triangles are left, each of which keeps to its side of the texture's seams.

    Args:
        corners: (M, 3, 3) positions.
        uvs: (M, 3, 2) texture coordinates.
        part_of: (M,) int; parts do not share corners.
        count: of triangles; reached but for what the topology forbids.
        haste: how fast the error that a collapse may make grows from round to round; with less of it they are fewer,
            the shape is kept far better, and more triangles may be left.

    Returns:
        (n, 3) positions, (m, 3) triangles, and where their corners were: (m, 3) old triangles and (m, 3, 3)
        barycentric coordinates in these.

    Raises:
        UserError: the package fast-simplification is missing.
    """
    fast_simplification = _fast_simplification()
    positions, triangles = weld(corners)
    solid = _distinct(triangles)
    box = BoundingBox.of(positions)
    scale = max(float(box.size.max()), 1e-12)
    points, _, collapses = fast_simplification.simplify(
        (positions - box.low) / scale,
        np.int32(triangles[solid]),
        target_count=min(count, int(solid.sum())),
        agg=haste,
        return_collapses=True,
    )
    into = np.arange(len(positions))  # each old position's that it was drawn into, at first in one step
    into[collapses[:, 1]] = collapses[:, 0]
    while (into[into] != into).any():
        into = into[into]
    joined = into[triangles]
    left = solid & _distinct(joined)
    used, thinned = np.unique(joined[left], return_inverse=True)
    thinned, points = thinned.reshape(-1, 3), points * scale + box.low
    place = np.zeros((len(positions), 3))
    place[used] = points
    group = _merged(_nodes(triangles, uvs, part_of), joined)
    # Of all old triangles of a group, its new corner lies on the nearest.
    old = np.repeat(np.arange(len(triangles)), 3)
    weights = barycentric_weights(corners[old], place[joined.ravel()])
    off = ((np.einsum("pk,pkd->pd", weights, corners[old]) - place[joined.ravel()]) ** 2).sum(1)
    order = np.lexsort((off, group.ravel()))
    _, first = np.unique(group.ravel()[order], return_index=True)
    chosen = order[first[group[left]]]
    return points, thinned, old[chosen], weights[chosen]


def _fast_simplification() -> ModuleType:
    try:
        import fast_simplification
    except ModuleNotFoundError as error:
        raise UserError(
            "meshes with more triangles than are shown are decimated with the Python package fast-simplification, "
            f"which is not installed: {pip_install('fast-simplification')}"
        ) from error
    return fast_simplification


def _nodes(triangles: np.ndarray, uvs: np.ndarray, part_of: np.ndarray) -> np.ndarray:
    """Number (M, 3) the corners: those in one place with the same texture coordinates and part have the same number."""
    cells = np.round(uvs.reshape(-1, 2) / SAME_UV).astype(np.int64)
    rows = np.column_stack([triangles.ravel(), np.repeat(part_of, 3), cells])
    order = np.lexsort(rows.T)
    fresh = np.concatenate([[False], (np.diff(rows[order], axis=0) != 0).any(1)])
    nodes = np.empty(len(rows), int)
    nodes[order] = np.cumsum(fresh)
    return nodes.reshape(-1, 3)


def _merged(nodes: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """Number (M, 3) the corners anew: nodes that have become one place, and that edges there connect, are one.

    So the two sides of a cut through the texture stay apart.
    """
    ends = [(nodes[:, k], nodes[:, k - 2], joined[:, k] == joined[:, k - 2]) for k in range(3)]
    one, two = (np.concatenate([end[side][end[2]] for end in ends]) for side in (0, 1))
    count = int(nodes.max()) + 1
    graph = coo_array((np.ones(len(one), bool), (one, two)), shape=(count, count))
    return connected_components(graph, directed=False)[1][nodes]


def _distinct(triangles: np.ndarray) -> np.ndarray:
    """Which (M,) triangles have three different corners."""
    return (triangles != np.roll(triangles, 1, axis=1)).all(1)
