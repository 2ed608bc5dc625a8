"""Which shards of a store are finished, and keeping the store's folder clean.

A shard counts as finished when its labels are there: they are renamed last.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from dope_datagen.dataset import shards
from dope_ros2.common import files
from dope_ros2.common.errors import UserError

LAST = "labels"  # the array whose shard is renamed last
MARK = "bad"  # name of a shard's labels when `dope check` wants it to be rendered again
CONVERT_AGAIN = "convert the source again, into another --out"


def attributes(path: Path) -> dict:
    """What a store says about itself: seed, config, objects, images, code_version.

    Raises:
        UserError: this is no store.
    """
    try:
        content = json.loads((path / "zarr.json").read_text())["attributes"]
        return {**content, "images": int(content["images"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a dataset of `dope generate`; give the folder named by its --out") from error


def arrays(path: Path) -> list[Path]:
    """The folders of a store's arrays."""
    return [file.parent for file in path.glob("[!.]*/zarr.json")]


def converted(path: Path) -> bool:
    """Whether a store was made by `dope convert`, from other files: nothing in it can be rendered.

    Raises:
        UserError: this is no store.
    """
    return "converted" in (attributes(path).get("config") or {})


def remedy(path: Path) -> str:
    """What the user of a store with missing shards can do."""
    return CONVERT_AGAIN if converted(path) else "run `dope generate` again to complete it"


def finished(path: Path) -> list[int]:
    """Numbers of the finished shards."""
    return sorted(int(file.parent.name) for file in (path / LAST / "c").glob("*/0"))


def marked(path: Path) -> list[int]:
    """Numbers of the shards that `unfinish` has put aside and that have not been written again."""
    return sorted(int(file.parent.name) for file in (path / LAST / "c").glob(f"*/{MARK}"))


def unfinish(path: Path, shard: int) -> None:
    """Let a finished shard count as missing, at once; its labels stay under another name until it is written again.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        os.replace(shards.chunk_file(path / LAST, shard), mark_file(path, shard))
    except OSError as error:
        raise files.write_error(path, error) from error


def mark_file(path: Path, shard: int) -> Path:
    """The labels of a shard that is to be rendered again."""
    return shards.chunk_file(path / LAST, shard).with_name(MARK)


def prepare(path: Path) -> None:
    """Remove what killed processes have left in a store, and see whether it can be written.

    Raises:
        UserError: it cannot.
    """
    tidy(path)
    probe = path / files.temporary_name("probe")
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise files.write_error(path, error) from error


def tidy(path: Path) -> None:
    """Remove what killed processes have left, and the marks of shards that have been written again since."""
    for folder in (path, *arrays(path)):
        files.remove_stale(folder)
    for shard in set(marked(path)) & set(finished(path)):
        files.remove(mark_file(path, shard))
