"""Triangle meshes and their files, whichever the format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.meshes.mesh import Mesh, facets
from dope_ros2.meshes.mtl import WHITE, Look, looks_of, read_materials
from dope_ros2.meshes.obj import Obj, read_obj


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
    from dope_ros2.meshes.read_parts import read_parts

    vertices, parts, _ = read_parts(path)
    return _joined(parts, most) if len(parts) and np.isfinite(vertices).all() else None


def _joined(parts: list, most: int | None) -> Mesh:
    from dope_ros2.meshes.atlas import join

    return join(parts, most)
