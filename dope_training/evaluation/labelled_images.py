"""Images whose objects are known: of a dataset of ours, or of BOP scenes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from dope_datagen.dataset.store import Dataset
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.bop import BopFrame, Truth, read_scene, scenes
from dope_ros2.io.images import read_image
from dope_ros2.objects.object_model import ObjectModel


@dataclass(frozen=True, eq=False)
class TrueObject:
    """One object that is in an image.

    Attributes:
        name: of its class.
        pose: T_camera_object.
        visibility: visible share of it; NaN when nobody knows.
    """

    name: str
    pose: Pose
    visibility: float


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """One image.

    Attributes:
        key: BOP's scene_id and im_id; of our datasets 0 and the image's number.
        rgb: (H, W, 3) uint8.
        truths: all that is known to be in it.
    """

    key: tuple[int, int]
    camera: CameraModel
    rgb: np.ndarray
    truths: list[TrueObject]


class LabelledImages(Protocol):
    """Labelled images by index.

    Attributes:
        path: where they are.
        keys: of each image, as `LabelledImage.key`.
        names: classes of the objects in them.
    """

    path: Path
    keys: list[tuple[int, int]]
    names: set[str]

    def __getitem__(self, index: int) -> LabelledImage:
        """Read one."""


class StoreImages:
    """Images of a dataset written by `dope generate` or `dope convert`."""

    def __init__(self, path: Path) -> None:
        self.path, self._store = path, Dataset.open(path)
        self.keys = [(0, self._store.number(index)) for index in range(len(self._store))]
        self.names = {record["name"] for record in self._store.objects}

    def __getitem__(self, index: int) -> LabelledImage:
        """Read one."""
        sample = self._store[index]
        truths = [TrueObject(label.name, label.pose, label.visibility) for label in sample.objects]
        return LabelledImage(self.keys[index], sample.camera, sample.rgb, truths)


class BopImages:
    """Images of BOP scenes."""

    def __init__(self, path: Path, folders: Iterable[Path], objects: Iterable[ObjectModel]) -> None:
        self.path = path
        self._names = {model.class_id: model.name for model in objects}
        self._frames = [frame for folder in folders for frame in read_scene(folder) if frame.truth is not None]
        if not self._frames:
            raise UserError(f"{path}: no scene_gt.json, so nobody knows what is in its images; give labelled ones")
        self.keys = [(frame.scene_id, frame.im_id) for frame in self._frames]
        self.names = {self._name(truth) for frame in self._frames for truth in frame.truth or ()}

    def __getitem__(self, index: int) -> LabelledImage:
        """Read one."""
        frame: BopFrame = self._frames[index]
        rgb = read_image(frame.path)
        truths = [
            TrueObject(self._name(truth), truth.pose, np.nan if truth.visibility is None else truth.visibility)
            for truth in frame.truth or ()
        ]
        return LabelledImage(self.keys[index], frame.camera(rgb.shape[1], rgb.shape[0]), rgb, truths)

    def _name(self, truth: Truth) -> str:
        return self._names.get(truth.obj_id, f"obj_id {truth.obj_id}")


def open_pictures(path: Path, objects: Iterable[ObjectModel]) -> LabelledImages:
    """Open a dataset of ours, a BOP scene or a folder of BOP scenes.

    Args:
        path: its folder.
        objects: known ones, which give BOP's numbers a name.

    Raises:
        UserError: it is none of these, or has no labelled image.
    """
    if folders := scenes(path):
        return BopImages(path, folders, objects)
    return StoreImages(path)
