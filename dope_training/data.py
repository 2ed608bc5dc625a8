"""Stored pictures as batches for the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset
from torch.utils.data import Dataset as TorchDataset

from dope_datagen.store import Dataset, Sample
from dope_ros2.errors import UserError, closest
from dope_ros2.geometry import Pose
from dope_training.augment import Crop, augment
from dope_training.config import TrainConfig

MOST_OBJECTS = 12  # of the trained classes in one crop; further ones are ignored where they are


class Crops(TorchDataset):
    """Augmented crops of one store, several of each picture; every visit to an index draws others."""

    def __init__(self, path: Path, objects: list[str], size: int, indices: range, *, seed: int, crops: int = 1) -> None:
        self._store = Dataset.open(path)
        self._classes = {name: index for index, name in enumerate(objects)}
        self._cuboids = {r["name"]: (np.array(r["centre"]), np.array(r["size"]) / 2) for r in self._store.objects}
        self._size, self._indices, self._seed, self._crops = size, indices, seed, crops
        self._visits = 0

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """The crops of one picture, K of them.

        Returns:
            image (K, S, S, 3) uint8; keypoints (K, M, 9, 2) float32 [px], classes (K, M) with -1 where unused,
            visibility (K, M), M = `MOST_OBJECTS`; seen (K, S, S) uint8, m + 1 where object m is seen;
            rays (K, M, 3, 4) float32, see `viewing_rays`.
        """
        self._visits += 1
        rng = np.random.default_rng([self._seed, torch.initial_seed() % 2**32, index, self._visits])
        sample = self._store[self._indices[index]]
        crops = [self._one(sample, augment(rng, sample, self._size)) for _ in range(self._crops)]
        return {key: torch.from_numpy(np.stack([crop[key] for crop in crops])) for key in crops[0]}

    def _one(self, sample: Sample, crop: Crop) -> dict[str, np.ndarray]:
        known = [i for i, name in enumerate(crop.names) if name in self._classes][:MOST_OBJECTS]
        entry = {
            "image": crop.image,
            "keypoints": np.zeros((MOST_OBJECTS, 9, 2), np.float32),
            "classes": np.full(MOST_OBJECTS, -1),
            "visibility": np.zeros(MOST_OBJECTS, np.float32),
            "rays": np.zeros((MOST_OBJECTS, 3, 4), np.float32),
        }
        slots = np.zeros(256, np.uint8)
        for slot, i in enumerate(known):
            entry["keypoints"][slot] = crop.keypoints[i]
            entry["classes"][slot] = self._classes[crop.names[i]]
            entry["visibility"][slot] = crop.visibility[i]
            entry["rays"][slot] = viewing_rays(sample.camera.K, sample.objects[i].pose, crop.window,
                                               *self._cuboids[crop.names[i]])  # fmt: skip
            slots[i + 1] = slot + 1
        return entry | {"seen": slots[crop.mask]}


def viewing_rays(K: np.ndarray, pose: Pose, window: np.ndarray, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    """What a crop's pixels look along, in the frame of an object's cuboid, scaled so that its faces are at -1 and 1.

    Args:
        K: (3, 3) of the stored picture.
        pose: T_camera_object.
        window: (2, 3) from the picture's pixels to the crop's.
        centre: (3,) of the cuboid in the object frame [m].
        half: (3,) half its edges [m].

    Returns:
        (3, 4): a matrix that turns (x, y, 1) of a crop's pixel into the ray's direction, and the ray's origin.
    """
    R = pose.rotation.T
    directions = R @ np.linalg.inv(np.vstack([window, [0, 0, 1]]) @ K)
    origin = -R @ pose.translation - centre
    return np.column_stack([directions, origin]) / half[:, None]


def stack(pictures: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The crops of several pictures as one batch."""
    return {key: torch.cat([picture[key] for picture in pictures]) for key in pictures[0]}


def held_out(path: Path, share: float) -> tuple[range, range]:
    """Split a store into training and validation indices; the validation pictures are the last ones."""
    count = len(Dataset.open(path))
    kept = max(1, round(count * share))
    if count < 2:
        raise UserError(f"{path}: {count} pictures are not enough to train; generate more with `dope generate`")
    return range(count - kept), range(count - kept, count)


def check_classes(path: Path, objects: list[str], look_at: int = 200) -> None:
    """Refuse a store in which an object to be trained does not occur.

    Raises:
        UserError: naming the missing object and those that are there.
    """
    store = Dataset.open(path)
    step = max(1, len(store) // look_at)
    found = {label.name for i in range(0, len(store), step) for label in store.labels(i)}
    for name in objects:
        if name not in found:
            raise UserError(f"{path}: no picture of {name!r} in it{closest(name, found)}")


def crops_of(paths: list[Path], config: TrainConfig, *, training: bool) -> ConcatDataset:
    """All training or held-out pictures of several stores."""
    sets = []
    for path in paths:
        check_classes(path, config.objects)
        indices = held_out(path, config.validation_share)[0 if training else 1]
        seed = config.seed if training else config.seed + 1
        sets.append(Crops(path, config.objects, config.crop, indices, seed=seed, crops=config.crops_per_picture))
    return ConcatDataset(sets)
