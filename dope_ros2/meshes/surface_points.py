"""The surface of an object as points: of its mesh, or of its box where the mesh cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.geometry.cuboid import CORNERS_OF_FACES
from dope_ros2.meshes.read_mesh import read_triangles
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
            return cls(*sample_surface(object_triangles(model)), MESH_ERROR, model.diameter)
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
    chosen, u, v = spread(areas, count)
    return a[chosen] + u * ab[chosen] + v * ac[chosen], normals[chosen] / areas[chosen, None]


def spread(areas: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where points spread evenly over triangles of these areas (M,) lie, whatever the unit.

    Returns:
        Their triangles (count,), and how far along the edges from the first corner to the others, (count, 1) each.
    """
    until = np.cumsum(areas)
    chosen = np.searchsorted(until, (np.arange(count) + 0.5) / count * until[-1])
    u, v = (np.arange(count)[:, None] * R2_SEQUENCE % 1).T[..., None]
    return chosen, np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)


def object_triangles(model: ObjectModel) -> np.ndarray:
    """(M, 3, 3) corners of the triangles of an object's mesh, in the object's frame [m].

    Raises:
        UserError: there is none, it cannot be read, has no area, or is not of the object's size.
    """
    path = model.mesh_path
    triangles = read_triangles(path) * UNITS[model.mesh_unit]
    if not np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]).any():
        raise UserError(f"{path}: all {len(triangles)} triangles have zero area; export it again")
    check_size(triangles, model, path)
    return triangles


def check_size(points: np.ndarray, model: ObjectModel, path: Path) -> None:
    """See that the points (..., 3) of a mesh from a file fill the box of its object [m].

    Raises:
        UserError: they do not.
    """
    found, expected = BoundingBox.of(points), BoundingBox.of(model.keypoints)
    if not np.abs(np.subtract(found, expected)).max() <= MAX_SIZE_DIFFERENCE * model.diameter:
        raise UserError(
            f"{path}: reaches from {found.low.round(4).tolist()} to {found.high.round(4).tolist()} m; {model.source} "
            f"says from {expected.low.round(4).tolist()} to {expected.high.round(4).tolist()}; correct size, centre or "
            "mesh_unit"
        )
