"""Simple bodies made here: box, cylinder, cone, sphere, torus, and a flat plane."""

from __future__ import annotations

from functools import partial

import numpy as np

from dope_ros2.meshes.mesh import Mesh, facets


def box(edges: tuple[float, float, float] = (1, 1, 1)) -> Mesh:
    """A box around the origin; every face shows the whole texture."""
    corners, uvs = [], []
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    for axis in range(3):
        for side in (-1, 1):
            face = np.insert(square[:: int(side)], axis, side, axis=1) * np.array(edges) / 2
            uv = (square[:: int(side)] + 1) / 2
            corners += [face[[0, 1, 2]], face[[0, 2, 3]]]
            uvs += [uv[[0, 1, 2]], uv[[0, 2, 3]]]
    return facets(np.array(corners, float), np.array(uvs, float))


def plane() -> Mesh:
    """A square of edge 1 in the plane z = 0, facing +z."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) / 2
    pick = np.array([[0, 1, 2], [0, 2, 3]])
    return facets(corners[pick], (corners[:, :2] + 0.5)[pick])


def turned(profile: np.ndarray, steps: int = 32) -> Mesh:
    """A body of revolution about z of a profile (N, 2) of radius and height."""
    angles = np.linspace(0, 2 * np.pi, steps + 1)
    ring = np.stack([np.cos(angles), np.sin(angles)], -1)  # (S, 2)
    grid = np.concatenate(
        [profile[:, None, :1] * ring[None], np.broadcast_to(profile[:, None, 1:], (len(profile), steps + 1, 1))], -1
    )
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    uv = np.stack(np.meshgrid(angles / (2 * np.pi) * 2, along / along[-1]), -1)
    return _quads(grid, uv)


def torus(thickness: float) -> Mesh:
    """A ring of radius 1 about z."""
    turn = np.linspace(0, 2 * np.pi, 17)
    return turned(np.stack([1 + thickness * np.cos(turn), thickness * np.sin(turn)], -1))


def sphere() -> Mesh:
    """A ball."""
    turn = np.linspace(-np.pi / 2, np.pi / 2, 17)
    mesh = turned(np.stack([np.cos(turn), np.sin(turn)], -1))
    return Mesh(mesh.positions, mesh.positions, mesh.uvs, mesh.triangles)


def _quads(grid: np.ndarray, uv: np.ndarray) -> Mesh:
    """A mesh of a grid (R, C, 3) of points with texture coordinates (R, C, 2)."""
    rows, columns = grid.shape[:2]
    i, j = (a.ravel() for a in np.mgrid[: rows - 1, : columns - 1])
    first = np.stack([(i, j), (i, j + 1), (i + 1, j + 1)], 1)  # (2, 3, Q)
    second = np.stack([(i, j), (i + 1, j + 1), (i + 1, j)], 1)
    pick = np.concatenate([first, second], -1)
    return facets(grid[pick[0].T, pick[1].T], uv[pick[0].T, pick[1].T])


def can(radius: float) -> Mesh:
    """A closed cylinder of height 1."""
    return turned(np.array([[1e-4, -0.5], [radius, -0.5], [radius, 0.5], [1e-4, 0.5]]))


def bottle() -> Mesh:
    """A bottle with shoulder and neck."""
    return turned(np.array([[1e-4, 0], [0.2, 0], [0.22, 0.05], [0.22, 0.6], [0.08, 0.78], [0.08, 1.0], [1e-4, 1.0]]))


SHAPES = {
    "plane": plane,
    "cube": box,
    "packet": partial(box, (0.28, 0.72, 1.0)),
    "carton-like": partial(box, (0.4, 0.7, 1.0)),
    "tile": partial(box, (1.0, 0.8, 0.08)),
    "brick": partial(box, (1.0, 0.5, 0.45)),
    "bar": partial(box, (1.0, 0.12, 0.12)),
    "can": partial(can, 0.35),
    "coin": partial(can, 1.5),
    "rod": partial(can, 0.08),
    "cone": partial(turned, np.array([[1e-4, -0.5], [0.4, -0.5], [1e-4, 0.5]])),
    "cup": partial(turned, np.array([[1e-4, 0], [0.3, 0], [0.42, 0.9], [0.38, 0.9], [0.27, 0.05], [1e-4, 0.05]])),
    "bottle": bottle,
    "ball": sphere,
    "ring": partial(torus, 0.25),
}
DISTRACTORS = tuple(name for name in SHAPES if name != "plane")
