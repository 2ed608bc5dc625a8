"""The parts of an OBJ file: its faces by material."""

from __future__ import annotations

import numpy as np

from dope_ros2.meshes.mesh import face_normals
from dope_ros2.meshes.mtl import Look
from dope_ros2.meshes.obj import Obj
from dope_ros2.meshes.parts import Part, linear_to_levels


def obj_parts(obj: Obj, looks: list[Look]) -> list[Part]:
    """One part for each look that faces have; `looks`: of `obj.names`. Images are files."""
    used = dict.fromkeys(looks[k] for k in np.unique(obj.material))
    return [_part(obj, np.array([other == look for other in looks])[obj.material], look) for look in used]


def _part(obj: Obj, own: np.ndarray, look: Look) -> Part:
    """The triangles (M,) bool of one look."""
    index = obj.index[own]
    corners = obj.positions[index[..., 0]]
    uvs = obj.uvs[index[..., 1]] if len(obj.uvs) and (index[..., 1] >= 0).all() else None
    normals = obj.normals[index[..., 2]] if obj.has_normals else face_normals(corners)[:, None].repeat(3, 1)
    colors = None
    if look.texture is None and look.color is not None:
        colors = np.broadcast_to(linear_to_levels(np.array(look.color)), corners.shape)
    if look.texture is None and obj.colors is not None:
        colors = 255 * obj.colors[index[..., 0]]
    return Part(corners, uvs, look.texture, colors, normals)
