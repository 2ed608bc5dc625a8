"""Reads a mesh file of any format: as one mesh with its texture, or as bare triangles.

OBJ and COLLADA need no packages beyond those of dope_ros2. Of the optional ones, trimesh reads the other formats, and
fast-simplification reduces the number of triangles.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.meshes.atlas import join
from dope_ros2.meshes.mesh import Mesh, facets
from dope_ros2.meshes.mtl import WHITE, Look, looks_of, read_materials
from dope_ros2.meshes.obj import Obj, read_obj
from dope_ros2.meshes.obj_parts import obj_parts
from dope_ros2.meshes.read_parts import parsing, read_parts


def read_mesh(path: Path, max_triangles: int | None = None, flat: bool = False) -> Mesh:
    """Read a mesh file with its textures and colours.

    Args:
        path: a file with one of MESH_SUFFIXES.
        max_triangles: a mesh of more is decimated to about so many.
        flat: triangles share no corners and have normals of their own, which is quick for millions of them.

    Returns:
        The mesh in the file's unit and axes.

    Raises:
        UserError: the file cannot be read, has no triangles or a position that is not finite, or a package is missing.
    """
    with parsing(path):
        mesh = (_read_obj if path.suffix.lower() == ".obj" else _read_other)(path, max_triangles, flat)
    if mesh is None or len(mesh.triangles) == 0 or not np.isfinite(mesh.positions).all():
        raise _unusable(path)
    return mesh


def read_triangles(path: Path) -> np.ndarray:
    """Read the shape alone: no textures, material libraries, texture coordinates or normals, which may be missing.

    Args:
        path: a file with one of MESH_SUFFIXES.

    Returns:
        (M, 3, 3) corners of the triangles that `read_mesh` finds, in the file's unit and axes.

    Raises:
        UserError: the file cannot be read, has no triangles or one that is not finite, or a package is missing.
    """
    _, parts, _ = read_parts(path, shape_only=True)
    triangles = np.concatenate([np.zeros((0, 3, 3)), *(part.corners for part in parts)])
    if len(triangles) == 0 or not np.isfinite(triangles).all():
        raise _unusable(path)
    return triangles


def _unusable(path: Path) -> UserError:
    return UserError(f"{path}: the mesh has no triangles or a position that is not finite; export it again as OBJ")


def _read_obj(path: Path, max_triangles: int | None, flat: bool) -> Mesh | None:
    obj = read_obj(path)
    if len(obj.index) == 0 or not np.isfinite(obj.positions).all():
        return None
    looks = looks_of(obj.names, read_materials(path, obj.libraries))
    used = {looks[k] for k in np.unique(obj.material)}
    if len(used) == 1 and len(obj.index) <= (max_triangles or len(obj.index)) and obj.colors is None:
        return _of_one_look(obj, used.pop(), flat)
    return join(obj_parts(obj, looks), max_triangles, flat)


def _of_one_look(obj: Obj, look: Look, flat: bool) -> Mesh:
    texture, index = look.texture if obj.has_uvs else None, obj.index
    if flat or not obj.has_normals:
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


def _read_other(path: Path, max_triangles: int | None, flat: bool) -> Mesh | None:
    vertices, parts, _ = read_parts(path)
    return join(parts, max_triangles, flat) if len(parts) and np.isfinite(vertices).all() else None
