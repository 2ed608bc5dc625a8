"""Scenes as files: arranged on one machine, rendered on another.

A folder holds `scenes.json` (seed, images, configuration) and one `<shard>.jsonl.gz` for every 256 images, one
scene a line. Paths inside the configuration's folders are written relative to them, so that the other machine may have
them elsewhere.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
from collections.abc import Iterable
from pathlib import Path

from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.scene import Scene
from dope_ros2.common import files
from dope_ros2.common.errors import UserError

MANIFEST = "scenes.json"
FOLDERS = ("distractor_folders", "hdri_folders", "photo_folders")
RENDERING = ("renderer", "spp", "jpeg_quality", "depth", *FOLDERS)  # may differ where scenes are rendered


def begin(folder: Path, config: DatagenConfig, seed: int, images: int) -> None:
    """Create the folder, or go on with it.

    Raises:
        UserError: it holds other scenes, or cannot be written.
    """
    wanted = _manifest(config, seed, images)
    if (folder / MANIFEST).is_file():
        if _read_manifest(folder) != wanted:
            raise UserError(f"{folder}: holds scenes of another configuration, seed or number; give another --out")
        return
    files.write_json(folder / MANIFEST, wanted)


def check(folder: Path, config: DatagenConfig, seed: int, images: int) -> None:
    """Compare a folder of scenes with what is to be rendered.

    Raises:
        UserError: they are not the scenes of this configuration, seed and number of images.
    """
    there, wanted = _read_manifest(folder), _manifest(config, seed, images)
    if there["seed"] != seed or there["images"] < images:
        raise UserError(
            f"{folder}: has scenes of seed {there['seed']} for {there['images']} images; "
            f"give --seed {there['seed']} and at most --images {there['images']}"
        )
    both = {**wanted["config"], **there["config"]}
    keys = [key for key in both if there["config"].get(key) != wanted["config"].get(key)]
    if keys:
        raise UserError(f"{folder}: its scenes were drawn with another {keys[0]}; give the configuration they are of")


def write(folder: Path, shard: int, scenes: Iterable[Scene], config: DatagenConfig) -> None:
    """Write the scenes of one shard, whole or not at all.

    Raises:
        UserError: they cannot be written.
    """
    roots = _roots(config)
    lines = (_replaced(json.dumps(scene.to_dict()), roots) for scene in scenes)
    with files.open_replacing(_file(folder, shard)) as whole, gzip.GzipFile("", "wb", fileobj=whole, mtime=0) as file:
        file.writelines(f"{line}\n".encode() for line in lines)


def finished(folder: Path) -> set[int]:
    """Numbers of the shards whose scenes are there."""
    return {int(file.name.partition(".")[0]) for file in folder.glob("[0-9]*.jsonl.gz")}


def read(folder: Path, shard: int, config: DatagenConfig) -> list[Scene]:
    """The scenes of one shard.

    Raises:
        UserError: they are not there, or the file is damaged.
    """
    file = _file(folder, shard)
    back = {name: root for root, name in _roots(config).items()}
    try:
        lines = gzip.decompress(file.read_bytes()).decode().splitlines()
        return [Scene.from_dict(json.loads(_replaced(line, back))) for line in lines]
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file; draw these scenes first, with --scenes-only") from error
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: not readable ({error}); remove it and draw its scenes again") from error


def _file(folder: Path, shard: int) -> Path:
    return folder / f"{shard:06d}.jsonl.gz"


def _manifest(config: DatagenConfig, seed: int, images: int) -> dict:
    entries = {key: value for key, value in config.model_dump(mode="json").items() if key not in RENDERING}
    return {"seed": seed, "images": images, "config": entries}


def _read_manifest(folder: Path) -> dict:
    try:
        return json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: no folder of scenes; give one that --scenes-only has written") from error


def _roots(config: DatagenConfig) -> dict[str, str]:
    """Folders whose place differs between machines, and what is written for them, the longest first."""
    roots = {str(folder): f"${{{key}[{k}]}}" for key in FOLDERS for k, folder in enumerate(getattr(config, key))}
    spec = importlib.util.find_spec("pybullet_data")
    if spec is not None and spec.submodule_search_locations:
        roots[spec.submodule_search_locations[0]] = "${pybullet_data}"
    return dict(sorted(roots.items(), key=lambda pair: -len(pair[0])))


def _replaced(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        for end in {os.sep, "/", '"'}:  # an entry may be a single file, which the string ends with
            text = text.replace(f":{old}{end}", f":{new}{end}")
    return text
