"""A dataset on disk: a Zarr v3 group that several processes fill, one shard of 256 pictures at a time.

Arrays, one row per picture: `rgb` (JPEG), `mask` (instance ids, H * W), `labels` (JSON) and, if wanted, `depth`
(float16 metres, H * W). JPEG and JSON are padded with zeros, which the compression removes. A shard counts as finished
when its labels are there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import zarr

from dope_datagen import shards
from dope_datagen.labels import Label, camera_from_dict, camera_to_dict
from dope_datagen.shards import SHARD, Reader
from dope_ros2 import __version__
from dope_ros2.camera import CameraModel
from dope_ros2.errors import UserError
from dope_ros2.objects import ObjectModel

LABEL_BYTES = 65536
LAST = "labels"  # the array whose shard is renamed last


@dataclass(frozen=True, eq=False)
class Sample:
    """One stored picture.

    Attributes:
        rgb: (H, W, 3) uint8.
        objects: the labels; mask: (H, W) uint8, k + 1 where objects[k] is seen, else 0.
        depth: (H, W) float32 [m], 0 where nothing is; None when not stored.
    """

    rgb: np.ndarray
    camera: CameraModel
    objects: list[Label]
    mask: np.ndarray
    depth: np.ndarray | None = None


class Dataset:
    """The finished pictures of a store, by number from 0; reading is safe from many processes."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.attributes = _attributes(self.path)
        names = ["rgb", "mask", "labels", *(["depth"] if (self.path / "depth").is_dir() else [])]
        self._readers = {name: Reader(self.path / name) for name in names}
        self._finished = finished(self.path)
        images = self.attributes["images"]
        self._numbers = np.array(
            [n for s in self._finished for n in range(s * SHARD, min((s + 1) * SHARD, images))], int
        )

    @classmethod
    def open(cls, path: Path) -> Dataset:
        """Open a store for reading.

        Raises:
            UserError: there is no store, or it has no finished picture.
        """
        store = cls(path)
        if len(store) == 0:
            raise UserError(f"{path}: no finished shard in this dataset; run `dope generate` again to complete it")
        return store

    @property
    def objects(self) -> list[dict]:
        """The records of the objects, as they were when the store was begun."""
        return self.attributes["objects"]

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Sample:
        camera, labels = self._record(index)
        depth = None
        if "depth" in self._readers:
            depth = np.frombuffer(self._row("depth", index), np.float16).reshape(camera.height, camera.width)
        mask = np.frombuffer(self._row("mask", index), np.uint8).reshape(camera.height, camera.width)
        return Sample(self.rgb(index), camera, labels, mask, None if depth is None else np.float32(depth))

    def rgb(self, index: int) -> np.ndarray:
        """The picture alone, (H, W, 3) uint8."""
        encoded = np.frombuffer(self._row("rgb", index), np.uint8)
        return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def labels(self, index: int) -> list[Label]:
        """The labels alone."""
        return self._record(index)[1]

    def camera(self, index: int) -> CameraModel:
        """The camera alone."""
        return self._record(index)[0]

    def _row(self, name: str, index: int) -> bytes:
        return self._readers[name].row(int(self._numbers[index]))

    def _record(self, index: int) -> tuple[CameraModel, list[Label]]:
        entry = json.loads(self._row("labels", index).rstrip(b"\0"))
        return camera_from_dict(entry["camera_data"]), [Label.from_dict(e) for e in entry["objects"]]


def create(path: Path, images: int, seed: int, config: dict, objects: Iterable[ObjectModel]) -> None:
    """Create a store, or open it to be completed; more pictures than before are added at its end.

    Raises:
        UserError: there is something else, or it was begun with another seed or configuration.
    """
    wanted = {"seed": seed, "config": config, "objects": [_record_of(model) for model in objects]}
    wanted = json.loads(json.dumps(wanted))
    if path.exists():
        _check(path, wanted, images)
        return
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    zarr.open_group(str(partial), mode="w", attributes={**wanted, "images": images, "code_version": __version__})
    pixels = config["width"] * config["height"]
    widths = {
        "rgb": 3 * pixels,
        "mask": pixels,
        "labels": LABEL_BYTES,
        **({"depth": 2 * pixels} if config["depth"] else {}),
    }
    for name, width in widths.items():
        shards.create(partial / name, images, width)
    os.rename(partial, path)


def write_shard(path: Path, shard: int, samples: list[Sample], jpeg_quality: int) -> None:
    """Write one shard: under a temporary name first, the labels last."""
    scratch = path / f".partial-{shard}-{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    rows = {"rgb": [_jpeg(s.rgb, jpeg_quality) for s in samples], "mask": [s.mask.tobytes() for s in samples]}
    if (path / "depth").is_dir():
        rows["depth"] = [np.float16(s.depth).tobytes() for s in samples]
    rows[LAST] = [_json(s) for s in samples]
    files = {name: shards.write(path / name, shard, content, scratch) for name, content in rows.items()}
    for name, file in files.items():  # in this order: LAST is last
        target = shards.chunk_file(path / name, shard)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, target)
    shutil.rmtree(scratch)


def finished(path: Path) -> list[int]:
    """Numbers of the finished shards."""
    return sorted(int(file.parent.name) for file in (path / LAST / "c").glob("*/0"))


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    return cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _json(sample: Sample) -> bytes:
    entry = {"camera_data": camera_to_dict(sample.camera), "objects": [label.to_dict() for label in sample.objects]}
    return json.dumps(entry, separators=(",", ":")).encode()


def _record_of(model: ObjectModel) -> dict:
    return {key: value for key, value in asdict(model).items() if key not in ("source", "mesh")}


def _attributes(path: Path) -> dict:
    try:
        content = json.loads((path / "zarr.json").read_text())["attributes"]
        return {**content, "images": int(content["images"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a dataset of `dope generate`; give the folder named by its --out") from error


def _check(path: Path, wanted: dict, images: int) -> None:
    """Compare with what is there, and enlarge it when more pictures are wanted."""
    there = _attributes(path)
    for key, value in wanted.items():
        if there.get(key) != value:
            what = f"{key} {there.get(key)}" if key == "seed" else f"another {key}"
            raise UserError(f"{path}: was begun with {what}; give the same, or another --out")
    if images < there["images"]:
        raise UserError(f"{path}: has {there['images']} pictures already; give --images {there['images']} or more")
    if images > there["images"]:
        _enlarge(path, there["images"], images)


def _enlarge(path: Path, before: int, images: int) -> None:
    """More rows; a last shard that was not full is forgotten, so that it is rendered again."""
    names = [folder.name for folder in path.iterdir() if (folder / "zarr.json").is_file()]
    if before % SHARD:
        for name in sorted(names, key=lambda name: name != LAST):
            shards.chunk_file(path / name, before // SHARD).unlink(missing_ok=True)
    for name in names:
        array = zarr.open_array(str(path / name), mode="r+")
        array.resize((images, array.shape[1]))
    zarr.open_group(str(path), mode="r+").attrs["images"] = images
