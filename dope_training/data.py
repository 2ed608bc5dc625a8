"""Stored pictures as batches for the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset
from torch.utils.data import Dataset as TorchDataset

from dope_datagen.store import Dataset
from dope_ros2.errors import UserError, closest
from dope_training.augment import augment

MOST_OBJECTS = 12  # of the trained classes in one crop; further ones are ignored where they are


class Crops(TorchDataset):
    """Augmented crops of one store; every visit to an index draws another one."""

    def __init__(self, path: Path, objects: list[str], size: int, indices: range, seed: int) -> None:
        self._store = Dataset.open(path)
        self._classes = {name: index for index, name in enumerate(objects)}
        self._size, self._indices, self._seed = size, indices, seed
        self._visits = 0

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One crop.

        Returns:
            image (S, S, 3) uint8; keypoints (M, 9, 2) float32 [px], classes (M,) with -1 where unused,
            visibility (M,), M = `MOST_OBJECTS`.
        """
        self._visits += 1
        rng = np.random.default_rng([self._seed, torch.initial_seed() % 2**32, index, self._visits])
        crop = augment(rng, self._store[self._indices[index]], self._size)
        known = [i for i, name in enumerate(crop.names) if name in self._classes][:MOST_OBJECTS]
        keypoints = np.zeros((MOST_OBJECTS, 9, 2), np.float32)
        classes = np.full(MOST_OBJECTS, -1)
        visibility = np.zeros(MOST_OBJECTS, np.float32)
        keypoints[: len(known)] = crop.keypoints[known]
        classes[: len(known)] = [self._classes[crop.names[i]] for i in known]
        visibility[: len(known)] = crop.visibility[known]
        return {
            "image": torch.from_numpy(crop.image),
            "keypoints": torch.from_numpy(keypoints),
            "classes": torch.from_numpy(classes),
            "visibility": torch.from_numpy(visibility),
        }


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


def training_set(paths: list[Path], objects: list[str], size: int, share: float, seed: int) -> ConcatDataset:
    """All training pictures of several stores."""
    for path in paths:
        check_classes(path, objects)
    return ConcatDataset([Crops(path, objects, size, held_out(path, share)[0], seed) for path in paths])
