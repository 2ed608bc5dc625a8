"""Triangle meshes and their files. OBJ is read here (fast, no dependency), other formats through trimesh."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dope_ros2.errors import UserError


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with one texture or colour.

    Attributes:
        positions, normals: (N, 3) float32; uvs: (N, 2) float32, v up; triangles: (M, 3) int32.
        texture: image file, or None.
        color: linear RGB, multiplied with the texture.
    """

    positions: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    triangles: np.ndarray
    texture: Path | None = None
    color: tuple[float, float, float] = (1.0, 1.0, 1.0)

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
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    uvs = box_uvs(corners, normals) if uvs is None else uvs
    count = 3 * len(corners)
    return Mesh(
        np.float32(corners.reshape(count, 3)),
        np.float32(np.repeat(normals, 3, axis=0)),
        np.float32(uvs.reshape(count, 2)),
        np.arange(count, dtype=np.int32).reshape(-1, 3),
    )


def box_uvs(corners: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Texture coordinates (M, 3, 2) by projecting each triangle along its normal's main axis."""
    axis = np.abs(normals).argmax(1)
    keep = np.array([[1, 2], [0, 2], [0, 1]])[axis]  # (M, 2)
    flat = np.take_along_axis(corners, keep[:, None, :].repeat(3, 1), axis=2)
    extent = max(float(np.ptp(corners.reshape(-1, 3), axis=0).max()), 1e-9)
    return (flat - corners.reshape(-1, 3).min(0)[keep][:, None]) / extent


def read_mesh(path: Path) -> Mesh:
    """Read a mesh file.

    Raises:
        UserError: the file cannot be read or has no triangles.
    """
    try:
        mesh = _read_obj(path) if path.suffix.lower() == ".obj" else _read_other(path)
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{path}: not a readable mesh ({error}); export it again as OBJ") from error
    if len(mesh.triangles) == 0 or not np.isfinite(mesh.positions).all():
        raise UserError(f"{path}: the mesh has no triangles or a position that is not finite; export it again as OBJ")
    return mesh


def _read_obj(path: Path) -> Mesh:
    rows: dict[str, list[list[str]]] = {"v": [], "vt": [], "vn": [], "f": [], "mtllib": []}
    for line in path.read_text(errors="replace").splitlines():
        words = line.split()
        if words and words[0] in rows:
            rows[words[0]].append(words[1:])
    positions = np.array([row[:3] for row in rows["v"]], float).reshape(-1, 3)
    uvs = np.array([row[:2] for row in rows["vt"]], float).reshape(-1, 2)
    normals = np.array([row[:3] for row in rows["vn"]], float).reshape(-1, 3)
    index = _corner_indices(rows["f"], (len(positions), len(uvs), len(normals)))  # (3 M, 3)
    texture, color = _material(path, rows["mtllib"])
    if len(normals) == 0 or (index[:, 2] < 0).any():
        has_uvs = len(uvs) and (index[:, 1] >= 0).all()
        mesh = facets(positions[index[:, 0]].reshape(-1, 3, 3), uvs[index[:, 1]].reshape(-1, 3, 2) if has_uvs else None)
        return Mesh(mesh.positions, mesh.normals, mesh.uvs, mesh.triangles, texture if has_uvs else None, color)
    unique, triangles = np.unique(index, axis=0, return_inverse=True)
    has_uvs = len(uvs) > 0 and (unique[:, 1] >= 0).all()
    chosen = uvs[unique[:, 1]] if has_uvs else np.zeros((len(unique), 2))
    return Mesh(
        np.float32(positions[unique[:, 0]]),
        np.float32(normals[unique[:, 2]]),
        np.float32(chosen),
        np.int32(triangles.reshape(-1, 3)),
        texture if has_uvs else None,
        color,
    )


def _corner_indices(faces: list[list[str]], counts: tuple[int, int, int]) -> np.ndarray:
    """Indices (3 M, 3) of position, texture and normal of each triangle's corners; -1 where there is none."""

    def corner(word: str) -> list[int]:
        parts = [*word.split("/"), "", ""][:3]
        return [
            int(p) - 1 if p and int(p) > 0 else (n + int(p) if p else -1) for p, n in zip(parts, counts, strict=True)
        ]

    fans = []
    for face in faces:
        corners = [corner(word) for word in face]
        for k in range(1, len(corners) - 1):
            fans += [corners[0], corners[k], corners[k + 1]]
    return np.array(fans, int).reshape(-1, 3)


def _material(path: Path, libraries: list[list[str]]) -> tuple[Path | None, tuple[float, float, float]]:
    """Texture file and colour of the first material that has them."""
    texture, color = None, (1.0, 1.0, 1.0)
    library = path.parent / " ".join(libraries[0]) if libraries else path.with_suffix(".mtl")
    if not library.is_file():
        return None, color
    for line in library.read_text(errors="replace").splitlines():
        words = line.split()
        if words[:1] == ["map_Kd"] and texture is None and (path.parent / words[-1]).is_file():
            texture = path.parent / words[-1]
        if words[:1] == ["Kd"] and len(words) == 4:
            color = (float(words[1]), float(words[2]), float(words[3]))
    return texture, (1.0, 1.0, 1.0) if texture else color


def _read_other(path: Path) -> Mesh:
    import trimesh

    mesh = trimesh.load(path, force="mesh")
    return facets(np.asarray(mesh.triangles, float))
