"""What the material library of an OBJ file says, and where the images that it names lie."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

WHITE = (1.0, 1.0, 1.0)
NUMBERS = {"-s", "-o", "-t", "-mm"}  # options of a map that are followed by one to three numbers; the rest by a word
# Where images lie from a mesh's folder; the last two as in the Google Scanned Objects and other Gazebo models.
PLACES = (".", "textures", "../textures", "../materials/textures")


class Look(NamedTuple):
    """A material: its image, or else its linear RGB, or nothing that is known."""

    texture: Path | None = None
    color: tuple[float, float, float] | None = None


def find_file(name: str, library: Path, mesh: Path) -> Path | None:
    """The file that a library or mesh means by `name`, or None; exporters often leave out or invent its folder."""
    plain = unquote(name.strip().strip('"').removeprefix("file://")).replace("\\", "/")
    folders = [library.parent, *(mesh.parent / place for place in PLACES)]
    names = dict.fromkeys((name, plain, Path(plain).name))
    return next((folder / n for n in names if n for folder in folders if (folder / n).is_file()), None)


def read_materials(mesh: Path, libraries: list[str]) -> dict[str, Look]:
    """Looks by name from the libraries that an OBJ file names, or else from the one of its own name."""
    files = [find_file(name, mesh, mesh) for line in libraries for name in (line, *line.split())]
    files = list(dict.fromkeys(file for file in files if file)) or [mesh.with_suffix(".mtl")]
    looks: dict[str, Look] = {}
    for file in files:
        if file.is_file():
            looks |= _read_library(file, mesh)
    return looks


def looks_of(names: list[str], materials: dict[str, Look]) -> list[Look]:
    """The look of each material's name; for one that no library knows, or none, the first that has an image."""
    usual = next((look for look in materials.values() if look.texture), next(iter(materials.values()), Look()))
    return [materials.get(name, usual) for name in names]


def _read_library(library: Path, mesh: Path) -> dict[str, Look]:
    textures: dict[str, Path] = {}
    colors: dict[str, tuple[float, float, float] | None] = {}
    name = ""
    for line in library.read_text(errors="replace").splitlines():
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        if key == "newmtl":
            name = rest.strip()
            colors[name] = None
        elif key == "Kd" and len(rest.split()) == 3:
            colors[name] = tuple(float(word) for word in rest.split())
        elif key.lower() == "map_kd" and (found := find_file(file_name(rest), library, mesh)):
            textures.setdefault(name, found)
            colors.setdefault(name, None)
    # A texture's Kd is not applied: many exporters write 0 or 0.8 beside it and mean nothing by it.
    return {name: Look(textures[name]) if name in textures else Look(None, color) for name, color in colors.items()}


def file_name(text: str) -> str:
    """The file's name, which may have blanks, behind the options of a map."""
    while option := re.match(r"\s*(-[a-z]+)\s+", text):
        text = text[option.end() :]
        kept = r"(?:[-+.\de]+\s+){1,3}" if option[1] in NUMBERS else r"\S+\s+"
        text = re.sub(f"^{kept}", "", text, count=1)
    return text.strip()
