"""Reads a mesh file for `dope assets`: strictly, so that nothing which it names may be missing, and with notes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dope_datagen.mesh_preparation.assemble import assemble
from dope_datagen.mesh_preparation.surface import Surface
from dope_ros2.common.errors import UserError
from dope_ros2.meshes.mtl import file_name, find_file
from dope_ros2.meshes.parts import Part
from dope_ros2.meshes.read_parts import MESH_SUFFIXES, read_parts


@dataclass(frozen=True, eq=False)
class MeshFile:
    """What a mesh file holds.

    Attributes:
        path: the file.
        surface: its triangles, in its unit.
        vertices: number of vertices, as stored.
        materials: number of parts with a material of their own.
        declared: metres in one unit, if the file says so.
        notes: what a user should know about the file, a sentence each.
    """

    path: Path
    surface: Surface
    vertices: int
    materials: int
    declared: float | None
    notes: tuple[str, ...]


def read(path: Path) -> MeshFile:
    """Read a mesh file.

    Raises:
        UserError: it is not a readable mesh, has no triangles, positions that are not finite, or a texture that is
            named and missing.
    """
    path = Path(path)
    if path.suffix.lower() not in MESH_SUFFIXES:
        allowed = ", ".join(MESH_SUFFIXES)
        raise UserError(f"{path}: the suffix {path.suffix!r} is not one of {allowed}; export it as OBJ")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    named = _textures(path)
    _missing(path, named)
    vertices, parts, declared = read_parts(path)
    _refuse_unusable(path, vertices, parts)
    surface, notes = assemble([_with_pixels(path, part) for part in parts])
    if surface.areas.sum() <= 1e-12 * surface.box.size.max() ** 2:
        raise UserError(f"{path}: all {sum(len(p.corners) for p in parts)} triangles have zero area; export it again")
    if named and not surface.images:
        notes += (f"the texture {named[0]} is not used: no face has it",)
    return MeshFile(path, surface, len(vertices), len(parts), declared, notes)


def _refuse_unusable(path: Path, vertices: np.ndarray, parts: list[Part]) -> None:
    broken = ~np.isfinite(vertices).all(1)
    if broken.any():
        raise UserError(
            f"{path}: {broken.sum()} of {len(vertices)} vertices are not finite (NaN or infinite), the first is number "
            f"{int(broken.argmax()) + 1}; remove them and export the mesh again"
        )
    if not sum(len(part.corners) for part in parts):
        raise UserError(
            f"{path}: the mesh has no triangles ({len(vertices)} vertices); a point cloud must be turned into a mesh "
            "first, and curves or empty groups must be exported as faces"
        )


def _missing(path: Path, named: list[str]) -> None:
    """Refuse a file whose textures or material library are not there or not readable."""
    for name in named:
        place = find_file(name, path, path) or find_file(file_name(name), path, path)
        if place is None:
            raise UserError(
                f"{path}: {name}, which it names, is not in {path.parent}; put the file there, or remove the line that "
                "names it to go without a texture"
            )
        with _opened(path, place):
            pass


def _with_pixels(path: Path, part: Part) -> Part:
    """The part with its image's pixels, if that is a file that has not been opened."""
    if not isinstance(part.image, Path):
        return part
    with _opened(path, part.image) as image:
        return part._replace(image=np.asarray(image.convert("RGB")))


@contextmanager
def _opened(path: Path, texture: Path) -> Iterator[Image.Image]:
    """A texture of the mesh file at `path`.

    Raises:
        UserError: it is not a readable image.
    """
    try:
        with Image.open(texture) as image:
            yield image
    except (OSError, SyntaxError) as error:
        raise UserError(f"{path}: its texture {texture} is not a readable image; save it again as PNG") from error


def _textures(path: Path) -> list[str]:
    """Textures that a file names, and material libraries that are not there."""
    suffix = path.suffix.lower()
    if suffix == ".obj":
        libraries = _lines(path.read_text(errors="replace"), "mtllib")
        there = {name: found for name in libraries if (found := find_file(name, path, path))}
        textures = [n for library in there.values() for n in _lines(library.read_text(errors="replace"), "map_Kd")]
        return textures + [name for name in libraries if name not in there]
    if suffix == ".ply":
        with path.open("rb") as file:
            head = file.read(4096).split(b"end_header")[0].decode(errors="replace")
        return _lines(head, "comment TextureFile")
    if suffix == ".gltf":
        try:
            uris = [image.get("uri", "") for image in json.loads(path.read_bytes()).get("images", [])]
        except (ValueError, AttributeError):
            return []  # the parser says what is wrong
        return [uri for uri in uris if uri and not uri.startswith("data:")]
    return []


def _lines(text: str, key: str) -> list[str]:
    """What follows a word at the beginning of a line."""
    return re.findall(rf"^[ \t]*{key}[ \t]+(\S.*?)\s*$", text, re.M)
