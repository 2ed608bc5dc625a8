"""Meshes by name: known objects, distractors, and shapes made here; parsed once per process."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dope_datagen import shapes
from dope_datagen.meshes import Mesh, read_mesh
from dope_ros2.errors import UserError
from dope_ros2.objects import UNITS, ObjectModel

SIZE_TOLERANCE = 0.02  # of an edge
# Things of pybullet_data that look like something, beside its 1000 random shapes.
PYBULLET_MESHES = (
    "duck.obj",
    "domino/domino.obj",
    "jenga/jenga.obj",
    "soccerball.obj",
    "objects/mug.obj",
    "lego/lego.obj",
    "torus/torus_textured.obj",
    "bunny.obj",
    "stone.obj",
    "teddy2_VHACD_CHs.obj",
    "tray/tray_textured.obj",
)
RANDOM_SHAPES = 400  # of pybullet_data's random_urdfs


@dataclass
class Assets:
    """Meshes by key.

    A key is "object:<name>" (metres, as in objects.yaml), "file:<path>" or the name of a shape of `shapes`.
    The latter two are centred and scaled to a diameter of 1, except "plane", whose edges are 1.
    """

    objects: dict[str, ObjectModel]
    _meshes: dict[str, Mesh] = field(default_factory=dict)

    def mesh(self, key: str) -> Mesh:
        """The mesh of a key, read when first asked for."""
        if key not in self._meshes:
            self._meshes[key] = self._load(key)
        return self._meshes[key]

    def _load(self, key: str) -> Mesh:
        kind, _, rest = key.partition(":")
        if kind == "object":
            return object_mesh(self.objects[rest])
        if key == "plane":
            return shapes.plane()
        return normalised(read_mesh(Path(rest)) if kind == "file" else shapes.SHAPES[key]())


def object_mesh(model: ObjectModel) -> Mesh:
    """Read a known object's mesh in metres and compare it with objects.yaml.

    Raises:
        UserError: the mesh is missing or its bounding box is not that of objects.yaml.
    """
    mesh = read_mesh(model.mesh_path).scaled(UNITS[model.mesh_unit])
    size, centre = mesh.high - mesh.low, (mesh.high + mesh.low) / 2
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
    centre = (mesh.high + mesh.low) / 2
    return mesh.moved(-centre).scaled(1 / max(float(np.linalg.norm(mesh.high - mesh.low)), 1e-9))


def distractor_keys(pybullet: bool, folders: tuple[Path, ...]) -> list[str]:
    """Keys of all distractor meshes: those of pybullet_data and all OBJ, PLY, STL, GLB and glTF files of folders.

    Raises:
        UserError: a folder is missing or has no mesh.
    """
    paths, own = _pybullet_paths() if pybullet else [], []
    for folder in folders:
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".obj", ".ply", ".stl", ".glb", ".gltf"))
        if not found:
            raise UserError(f"{folder}: no mesh (.obj, .ply, .stl, .glb, .gltf) in this folder of distractors")
        own += found
    if own:  # the user's folders look like the user's scenes: drawn as often as all the rest
        paths += max(1, round(len(paths) / len(own))) * own
    return [f"file:{path}" for path in paths]


def _pybullet_paths() -> list[Path]:
    spec = importlib.util.find_spec("pybullet_data")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("pybullet_meshes: the package pybullet_data is missing; install pybullet, or set it to false")
    root = Path(spec.submodule_search_locations[0])
    named = [root / name for name in PYBULLET_MESHES]
    random = [p for p in sorted(root.glob("random_urdfs/*/*.obj"))[:RANDOM_SHAPES] if b"nan" not in p.read_bytes()]
    # Textured things are few and look like real ones, so each counts as much as several random shapes.
    return 12 * [p for p in named if p.is_file()] + random
