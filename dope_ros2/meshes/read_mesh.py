"""Triangle meshes and their files, whichever the format."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.meshes.mtl import WHITE, Look, looks_of, read_materials
from dope_ros2.meshes.obj import Obj, read_obj


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with one texture or colour.

    Attributes:
        positions, normals: (N, 3) float32; uvs: (N, 2) float32, v up; triangles: (M, 3) int32.
        texture: a picture's file, or a picture made here or brought along by the mesh's file, as PNG or JPEG, or None.
        color: linear RGB, multiplied with the texture.
    """

    positions: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    triangles: np.ndarray
    texture: Path | bytes | None = None
    color: tuple[float, float, float] = WHITE

    @cached_property
    def low(self) -> np.ndarray:
        """Lowest corner (3,) of the bounding box."""
        return self.positions.min(0)

    @cached_property
    def high(self) -> np.ndarray:
        """Highest corner (3,) of the bounding box."""
        return self.positions.max(0)

    def scaled(self, factor: float) -> Mesh:
        """The mesh `factor` times as large."""
        return replace(self, positions=np.float32(self.positions * factor))

    def moved(self, by: np.ndarray) -> Mesh:
        """The mesh moved by a vector (3,)."""
        return replace(self, positions=np.float32(self.positions + by))


def facets(corners: np.ndarray, uvs: np.ndarray | None = None) -> Mesh:
    """A mesh of flat triangles from (M, 3, 3) corners and (M, 3, 2) texture coordinates."""
    normals = face_normals(corners)
    uvs = box_uvs(corners, normals) if uvs is None else uvs
    count = 3 * len(corners)
    return Mesh(
        np.float32(corners.reshape(count, 3)),
        np.float32(np.repeat(normals, 3, axis=0)),
        np.float32(uvs.reshape(count, 2)),
        np.arange(count, dtype=np.int32).reshape(-1, 3),
    )


def face_normals(corners: np.ndarray) -> np.ndarray:
    """Unit normals (M, 3) of (M, 3, 3) triangles."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


def box_uvs(corners: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Texture coordinates (M, 3, 2) by projecting each triangle along its normal's main axis."""
    axis = np.abs(normals).argmax(1)
    keep = np.array([[1, 2], [0, 2], [0, 1]])[axis]  # (M, 2)
    flat = np.take_along_axis(corners, keep[:, None, :].repeat(3, 1), axis=2)
    extent = max(float(np.ptp(corners.reshape(-1, 3), axis=0).max()), 1e-9)
    return (flat - corners.reshape(-1, 3).min(0)[keep][:, None]) / extent


def read_mesh(path: Path, most: int | None = None) -> Mesh:
    """Read a mesh file with its textures and colours.

    Args:
        path: an OBJ, PLY, STL, GLB, glTF or COLLADA file.
        most: triangles; a mesh of more is thinned out.

    Raises:
        UserError: the file cannot be read or has no triangles.
    """
    try:
        mesh = _read_obj(path, most) if path.suffix.lower() == ".obj" else _read_other(path, most)
    except UserError:
        raise
    except Exception as error:  # a parser meets anything in a broken file, and raises anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a readable mesh ({reason}); export it again as OBJ") from error
    if mesh is None or len(mesh.triangles) == 0 or not np.isfinite(mesh.positions).all():
        raise UserError(f"{path}: the mesh has no triangles or a position that is not finite; export it again as OBJ")
    return mesh


def _read_obj(path: Path, most: int | None) -> Mesh | None:
    obj = read_obj(path)
    if len(obj.index) == 0 or not np.isfinite(obj.positions).all():
        return None
    looks = looks_of(obj.names, read_materials(path, obj.libraries))
    used = {looks[k] for k in np.unique(obj.material)}
    if len(used) == 1 and len(obj.index) <= (most or len(obj.index)) and obj.colors is None:
        return _of_one_look(obj, used.pop())
    from dope_ros2.meshes.obj_parts import obj_parts

    return _joined(obj_parts(obj, looks), most)


def _of_one_look(obj: Obj, look: Look) -> Mesh:
    texture, index = look.texture if obj.has_uvs else None, obj.index
    if not obj.has_normals:
        mesh = facets(obj.positions[index[..., 0]], obj.uvs[index[..., 1]] if obj.has_uvs else None)
        return replace(mesh, texture=texture, color=look.color or WHITE)
    unique, triangles = np.unique(index.reshape(-1, 3), axis=0, return_inverse=True)
    return Mesh(
        np.float32(obj.positions[unique[:, 0]]),
        np.float32(obj.normals[unique[:, 2]]),
        np.float32(obj.uvs[unique[:, 1]] if obj.has_uvs else np.zeros((len(unique), 2))),
        np.int32(triangles.reshape(-1, 3)),
        texture,
        look.color or WHITE,
    )


def _read_other(path: Path, most: int | None) -> Mesh | None:
    from dope_datagen.mesh_preparation.mesh_file import read_parts

    vertices, parts, _ = read_parts(path)
    return _joined(parts, most) if len(parts) and np.isfinite(vertices).all() else None


def _joined(parts: list, most: int | None) -> Mesh:
    from dope_ros2.meshes.atlas import join

    return join(parts, most)
