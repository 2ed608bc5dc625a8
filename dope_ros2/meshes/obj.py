"""The parser of OBJ files: tables of numbers, and which material each face has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Obj:
    """An OBJ file's content, polygons cut into triangles.

    Attributes:
        positions: (N, 3); colors: (N, 3), 0 to 1, or None; uvs: (T, 2), v up; normals: (S, 3).
        index: (M, 3, 3) position, texture coordinate and normal of each triangle's corners; negative where none.
        material: (M,) name of each triangle's material, as a number into `names`.
        names: of materials, in the order of their use; "" where none is named.
        libraries: what follows mtllib, a line each.
    """

    positions: np.ndarray
    colors: np.ndarray | None
    uvs: np.ndarray
    normals: np.ndarray
    index: np.ndarray
    material: np.ndarray
    names: list[str]
    libraries: list[str]

    @property
    def has_uvs(self) -> bool:
        """Whether every corner has texture coordinates."""
        return len(self.uvs) > 0 and bool((self.index[..., 1] >= 0).all())

    @property
    def has_normals(self) -> bool:
        """Whether every corner has a normal."""
        return len(self.normals) > 0 and bool((self.index[..., 2] >= 0).all())


def read_obj(path: Path, shape_only: bool = False) -> Obj:
    """Parse a file.

    Args:
        path: the file.
        shape_only: leave out texture coordinates and normals; faces may name some that are not there.

    Raises:
        OSError, ValueError: it cannot be read, or is not an OBJ file.
    """
    rows, known, material, names = _statements(path)
    if shape_only:
        rows |= {"vt": [], "vn": []}
    vertices = _table(rows["v"], 3)
    uvs, normals = _table(rows["vt"], 2)[:, :2], _table(rows["vn"], 3)[:, :3]
    index, count = _indices(rows["f"], known)
    if shape_only:
        index[:, 1:] = -1
    if (index[:, 0] < 0).any() or (index >= [len(vertices), len(uvs), len(normals)]).any():
        raise ValueError("a face names a vertex, texture coordinate or normal that is not there")
    colors = vertices[:, 3:6] if vertices.shape[1] >= 6 else None
    return Obj(
        vertices[:, :3], colors, uvs, normals, index[fans(count)],
        np.repeat(material, np.maximum(count - 2, 0)), names, rows["mtllib"],
    )  # fmt: skip


def _statements(path: Path) -> tuple[dict[str, list[str]], np.ndarray, np.ndarray, list[str]]:
    """What follows each keyword, a statement each; and of the faces: (F, 3) v, vt and vn above, and (F,) materials."""
    rows: dict[str, list[str]] = {"v": [], "vt": [], "vn": [], "f": [], "mtllib": []}
    known, names, material, current = [], {"": 0}, [], 0
    text = re.sub(r"^[ \t]*#.*", "", path.read_text(errors="replace"), flags=re.M)  # a comment does not continue
    for line in text.replace("\\\n", " ").splitlines():
        key, *rest = line.split(None, 1)[:2] or [""]
        if key in rows and rest:
            rows[key].append(rest[0] if key == "mtllib" else rest[0].partition("#")[0])
            if key == "f":
                known.append((len(rows["v"]), len(rows["vt"]), len(rows["vn"])))
                material.append(current)
        elif key == "usemtl":
            current = names.setdefault(rest[0].strip() if rest else "", len(names))
    return rows, np.array(known, int).reshape(-1, 3), np.array(material, int), list(names)


def fans(count: np.ndarray) -> np.ndarray:
    """Cut polygons of (F,) corners into triangles: (M, 3) numbers of corners, counted through all polygons."""
    starts = np.concatenate([[0], np.cumsum(count)])[:-1]
    triangles = np.maximum(count - 2, 0)
    first = np.repeat(starts, triangles)
    step = np.arange(triangles.sum()) - np.repeat(np.cumsum(triangles) - triangles, triangles)
    return np.stack([first, first + step + 1, first + step + 2], -1).astype(int)


def _table(rows: list[str], columns: int) -> np.ndarray:
    """Rows of numbers as an array; what the shortest row lacks is left out of all."""
    widths = {len(row.split()) for row in rows} or {columns}
    width = min(widths)
    if width < columns:
        raise ValueError(f"a row has {width} numbers instead of {columns}")
    if len(widths) > 1:
        rows = [" ".join(row.split()[:width]) for row in rows]
    return np.array(" ".join(rows).split(), float).reshape(-1, width)


def _indices(faces: list[str], known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices (C, 3) of position, texture coordinate and normal of all faces' corners, and corners (F,) per face."""
    count = np.array([len(face.split()) for face in faces], int)
    text = re.sub(r"/(?=/|\s|$)", "/0", " ".join(faces))  # a number where one is left out: "1//2", "1/2/"
    words = text.split()
    slashes = {word.count("/") for word in words}
    numbers = np.zeros((len(words), 3), int)
    if len(slashes) == 1:
        width = min(slashes.pop() + 1, 3)
        numbers[:, :width] = np.array(text.replace("/", " ").split(), int).reshape(len(words), -1)[:, :width]
    else:
        numbers[:] = [[*map(int, word.split("/")), 0, 0][:3] for word in words] if words else numbers
    # Negative numbers count back from what stands above the face; 0 is none.
    above = np.repeat(known, count, axis=0)
    return np.where(numbers < 0, above + numbers, numbers - 1), count
