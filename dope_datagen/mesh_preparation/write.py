"""Writes a surface with one texture as OBJ, MTL and PNG."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dope_datagen.mesh_preparation.surface import Surface
from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.meshes.normals import corner_normals


def obj_text(surface: Surface, name: str, factor: float) -> str:
    """The OBJ file; positions are multiplied by `factor`."""
    uvs, uv_of = np.unique(surface.uvs.reshape(-1, 2).round(6), axis=0, return_inverse=True)
    normals, normal_of = np.unique(
        corner_normals(surface.positions, surface.triangles).reshape(-1, 3).round(4), axis=0, return_inverse=True
    )
    rows = np.stack([surface.triangles.ravel(), uv_of.ravel(), normal_of.ravel()], -1) + 1
    lines = [f"mtllib {name}.mtl", f"o {name}"]
    lines += ["v " + " ".join(f"{x:.7g}" for x in row) for row in (surface.positions * factor).tolist()]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in uvs.tolist()]
    lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in normals.tolist()]
    lines.append("usemtl surface")
    words = ["/".join(map(str, row)) for row in rows.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in zip(words[::3], words[1::3], words[2::3], strict=True)]
    return "\n".join(lines) + "\n"


def write(surface: Surface, out: Path, name: str, factor: float, overwrite: bool = False) -> Path:
    """Write NAME.obj, NAME.mtl and NAME.png into a folder; returns the OBJ's path.

    The OBJ comes last, so that it never stands there without the others.

    Args:
        surface: with one texture.
        out: the folder, made if missing.
        name: letters, digits, '_' and '-'.
        factor: from the surface's unit to the file's.
        overwrite: replace files of these names.

    Raises:
        UserError: a file is there already, or the folder cannot be written.
    """
    obj, mtl, png = (out / f"{name}{suffix}" for suffix in (".obj", ".mtl", ".png"))
    for path in () if overwrite else (obj, mtl, png):
        if path.exists():
            raise UserError(f"{path} is there already; choose another --out or --name, or replace it with --overwrite")
    material = f"newmtl surface\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {name}.png\n"
    picture = cv2.imencode(".png", np.ascontiguousarray(surface.images[0][..., ::-1]))[1].tobytes()
    contents = {png: picture, mtl: material.encode(), obj: obj_text(surface, name, factor).encode()}
    for path, content in contents.items():
        files.write_bytes(path, content)
    return obj
