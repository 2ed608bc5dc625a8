"""Stored images as batches for the network."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import ConcatDataset
from torch.utils.data import Dataset as TorchDataset

from dope_datagen.dataset.store import Dataset, Sample, records
from dope_ros2.geometry.pose import Pose
from dope_training.config import TrainConfig
from dope_training.data.augmentation import Crop, augment
from dope_training.data.object_names import check_objects, spelled
from dope_training.data.split import held_out
from dope_training.data.store_reader import ResilientReader
from dope_training.objective.crop_batch import CropBatch

MAX_OBJECTS_IN_CROP = 12  # of the trained classes in one crop; further ones are ignored where they are


class Encoder:
    """Crops of one store as the network takes them.

    Attributes:
        names: those of the store that are trained, and how the recipe spells them.
    """

    def __init__(self, store: Dataset, objects: list[str]) -> None:
        models = records(store.path)
        self.names = spelled(models, objects)
        self._classes = {there: objects.index(name) for there, name in self.names.items()}
        self._cuboids = {name: (np.array(model.centre), np.array(model.size) / 2) for name, model in models.items()}

    def __call__(self, sample: Sample, crop: Crop) -> CropBatch:
        """One crop of an image, as a batch of one."""
        known = [i for i, name in enumerate(crop.names) if name in self._classes][:MAX_OBJECTS_IN_CROP]
        keypoints = np.zeros((MAX_OBJECTS_IN_CROP, 9, 2), np.float32)
        classes = np.full(MAX_OBJECTS_IN_CROP, -1)
        visibility = np.zeros(MAX_OBJECTS_IN_CROP, np.float32)
        rays = np.zeros((MAX_OBJECTS_IN_CROP, 3, 4), np.float32)
        slots = np.zeros(256, np.uint8)
        for slot, i in enumerate(known):
            name = crop.names[i]
            keypoints[slot], visibility[slot] = crop.keypoints[i], crop.visibility[i]
            classes[slot] = self._classes[name]
            rays[slot] = viewing_rays(sample.camera.K, sample.objects[i].pose, crop.window, *self._cuboids[name])
            slots[i + 1] = slot + 1
        fields = (crop.image, keypoints, classes, visibility, rays, slots[crop.mask])
        return CropBatch(*(torch.from_numpy(field[None]) for field in fields))


class Crops(TorchDataset):
    """Augmented crops of one store, several of each image; they depend on the seed, the epoch and the visit alone.

    A visit is the image's index, plus the store's length for each time that the epoch has had it already. An image
    that cannot be read is replaced by another one, see `store_reader`.
    """

    def __init__(self, path: Path, config: TrainConfig, indices: range, seed: tuple[int, ...]) -> None:
        self.reading = ResilientReader(path)
        self._encode = Encoder(self.reading.store, config.objects)
        self._focus = config.focus_of(self._encode.names)
        self._size, self._crops, self._indices, self._seed = config.crop, config.crops_per_picture, indices, seed
        self._zoomed = config.zoomed_crops

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, key: tuple[int, int]) -> CropBatch:
        """The crops of one image, with `MAX_OBJECTS_IN_CROP` places for objects; `key` is epoch and visit."""
        epoch, (repeat, place) = key[0], divmod(key[1], len(self))
        rng = np.random.default_rng([*self._seed, epoch, place, repeat])
        sample = self.reading.one_of(self._indices, place, rng)
        crops = (augment(rng, sample, self._size, self._focus, self._zoomed) for _ in range(self._crops))
        return stack([self._encode(sample, crop) for crop in crops])


class Stores(ConcatDataset):
    """Several stores as one; a visit is one of `sampler.WeightedSampler`."""

    @property
    def lengths(self) -> list[int]:
        """Images of each store."""
        return [len(crops) for crops in self.datasets]

    def __getitem__(self, key: tuple[int, int]) -> CropBatch:
        """The crops of one image; `key` is epoch and visit."""
        epoch, (repeat, index) = key[0], divmod(key[1], len(self))
        number = bisect_right(self.cumulative_sizes, index)
        crops = self.datasets[number]
        return crops[epoch, index - [0, *self.cumulative_sizes][number] + repeat * len(crops)]

    def unreadable(self) -> list[str]:
        """A line for each store in which images could not be read."""
        return [line for crops in self.datasets if (line := crops.reading.summary())]


def viewing_rays(K: np.ndarray, pose: Pose, window: np.ndarray, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    """What a crop's pixels look along, in the frame of an object's cuboid, scaled so that its faces are at -1 and 1.

    Args:
        K: (3, 3) of the stored image.
        pose: T_camera_object.
        window: (2, 3) from the image's pixels to the crop's.
        centre: (3,) of the cuboid in the object frame [m].
        half: (3,) half its edges [m].

    Returns:
        (3, 4): a matrix that turns (x, y, 1) of a crop's pixel into the ray's direction, and the ray's origin.
    """
    R = pose.rotation.T
    directions = R @ np.linalg.inv(np.vstack([window, [0, 0, 1]]) @ K)
    origin = -R @ pose.translation - centre
    return np.column_stack([directions, origin]) / half[:, None]


def stack(batches: list[CropBatch]) -> CropBatch:
    """Several batches as one."""
    return CropBatch(*(torch.cat(field) for field in zip(*batches, strict=True)))


def crops_of(paths: list[Path], config: TrainConfig, *, training: bool) -> Stores:
    """All training or held-out images of several stores.

    Raises:
        UserError: an object is in none of them, or is another one in one than in another.
    """
    check_objects(paths, config.objects)
    config = config if training else config.model_copy(update={"focus": {}, "zoomed_crops": 0.0})
    sets = []
    for number, path in enumerate(paths):
        indices = held_out(path, config.validation_share)[0 if training else 1]
        sets.append(Crops(path, config, indices, (config.seed, int(training), number)))
    return Stores(sets)
