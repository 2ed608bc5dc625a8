"""`dope convert`: datasets from one format into another."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from dope_datagen.formats import bop, coco, ndds, store_format
from dope_datagen.formats.common import DatasetReader, FormatOptions
from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import ObjectModel, load_objects, pick


class Format(StrEnum):
    """What can be written."""

    NDDS = "ndds"
    BOP = "bop"
    COCO = "coco"
    STORE = "store"


class ImageStream(StrEnum):
    """How images are written."""

    PNG = "png"
    JPG = "jpg"


WRITERS: dict[Format, ModuleType] = {
    Format.NDDS: ndds,
    Format.BOP: bop,
    Format.COCO: coco,
    Format.STORE: store_format,
}


def read(path: Path, known: dict[str, ObjectModel], rename: dict[str, str]) -> DatasetReader:
    """Read a dataset of any format.

    Args:
        path: the folder.
        known: objects of objects.yaml by name.
        rename: their names by the class names of NDDS files, where they differ.

    Raises:
        UserError: it is none, or nothing in it can be used.
    """
    if not path.is_dir():
        raise UserError(f"{path}: is not a folder; give the folder of a dataset")
    if store_format.is_store(path):
        return store_format.read(path, known)
    if bop.scenes(path):
        return bop.read(path, known)
    if ndds.is_folder(path):
        return ndds.read(path, known, rename)
    raise UserError(
        f"{path}: neither a dataset of `dope generate` (zarr.json), nor BOP scenes (scene_camera.json), nor images "
        "with annotations beside them (000000.png and 000000.json); give the folder of one of these"
    )


def convert(source: DatasetReader, to: Format, out: Path, options: FormatOptions) -> list[str]:
    """Write a dataset, whole or not at all; returns what has to be said about it, a line each.

    Raises:
        UserError: there is something at `out` already, or it cannot be written.
    """
    if out.exists():
        raise UserError(f"{out}: exists already; give another --out, or remove it")
    with files.replacing(out) as folder:
        return WRITERS[to].write(folder, source, options)


def parse_renames(texts: list[str], known: dict[str, ObjectModel]) -> dict[str, str]:
    """Turn "OLD=NEW" into a mapping.

    Raises:
        UserError: one has no "=", or NEW is not in objects.yaml.
    """
    pairs = [text.rpartition("=") for text in texts]
    for text, (old, _, _) in zip(texts, pairs, strict=True):
        if not old:
            raise UserError(f"--rename {text!r} is not OLD=NEW, such as 003_cracker_box_16k=cracker")
    pick(known, [new for _, _, new in pairs])
    return {old: new for old, _, new in pairs}


def _complain(lines: list[str]) -> None:
    for line in lines:
        print(f"dope convert: warning: {line}", file=sys.stderr)


@command("dope convert")
def main(
    source: Annotated[Path, typer.Argument(help="a dataset of ours, BOP scenes, or images with JSON beside them")],
    to: Annotated[Format, typer.Option(help="what to write")],
    out: Annotated[Path, typer.Option(help="the new folder")],
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
    rename: Annotated[list[str] | None, typer.Option(help="OLD=NEW: a class of the files and its object")] = None,
    pictures: Annotated[ImageStream, typer.Option(help="png is exact, jpg a quarter of the size")] = ImageStream.PNG,
    jpeg_quality: Annotated[
        int, typer.Option(min=1, max=100, help="JPEG quality, also of this package's own datasets")
    ] = 95,
    models: Annotated[Path | None, typer.Option(help="folder that meshes in objects.yaml are relative to")] = None,
) -> None:
    """Convert a dataset: ours, NDDS, FAT, NVISII, BlenderProc or BOP into ours, NDDS, BOP or COCO."""
    if models is not None:
        os.environ["DOPE_MODELS"] = str(models.resolve())
    known = load_objects(objects_file)
    found = read(source, known, parse_renames(rename or [], known))
    found = store_format.of_one_size(found) if to is Format.STORE else found
    _complain(found.problems)
    for line in found.findings:
        print(line)
    if not found.pictures or not found.models:
        raise UserError(f"{source}: nothing in it can be used; nothing was written, the reasons are above")
    notes = convert(found, to, out, FormatOptions(f".{pictures}", jpeg_quality))
    _complain(notes)
    left = f"; warnings: {len(found.problems) + len(notes)}" if found.problems or notes else ""
    print(f"{out}: {len(found.pictures)} images{left}")
