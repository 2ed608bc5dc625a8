"""What is known about an object, read from config/objects.yaml: the only place with such facts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from dope_ros2.common.errors import UserError, closest, one_line, short
from dope_ros2.common.resources import resolve, share
from dope_ros2.common.yaml_files import read_yaml
from dope_ros2.geometry import cuboid
from dope_ros2.objects.parsing import MAX_OFFSET, axes, is_motion, is_place, text, transforms, triple

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}
MAX_EDGE = 3.0  # [m], an edge beyond this is a unit mistake
MAX_NAME_LENGTH = 100  # characters


@dataclass(frozen=True, kw_only=True)
class ObjectModel:
    """One entry of config/objects.yaml.

    Attributes:
        name: unique, letters, digits, '_' and '-'.
        class_id: positive integer, unique; BOP's obj_id where there is one.
        size: edges of the mesh's bounding box along x, y, z [m].
        centre: centre of that box in the mesh's frame [m].
        mesh: package:// URI or path, relative to objects.yaml or to $DOPE_MODELS; None when unknown.
        mesh_unit: m, cm or mm.
        symmetries_discrete: (4, 4) transforms, row-major 16 numbers each, as BOP's models_info (translation in m).
        symmetries_continuous: {axis: [x, y, z], offset: [x, y, z]} as BOP's models_info (offset in m).
        color: RGB of overlays and markers, 0 to 255.
        source: the file this entry came from.
    """

    name: str
    class_id: int
    size: tuple[float, float, float]
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mesh: str | None = None
    mesh_unit: str = "m"
    symmetries_discrete: tuple[tuple[float, ...], ...] = ()
    symmetries_continuous: tuple[dict, ...] = ()
    color: tuple[int, int, int] = (80, 200, 120)
    source: Path = field(default=Path("objects.yaml"), compare=False)

    def __post_init__(self) -> None:
        _check_name(self.name, self.source)
        where = f"{self.source}: {self.name}"
        if not isinstance(self.class_id, int) or not 1 <= self.class_id < 2**31:
            raise UserError(f"{where}: class_id {short(self.class_id)} is not a positive integer")
        if len(self.size) != 3 or not all(0 < edge <= MAX_EDGE for edge in self.size):
            raise UserError(
                f"{where}: size {list(self.size)} is not three edges in metres, each above 0 and at most {MAX_EDGE:g}; "
                f"if these are centimetres, write {[round(float(s) / 100, 5) for s in self.size]}"
            )
        if self.mesh_unit not in UNITS:
            raise UserError(f"{where}: mesh_unit {short(self.mesh_unit)} is not one of {', '.join(UNITS)}")
        offsets = [entry.get("offset", (0, 0, 0)) for entry in self.symmetries_continuous]
        if not all(map(is_place, (self.centre, *offsets))):
            raise UserError(f"{where}: centre and offset have three numbers each, metres, at most {MAX_OFFSET:g}")
        if not all(0 <= value <= 255 for value in self.color):
            raise UserError(f"{where}: color {list(self.color)} is not red, green and blue from 0 to 255")
        if not all(map(is_motion, self.symmetries_discrete)):
            raise UserError(
                f"{where}: each of symmetries_discrete has 16 numbers, a 4x4 matrix row by row: a rotation and a place"
            )
        if not all(1e-6 < np.linalg.norm(entry["axis"]) < 1e6 for entry in self.symmetries_continuous):
            raise UserError(f"{where}: an axis of symmetries_continuous has no direction; [0, 0, 1] is the z axis")

    @property
    def keypoints(self) -> np.ndarray:
        """The (9, 3) cuboid keypoints in the object's frame [m]."""
        return cuboid.keypoints(self.size, self.centre)

    @property
    def diameter(self) -> float:
        """Length of the bounding box's diagonal [m]."""
        return float(np.linalg.norm(self.size))

    @property
    def mesh_path(self) -> Path:
        """The mesh as a file.

        Raises:
            UserError: there is no such file.
        """
        if not self.mesh:
            raise UserError(f"{self.source}: {self.name} has no mesh; add `mesh: <path or package:// URI>`")
        path = resolve(self.mesh, Path(self.source).parent)
        if not os.path.isfile(path):
            raise UserError(
                f"{self.source}: mesh {one_line(self.mesh)} of {self.name} is not a file "
                f"(looked for {one_line(path)}); correct the path, or set DOPE_MODELS to the folder it is relative to"
            )
        return path

    @classmethod
    def from_dict(cls, name: str, entry: dict, source: Path) -> ObjectModel:
        """Check one entry of the YAML and build the record."""
        known = {f.name for f in fields(cls)} - {"name", "source"}
        _check_name(name, source)
        if not isinstance(entry, dict):
            raise UserError(f"{source}: {name} is not a mapping of {', '.join(sorted(known))}")
        for key in entry.keys() - known:
            raise UserError(f"{source}: {name}: unknown key {short(key)}{closest(str(key), known)}")
        entry = {key: value for key, value in entry.items() if value is not None}
        for key in {"class_id", "size"} - entry.keys():
            raise UserError(f"{source}: {name}: the key {key!r} is missing")
        try:
            typed = {key: _TYPES[key](value) for key, value in entry.items()}
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{source}: {name}: {one_line(error)}") from error
        return cls(name=name, source=source, **typed)


def _check_name(name: str, source: Path) -> None:
    if not (name.isascii() and name.replace("_", "").replace("-", "").isalnum()) or len(name) > MAX_NAME_LENGTH:
        raise UserError(
            f"{source}: {one_line(name)}: a name has letters, digits, '_' and '-' only, at most {MAX_NAME_LENGTH}; "
            "it becomes a TF frame"
        )


_TYPES = {
    "class_id": lambda value: value,
    "size": triple,
    "centre": triple,
    "mesh": text,
    "mesh_unit": text,
    "color": lambda value: tuple(int(v) for v in triple(value)),
    "symmetries_discrete": transforms,
    "symmetries_continuous": axes,
}


def load_objects(path: Path | None = None) -> dict[str, ObjectModel]:
    """Read the object records by name; without a path from $DOPE_OBJECTS, or else `config/objects.yaml`.

    Raises:
        UserError: the file is missing or an entry is wrong; the message names file, key and mend.
    """
    path = Path(path or os.environ.get("DOPE_OBJECTS") or share() / "config" / "objects.yaml")
    entries = read_yaml(path, "give the path of an objects.yaml")
    if not isinstance(entries, dict) or not isinstance(entries.get("objects"), dict):
        raise UserError(f"{path}: needs a mapping `objects:` of name to entry")
    objects = {str(name): ObjectModel.from_dict(str(name), entry, path) for name, entry in entries["objects"].items()}
    owners: dict[int, str] = {}
    for model in objects.values():
        owner = owners.setdefault(model.class_id, model.name)
        if owner != model.name:
            raise UserError(f"{path}: {owner} and {model.name} share class_id {model.class_id}; give each its own")
    return objects


def use_objects(file: Path | None, models: Path | None) -> None:
    """Let this process and those that it starts read another objects.yaml, and find meshes in another folder."""
    for name, path in (("DOPE_OBJECTS", file), ("DOPE_MODELS", models)):
        if path is not None:
            os.environ[name] = str(Path(path).resolve())


def pick(objects: dict[str, ObjectModel], names: list[str]) -> list[ObjectModel]:
    """Return the named objects, in that order.

    Raises:
        UserError: a name is not in objects.yaml.
    """
    source = next(iter(objects.values())).source if objects else "objects.yaml"
    for name in names:
        if name not in objects:
            raise UserError(f"{source}: no object {name!r}{closest(name, objects)}")
    return [objects[name] for name in names]
