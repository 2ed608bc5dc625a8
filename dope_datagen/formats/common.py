"""Datasets as other programs write and read them: one file a format, and what they have in common here.

A reader turns a folder into a `DatasetReader`; a writer turns a `DatasetReader` into a folder. Inside, everything is
as in the rest of this project: metres, the optical frame, the mesh's frame, the corner order of
`dope_ros2.geometry.cuboid`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from dope_datagen.dataset.store import Sample
from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import ObjectModel

SUFFIXES = (".png", ".jpg", ".jpeg")
TENTH_MM = 1e-4  # [m], one unit of the depth images written here; 16 bits reach 6.5 m


@dataclass(frozen=True, eq=False)
class LabelledFrame:
    """An image of a source: its size is known, its pixels are read by `load`."""

    path: Path
    width: int
    height: int
    load: Callable[[], Sample]


@dataclass(frozen=True, eq=False)
class DatasetReader:
    """What a reader found.

    Attributes:
        models: the objects that are in it.
        pictures: those that can be used.
        depth: whether every image has depth.
        findings: what was detected, a line each.
        problems: what was left out and why, a line each, the path first.
    """

    models: list[ObjectModel]
    pictures: Sequence[LabelledFrame]
    depth: bool = False
    findings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class FormatOptions:
    """How a writer stores images: `suffix` .png (exact) or .jpg, and the quality of JPEG, 1 to 100."""

    suffix: str = ".png"
    quality: int = 95


def read_rgb(path: Path) -> np.ndarray:
    """Read a colour image, (H, W, 3) uint8.

    Raises:
        UserError: it is not an image that OpenCV can decode.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path}: not a readable image; make or copy it again")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_plain(path: Path) -> np.ndarray | None:
    """Read an image of one channel as it is, (H, W) of 8 or 16 bits; None when it is something else."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    return None if image is None or image.ndim != 2 else image


def write_rgb(path: Path, rgb: np.ndarray, options: FormatOptions) -> None:
    """Write a colour image (H, W, 3) as PNG or JPEG, whichever its suffix says."""
    quality = [] if path.suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, options.quality]
    write_plain(path, np.ascontiguousarray(rgb[..., ::-1]), quality)


def write_plain(path: Path, image: np.ndarray, parameters: Sequence[int] = ()) -> None:
    """Write an image as OpenCV has it."""
    files.write_bytes(path, cv2.imencode(path.suffix, image, parameters)[1].tobytes(), flush=False)


def write_depth(path: Path, depth: np.ndarray) -> None:
    """Write depth [m] as a 16-bit image in tenths of a millimetre; 0 is nothing, and so is what lies too far."""
    units = np.round(depth / TENTH_MM)
    write_plain(path, np.where(units <= np.iinfo(np.uint16).max, units, 0).astype(np.uint16))


def read_json(path: Path) -> object:
    """Read a JSON file.

    Raises:
        UserError: it cannot be read or is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error


def numbers(value: object, shape: tuple[int, ...]) -> np.ndarray | None:
    """An array of that shape, or None if it is something else or has numbers that are not finite."""
    try:
        array = np.array(value, float)
    except (TypeError, ValueError):
        return None
    return array if array.shape == shape and np.isfinite(array).all() else None


def write_json(path: Path, content: object) -> None:
    """Write a JSON file."""
    files.write_json(path, content, flush=False)
