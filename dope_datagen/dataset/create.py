"""Beginning a store, and going on with one: with the same seed, configuration and objects, or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import zarr

from dope_datagen.dataset import shards
from dope_datagen.dataset.shard_state import LAST, arrays, attributes
from dope_datagen.dataset.shards import SHARD
from dope_ros2 import __version__
from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import ObjectModel

LABEL_BYTES = 65536


def create(path: Path, images: int, seed: int, config: dict, objects: Iterable[ObjectModel]) -> None:
    """Create a store, or open it to be completed; more images than before are added at its end.

    Raises:
        UserError: there is something else, or it was begun with another seed or configuration.
    """
    wanted = {"seed": seed, "config": config, "objects": [_record_of(model) for model in objects]}
    wanted = json.loads(json.dumps(wanted))
    if path.exists():
        _check(path, wanted, images)
        return
    try:
        with files.replacing(path) as folder:
            _lay_out(folder, wanted, images)
    except files.WriteError:
        if not (path / "zarr.json").is_file():  # else another process was faster
            raise
        _check(path, wanted, images)


def _record_of(model: ObjectModel) -> dict:
    return {key: value for key, value in asdict(model).items() if key not in ("source", "mesh")}


def _lay_out(path: Path, wanted: dict, images: int) -> None:
    """Write an empty store."""
    zarr.open_group(str(path), mode="w", attributes={**wanted, "images": images, "code_version": __version__})
    config = wanted["config"]
    pixels = config["width"] * config["height"]
    widths = {"rgb": 3 * pixels, "mask": pixels, "labels": LABEL_BYTES}
    if config["depth"]:
        widths["depth"] = 2 * pixels
    for name, width in widths.items():
        shards.create(path / name, images, width)


def _check(path: Path, wanted: dict, images: int) -> None:
    """Compare with what is there, and enlarge it when more images are wanted."""
    there = attributes(path)
    for key, value in wanted.items():
        if there.get(key) != value:
            was = f"seed {there.get(key)}" if key == "seed" else f"another {key} ({_difference(there.get(key), value)})"
            raise UserError(f"{path}: was begun with {was}; give the same, or another --out")
    if images < there["images"]:
        raise UserError(f"{path}: has {there['images']} images already; give --images {there['images']} or more")
    if images > there["images"]:
        try:
            _enlarge(path, there["images"], images)
        except OSError as error:
            raise files.write_error(path, error) from error


def _difference(there: object, here: object) -> str:
    """The first thing in which two configurations, or lists of objects, differ."""
    if isinstance(there, list) and isinstance(here, list):
        there, here = ({str(record.get("name")): record for record in records} for records in (there, here))
    there = there if isinstance(there, dict) else {}
    keys = [key for key in {**there, **here} if there.get(key) != here.get(key)]
    if not keys:
        return "in another order"
    inner = there.get(keys[0]), here.get(keys[0])
    if all(isinstance(value, dict) for value in inner):
        return f"{keys[0]}: {_difference(*inner)}"
    shown = ["none" if value is None else json.dumps(value) for value in inner]
    return f"{keys[0]}: {shown[0]} there, {shown[1]} here"


def _enlarge(path: Path, before: int, images: int) -> None:
    """More rows; a last shard that was not full is forgotten, so that it is rendered again. The number comes last."""
    names = [folder.name for folder in arrays(path)]
    if before % SHARD:
        for name in sorted(names, key=lambda name: name != LAST):
            shards.chunk_file(path / name, before // SHARD).unlink(missing_ok=True)
    for name in names:
        meta = json.loads((path / name / "zarr.json").read_text())
        meta["shape"][0] = images
        files.write_json(path / name / "zarr.json", meta, indent=2)
    meta = json.loads((path / "zarr.json").read_text())
    meta["attributes"]["images"] = images
    files.write_json(path / "zarr.json", meta, indent=2)
