"""The surface of an object as points: of its mesh, or of its box where the mesh cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.cuboid import CORNERS_OF_FACES
from dope_ros2.objects.object_model import UNITS, ObjectModel

POINT_COUNT = 3000
R2_SEQUENCE = np.array([0.7548776662, 0.5698402910])  # multiples of these, modulo 1, fill a square evenly
MESH_ERROR = 0.001  # standard deviation of a real object's surface from its mesh's [m]
BOX_ERROR = 0.05  # the same from its box's, of the diameter
MAX_SIZE_DIFFERENCE = 0.1  # of the diameter: a mesh whose box differs by more is another object's, or in another unit


@dataclass(frozen=True, eq=False)
class SurfacePoints:
    """Points spread evenly over a surface.

    Attributes:
        points: (N, 3) in the object's frame [m].
        normals: (N, 3) unit vectors, outward.
        error: standard deviation of the real surface from this one, seen from anywhere [m].
        diameter: of the object's box [m].
        why: no mesh was used; empty when one was.
    """

    points: np.ndarray
    normals: np.ndarray
    error: float
    diameter: float
    why: str = ""

    @classmethod
    def of(cls, model: ObjectModel) -> SurfacePoints:
        """An object's shape: of its mesh, or else of its box, with a larger error."""
        try:
            return cls(*sample_surface(read_triangles(model)), MESH_ERROR, model.diameter)
        except UserError as error:
            return cls(*sample_surface(box(model)), BOX_ERROR * model.diameter, model.diameter, str(error))


def box(model: ObjectModel) -> np.ndarray:
    """(12, 3, 3) corners of the triangles of an object's box [m]."""
    return model.keypoints[[[a, b, c] for p, q, r, s in CORNERS_OF_FACES for a, b, c in ((p, q, r), (p, r, s))]]


def sample_surface(triangles: np.ndarray, count: int = POINT_COUNT) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 3) spread evenly over triangles (M, 3, 3), and their normals, outward of what they enclose."""
    a, ab, ac = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    normals = np.cross(ab, ac)
    if (a * normals).sum() < 0:  # six times the volume
        normals = -normals
    areas = np.linalg.norm(normals, axis=1)
    until = np.cumsum(areas)
    chosen = np.searchsorted(until, (np.arange(count) + 0.5) / count * until[-1])
    u, v = (np.arange(count)[:, None] * R2_SEQUENCE % 1).T[..., None]
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return a[chosen] + u * ab[chosen] + v * ac[chosen], normals[chosen] / areas[chosen, None]


def read_triangles(model: ObjectModel) -> np.ndarray:
    """(M, 3, 3) corners of the triangles of an object's mesh, in the object's frame [m].

    Raises:
        UserError: there is none, it cannot be read, or it is not of the object's size.
    """
    path = model.mesh_path
    try:
        triangles = (_read_obj if path.suffix.lower() == ".obj" else _read_other)(path) * UNITS[model.mesh_unit]
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{path}: not a readable mesh ({error}); export it again as OBJ") from error
    if not len(triangles):
        raise UserError(f"{path}: has no surface; export it again as OBJ")
    ends = np.stack([triangles.min((0, 1)), triangles.max((0, 1))])
    asked = np.stack([model.keypoints.min(0), model.keypoints.max(0)])
    if not np.abs(ends - asked).max() <= MAX_SIZE_DIFFERENCE * model.diameter:
        raise UserError(
            f"{path}: reaches from {ends[0].round(4).tolist()} to {ends[1].round(4).tolist()} m; {model.source} says "
            f"from {asked[0].round(4).tolist()} to {asked[1].round(4).tolist()}; correct size, centre or mesh_unit"
        )
    return triangles


def _read_obj(path: Path) -> np.ndarray:
    vertices: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    for line in path.read_text(errors="replace").splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(number) for number in rest.split()[:3]])
        elif kind == "f":
            corners = [int(corner.partition("/")[0]) for corner in rest.split()]
            corners = [k - 1 if k > 0 else len(vertices) + k for k in corners]
            triangles += [(corners[0], *pair) for pair in pairwise(corners[1:])]
    return np.array(vertices, float).reshape(-1, 3)[np.array(triangles, int).reshape(-1, 3)]


def _read_other(path: Path) -> np.ndarray:
    try:
        import trimesh
    except ImportError as error:
        raise UserError(f"{path}: meshes other than OBJ are read with trimesh; pip install trimesh") from error
    try:
        return np.asarray(trimesh.load(path, force="mesh", process=False).triangles)
    except Exception as error:  # whatever its loaders raise
        raise ValueError(str(error)) from error
