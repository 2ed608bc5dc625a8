"""Meshes by name: known objects, distractors, and shapes made here; parsed once per process."""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from dope_datagen.assets import primitives
from dope_ros2.common.errors import UserError
from dope_ros2.meshes.mesh import Mesh
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.objects.object_model import UNITS, ObjectModel

SIZE_TOLERANCE = 0.02  # of an edge
HEAVIEST = 15_000  # triangles of a distractor; one of more is decimated


@dataclass
class Assets:
    """Meshes by key.

    A key is "object:<name>" (metres, as in objects.yaml), "file:<path>" or the name of a shape of `shapes`.
    The latter two are centred and scaled to a diameter of 1, except "plane", whose edges are 1.

    Attributes:
        refused: why files could not be used, by key; a shape that depends on the file's name alone takes their place.
    """

    objects: dict[str, ObjectModel]
    refused: dict[str, str] = field(default_factory=dict)
    _meshes: dict[str, Mesh] = field(default_factory=dict)

    def mesh(self, key: str) -> Mesh:
        """The mesh of a key, read when first asked for."""
        if key not in self._meshes:
            self._meshes[key] = self._load(key)
        return self._meshes[key]

    def usable(self, key: str) -> bool:
        """Whether a key's mesh is the one that it names."""
        self.mesh(key)
        return key not in self.refused

    def _load(self, key: str) -> Mesh:
        kind, _, rest = key.partition(":")
        if kind == "object":
            return object_mesh(self.objects[rest])
        if kind == "file":
            return self._distractor(key, Path(rest))
        return primitives.plane() if key == "plane" else normalised(primitives.SHAPES[key]())

    def _distractor(self, key: str, path: Path) -> Mesh:
        if not path.is_file():  # of scenes that were drawn elsewhere
            raise UserError(f"{path}: there is no such file; put it there, or draw the scenes again")
        try:
            mesh = read_mesh(path, HEAVIEST)
            if not mesh.box.size.any():
                raise UserError(f"{path}: all corners are in one place; export it again")
        except UserError as error:
            self.refused[key] = str(error)
            # Scenes are to be the same wherever the folder lies, so the file's name decides.
            shape = primitives.DISTRACTORS[zlib.crc32(path.name.encode()) % len(primitives.DISTRACTORS)]
            print(f"warning: {error}; the shape {shape!r} takes its place", file=sys.stderr)
            return self.mesh(shape)
        if isinstance(mesh.texture, Path) and cv2.imread(str(mesh.texture), cv2.IMREAD_REDUCED_COLOR_8) is None:
            print(f"warning: {path}: its texture {mesh.texture} is not a readable image and is left out; "
                  "save it again as PNG or JPEG", file=sys.stderr)  # fmt: skip
            mesh = replace(mesh, texture=None)
        return normalised(mesh)


def object_mesh(model: ObjectModel) -> Mesh:
    """Read a known object's mesh in metres and compare it with objects.yaml.

    Raises:
        UserError: the mesh is missing or its bounding box is not that of objects.yaml.
    """
    mesh = read_mesh(model.mesh_path).scaled(UNITS[model.mesh_unit])
    size, centre = mesh.box.size, mesh.box.centre
    where = f"{model.source}: {model.name}"
    if (np.abs(size / model.size - 1) > SIZE_TOLERANCE).any():
        raise UserError(
            f"{where}: size {list(model.size)} is not that of its mesh {model.mesh}, "
            f"{size.astype(float).round(5).tolist()} m; correct size or mesh_unit ({model.mesh_unit})"
        )
    if (np.abs(centre - model.centre) > SIZE_TOLERANCE * size.max()).any():
        raise UserError(
            f"{where}: centre {list(model.centre)} is not that of its mesh {model.mesh}; "
            f"write centre: {centre.astype(float).round(5).tolist()}"
        )
    return mesh


def normalised(mesh: Mesh) -> Mesh:
    """Centre a mesh and scale its bounding box's diagonal to 1."""
    return mesh.moved(-mesh.box.centre).scaled(1 / max(float(np.linalg.norm(mesh.box.size)), 1e-9))


def files_of(place: Path) -> list[Path]:
    """An entry of those folders: the files below it, in the order of their names, or itself if it is a file."""
    return [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
