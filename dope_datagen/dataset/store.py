"""A dataset on disk: a Zarr v3 group that several processes fill, one shard of 256 images at a time.

Arrays, one row per image: `rgb` (JPEG), `mask` (instance ids, H * W), `labels` (JSON) and, if wanted, `depth`
(float16 metres, H * W). JPEG and JSON are padded with zeros, which the compression removes. A shard counts as finished
when its labels are there. A process may be killed at any moment: what it was writing has a temporary name, and the next
one removes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dope_datagen.dataset import shards
from dope_datagen.dataset.create import create
from dope_datagen.dataset.labels import Label, camera_from_dict, camera_to_dict
from dope_datagen.dataset.shard_state import LAST, attributes, finished, mark_file, prepare, remedy, tidy
from dope_datagen.dataset.shards import SHARD, Reader
from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.objects.object_model import ObjectModel

__all__ = ["SHARD", "Dataset", "Sample", "create", "finished", "prepare", "tidy", "write_shard"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One stored image.

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
    """The finished images of a store, by number from 0; reading is safe from many processes."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.attributes = attributes(self.path)
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
            UserError: there is no store, or it has no finished image.
        """
        store = cls(path)
        if len(store) == 0:
            raise UserError(f"{path}: no finished shard in this dataset; {remedy(path)}")
        return store

    @property
    def objects(self) -> list[dict]:
        """The records of the objects, as they were when the store was begun."""
        return self.attributes["objects"]

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, index: int) -> int:
        """The number of an image among all of the dataset, finished or not."""
        return int(self._numbers[index])

    def __getitem__(self, index: int) -> Sample:
        camera, labels = self._record(index)
        depth = None
        if "depth" in self._readers:
            depth = np.frombuffer(self._row("depth", index), np.float16).reshape(camera.height, camera.width)
        mask = np.frombuffer(self._row("mask", index), np.uint8).reshape(camera.height, camera.width)
        return Sample(self.rgb(index), camera, labels, mask, None if depth is None else np.float32(depth))

    def rgb(self, index: int) -> np.ndarray:
        """The image alone, (H, W, 3) uint8."""
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


def write_shard(path: Path, shard: int, samples: Iterable[Sample], jpeg_quality: int) -> None:
    """Write one shard: under a temporary name first, the labels last; images are encoded as they come.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    rows = _rows(samples, jpeg_quality, depth=(path / "depth").is_dir())
    place = path / files.temporary_name(str(shard))
    files.remove(place)
    try:
        written = {name: shards.write(path / name, shard, content, place) for name, content in rows.items()}
        for name, file in written.items():  # in this order: LAST is last
            files.replace(file, shards.chunk_file(path / name, shard))
        mark_file(path, shard).unlink(missing_ok=True)
    except OSError as error:
        raise files.write_error(path, error, "; what is finished is kept") from error
    finally:
        files.remove(place)


def _rows(samples: Iterable[Sample], jpeg_quality: int, depth: bool) -> dict[str, list[bytes]]:
    """What is stored of each image, by array; the labels last."""
    rows: dict[str, list[bytes]] = {name: [] for name in ("rgb", "mask", *(["depth"] if depth else []), LAST)}
    for sample in samples:
        rows["rgb"].append(_jpeg(sample.rgb, jpeg_quality))
        rows["mask"].append(sample.mask.tobytes())
        if depth:
            rows["depth"].append(np.float16(sample.depth).tobytes())
        rows[LAST].append(_json(sample))
    return rows


def _jpeg(rgb: np.ndarray, quality: int) -> bytes:
    return cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _json(sample: Sample) -> bytes:
    entry = {"camera_data": camera_to_dict(sample.camera), "objects": [label.to_dict() for label in sample.objects]}
    return json.dumps(entry, separators=(",", ":")).encode()


def records(path: Path) -> dict[str, ObjectModel]:
    """The objects of a store by name.

    Raises:
        UserError: a record cannot be used.
    """
    try:
        return {entry["name"]: ObjectModel(**entry) for entry in attributes(path)["objects"]}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: the objects in its zarr.json cannot be used ({error}); render it again") from error
