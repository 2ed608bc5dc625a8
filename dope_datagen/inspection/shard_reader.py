"""Reading a dataset as a suspicious reader would: every shard, every row, every number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dope_datagen.dataset import shards
from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.shard_state import LAST, attributes
from dope_datagen.dataset.shards import SHARD, Reader
from dope_datagen.dataset.store import records
from dope_datagen.inspection import faults
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.objects.object_model import ObjectModel

UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, IndexError, MemoryError, TypeError)


@dataclass(frozen=True)
class DataFault:
    """Something wrong: in an image, in a whole shard (image None), or in the store (shard None)."""

    shard: int | None
    picture: int | None
    reason: str

    def __str__(self) -> str:
        place = {"shard": self.shard, "image": self.picture}
        named = [f"{key} {value}" for key, value in place.items() if value is not None]
        return f"{', '.join(named) or 'the store'}: {self.reason}"


@dataclass(frozen=True)
class LabelStatistics:
    """One label in figures.

    Attributes:
        name: its class.
        visibility: as stored.
        distance: from the camera to the cuboid's centre [m].
        size: length of the box's diagonal at that depth [px], as `size_px` of a configuration.
        azimuth, rise: direction to the camera in the object's frame: angle about z [rad], sine of the elevation.
    """

    name: str
    visibility: float
    distance: float
    size: float
    azimuth: float
    rise: float


@dataclass(frozen=True, eq=False)
class ShardReport:
    """What is in a shard, what is wrong with it, and how many objects each of its images has."""

    shard: int
    faults: list[DataFault]
    seen: list[LabelStatistics]
    crowd: list[int]


def store_faults(path: Path) -> Iterator[DataFault]:
    """Faults that concern all shards: arrays that are missing or too short."""
    about = attributes(path)
    wanted = ["rgb", "mask", LAST, *(["depth"] if about.get("config", {}).get("depth") else [])]
    for name in wanted:
        try:
            rows = json.loads((path / name / "zarr.json").read_text())["shape"][0]
        except UNREADABLE as error:
            yield DataFault(None, None, f"the array {name} cannot be opened ({type(error).__name__}: {error})")
            continue
        if rows < about["images"]:
            yield DataFault(None, None, f"the array {name} has {rows} rows for {about['images']} images")


def inspect_shard(path: Path, shard: int, tolerance: float) -> ShardReport:
    """Read and check one shard.

    Args:
        path: the store.
        shard: its number.
        tolerance: how far a stored corner may lie from the projection of its pose [px].
    """
    report = ShardReport(shard, [], [], [])
    numbers = range(shard * SHARD, min((shard + 1) * SHARD, attributes(path)["images"]))
    if not numbers:
        report.faults.append(DataFault(shard, None, "lies beyond the dataset's last image"))
        return report
    names = ["rgb", "mask", LAST, *(["depth"] if (path / "depth").is_dir() else [])]
    for name in names:
        try:
            shards.verify(path / name, shard)
            if not shards.chunk_file(path / name, shard).is_file():
                raise FileNotFoundError("no such file")
        except UNREADABLE as error:
            report.faults.append(DataFault(shard, None, f"the file of {name} is damaged ({_short(error)})"))
    if not report.faults:
        reader = PictureReader(path, names, tolerance)
        for number in numbers:
            report.faults.extend(DataFault(shard, number, reason) for reason in reader.inspect(number, report))
    return report


class PictureReader:
    """Checks images of a store by number."""

    def __init__(self, path: Path, names: list[str], tolerance: float) -> None:
        self._models, self._tolerance = records(path), tolerance
        self._readers = {name: Reader(path / name) for name in names}

    def inspect(self, number: int, report: ShardReport) -> Iterator[str]:
        """Yield what is wrong with an image; what it shows is added to the report's figures."""
        rows = {}
        for name, reader in self._readers.items():
            try:
                rows[name] = reader.row(number)
                if len(rows[name]) != reader.width:
                    raise ValueError(f"{len(rows[name])} bytes instead of {reader.width}")
            except UNREADABLE as error:
                yield f"{name} cannot be read ({_short(error)})"
                return
        try:
            record = json.loads(rows[LAST].rstrip(b"\0"))
            entries, camera_data = record["objects"], record["camera_data"]
        except UNREADABLE as error:
            yield f"labels cannot be read ({_short(error)})"
            return
        camera, fault = faults.camera_fault(camera_data, len(rows["mask"]))
        if camera is None:
            yield fault
            return
        yield from faults.picture_faults(rows["rgb"].rstrip(b"\0"), camera)
        labels = []
        for k, entry in enumerate(entries):
            label, reasons = self._label(entry, camera)
            labels.append(label)
            yield from (f"label {k} ({_name(entry)}): {reason}" for reason in reasons)
        yield from self._pixels(rows, camera, labels)
        report.crowd.append(len(labels))
        known = [label for label in labels if label is not None and label.name in self._models]
        report.seen.extend(figures(label, self._models[label.name], camera) for label in known)

    def _label(self, entry: object, camera: CameraModel) -> tuple[Label | None, list[str]]:
        if not isinstance(entry, Mapping):
            return None, ["is no mapping"]
        if reasons := list(faults.number_faults(entry)):
            return None, reasons
        reasons = faults.label_faults(entry, self._models, camera, self._tolerance)
        usable = "class" in entry and np.linalg.norm(entry["quaternion_xyzw"]) > 1e-6
        return Label.from_dict(entry) if usable else None, reasons

    def _pixels(self, rows: dict[str, bytes], camera: CameraModel, labels: list[Label | None]) -> Iterator[str]:
        shape = camera.height, camera.width
        mask = np.frombuffer(rows["mask"], np.uint8).reshape(shape)
        yield from faults.mask_faults(mask, labels)
        if "depth" in rows:
            depth = np.float32(np.frombuffer(rows["depth"], np.float16).reshape(shape))
            yield from faults.depth_faults(depth, mask, labels, self._models)


def figures(label: Label, model: ObjectModel, camera: CameraModel) -> LabelStatistics:
    """One label in figures."""
    centre = label.pose.apply(model.centre)
    towards = label.pose.inverse().translation - model.centre  # the camera, from the box's centre, object's frame [m]
    towards = towards / max(float(np.linalg.norm(towards)), 1e-9)
    return LabelStatistics(
        name=label.name,
        visibility=label.visibility,
        distance=float(np.linalg.norm(centre)),
        size=float(camera.K[0, 0] * model.diameter / max(centre[2], 1e-6)),
        azimuth=float(np.arctan2(towards[1], towards[0])),
        rise=float(towards[2]),
    )


def _name(entry: object) -> object:
    return entry.get("class") if isinstance(entry, Mapping) else None


def _short(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text[:120]}"
