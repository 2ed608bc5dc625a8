"""The configuration of DOPE's ROS 1 node, `config_pose.yaml`: lengths in centimetres, one checkpoint an object."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from numbers import Real
from pathlib import Path

import numpy as np
import yaml

from dope_ros2.common.errors import UserError, closest

BY_OBJECT = ("weights", "dimensions", "class_ids", "draw_colors", "model_transforms", "meshes", "mesh_scales")
NEEDED = ("weights", "dimensions")
ORTHOGONAL = 0.01  # a rotation's numbers may be off by as much


@dataclass(frozen=True, kw_only=True)
class Ros1Config:
    """What the file says, checked where it is used.

    Attributes:
        path: of the file.
        package: the folder that its package:// URIs mean.
        by_object: for each of `BY_OBJECT` the values by object's name.
        settings: all other keys.
    """

    path: Path
    package: Path
    by_object: dict[str, dict[str, object]]
    settings: dict[str, object]

    @classmethod
    def read(cls, path: Path, package: Path | None = None) -> Ros1Config:
        """Read the file.

        Args:
            path: of the file.
            package: the folder that its package:// URIs mean; the nearest above the file with a package.xml if None.

        Raises:
            UserError: it cannot be read, or is not such a configuration.
        """
        try:
            entries = _parameters(yaml.safe_load(path.read_text()))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", "not text")
            raise UserError(
                f"{path}: cannot be read ({reason}); give the config_pose.yaml of the ROS 1 node"
            ) from error
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
        if not isinstance(entries, dict) or any(key not in entries for key in NEEDED):
            raise UserError(
                f"{path}: not the configuration of DOPE's ROS 1 node, which has `weights:` and `dimensions:` by object"
            )
        by_object = {key: _mapping(path, key, entries.pop(key, None)) for key in BY_OBJECT}
        by_object["weights"] = {name: file for name, file in by_object["weights"].items() if file}
        if not by_object["weights"]:
            raise UserError(f"{path}: weights: names no object; take the # from the line of at least one")
        for name in by_object["weights"].keys() - by_object["dimensions"].keys():
            raise UserError(f"{path}: dimensions: lacks {name!r} of weights{closest(name, by_object['dimensions'])}")
        settings = {str(key): value for key, value in entries.items()}
        return cls(path=path, package=package or _package(path), by_object=by_object, settings=settings)

    @property
    def enabled(self) -> list[str]:
        """Names of the objects that have weights."""
        return list(self.by_object["weights"])

    def of(self, key: str, name: str) -> object:
        """What is said of one object under one of `BY_OBJECT`; None when nothing is."""
        return self.by_object[key].get(name)

    def file(self, uri: object) -> Path:
        """The file of a package:// or file:// URI or a path, relative ones from the configuration."""
        scheme, found, rest = str(uri).partition("://")
        if found and scheme == "package":
            return (self.package / rest.partition("/")[2]).resolve()
        return (self.path.parent / Path(rest if found else scheme).expanduser()).resolve()

    def size(self, name: str) -> np.ndarray:
        """Edges (3,) of an object's box along its own axes [m].

        Raises:
            UserError: they are not three numbers.
        """
        return self.numbers("dimensions", name, (3,)) / 100

    def turn(self, name: str) -> np.ndarray:
        """The rotation (3, 3) of an object's model_transforms: the node's poses are those of the box times this.

        Raises:
            UserError: it is not 4x4, or no rotation.
        """
        if self.of("model_transforms", name) is None:
            return np.eye(3)
        rotation = self.numbers("model_transforms", name, (4, 4))[:3, :3]
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > ORTHOGONAL or np.linalg.det(rotation) < 0:
            raise UserError(f"{self.path}: model_transforms: {name}: its upper left 3x3 is no rotation")
        return rotation

    def numbers(self, key: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An object's value as an array of this shape.

        Raises:
            UserError: it is none.
        """
        try:
            array = np.array(self.of(key, name), float)
        except (TypeError, ValueError):
            array = np.array(np.nan)
        if array.shape != shape or not np.isfinite(array).all():
            raise UserError(f"{self.path}: {key}: {name}: needs {'x'.join(map(str, shape))} numbers")
        return array

    def number(self, key: str, default: float) -> float:
        """A setting that is a number.

        Raises:
            UserError: it is none.
        """
        value = self.settings.get(key, default)
        if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
            raise UserError(f"{self.path}: {key}: {value!r} is not a number")
        return value


def _parameters(entries: object) -> object:
    """Those of the one node of a ROS 2 parameter file, as ports of the node have it; anything else unchanged."""
    node = next(iter(entries.values())) if isinstance(entries, dict) and len(entries) == 1 else None
    return node.get("ros__parameters", entries) if isinstance(node, dict) else entries


def _mapping(path: Path, key: str, entries: object) -> dict[str, object]:
    if entries is not None and not isinstance(entries, dict):
        raise UserError(f"{path}: {key}: is not a mapping of object to value")
    return {str(name): value for name, value in (entries or {}).items()}


def _package(path: Path) -> Path:
    """The nearest folder above a file with a package.xml, or else that of the file."""
    parents = path.resolve().parents
    return next((folder for folder in parents if (folder / "package.xml").is_file()), parents[0])
