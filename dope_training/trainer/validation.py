"""Validation: losses, poses and maps of the averaged weights on held-out images."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader

from dope_datagen.dataset.store import Dataset, Sample
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.evaluation.matching import LabelledPose, match, true_poses
from dope_ros2.network.metadata import Metadata
from dope_ros2.objects.object_model import ObjectModel
from dope_training.config import TrainConfig
from dope_training.data.split import held_out
from dope_training.objective.crop_batch import CropBatch
from dope_training.objective.training_module import BeliefModule
from dope_training.trainer.stopping import Stop

# Objects less visible do not count. Less than elsewhere: half hidden ones are being learned, too, and this recall is
# compared with that of other steps only.
MIN_VISIBILITY = 0.5
MAX_POSE_SECONDS = 60.0  # [s]; for estimating poses, after which the images so far must do
GRIDS = 4  # crops whose maps are shown


class Poses(NamedTuple):
    """How right the poses of held-out objects are.

    Attributes:
        objects: how many there are.
        recall: share of them with a pose within 10 % of the distance and 20 degrees.
        translation: median error of those, relative to the distance.
        rotation: median error of those [deg].
    """

    objects: int
    recall: float
    translation: float
    rotation: float


class ValidationResult(NamedTuple):
    """What a validation measures: losses by name, the belief loss of empty maps, poses, and an image of the maps."""

    losses: dict[str, float]
    empty: float
    poses: Poses | None
    grid: np.ndarray


class Validator:
    """Validates on the held-out crops of a loader and on some whole images of the same stores."""

    def __init__(
        self, config: TrainConfig, data: list[Path], models: list[ObjectModel], loader: DataLoader, metadata: Metadata
    ) -> None:
        self._models, self._loader, self._metadata = models, loader, metadata
        self._pictures = chosen(data, config.validation_share, config.validation_poses)

    def __call__(self, module: BeliefModule, fabric: Fabric, stop: Stop) -> ValidationResult | None:
        """Validate a module in evaluation mode; None when the run is told to end meanwhile."""
        total: dict[str, Tensor] = {}
        batches, grid = 0, np.zeros((1, 1, 3), np.uint8)
        for batch in self._loader:
            if stop.code:
                return None
            batch = fabric.to_device(batch)
            wanted = module.wanted(batch)
            with torch.no_grad(), fabric.autocast():
                losses = module(batch, wanted) | {"empty": module.empty_loss(wanted)}
                if batches == 0:
                    grid = belief_grid(batch, wanted.maps.belief, module.network(module.normalised(batch))[0])
            total = {name: total.get(name, 0) + value.float() for name, value in losses.items()}
            batches += 1
        means = {name: float(value) / batches for name, value in total.items()}
        poses = self._poses(module, fabric.device, stop) if self._pictures else None
        return None if stop.code else ValidationResult(means, means.pop("empty"), poses, grid)

    def _poses(self, module: BeliefModule, device: torch.device, stop: Stop) -> Poses:
        estimator = Estimator.of_network(copy.deepcopy(module.network), self._metadata, self._models, str(device))
        errors: list[tuple[float, float]] = []
        end = time.monotonic() + MAX_POSE_SECONDS
        for sample in self._samples():
            errors += pose_errors(estimator, sample)
            if stop.code or time.monotonic() > end:
                break
        return summed_up(np.array(errors).reshape(-1, 2))

    def _samples(self) -> Iterator[Sample]:
        for path, index in self._pictures:
            yield Dataset.open(path)[index]


def chosen(data: list[Path], share: float, count: int) -> list[tuple[Path, int]]:
    """So many held-out images, spread evenly over the stores, in an order whose beginning is as well spread."""
    kept = [(path, index) for path in data for index in held_out(path, share)[1]]
    count = min(count, len(kept))
    order = np.random.default_rng(0).permutation(count)
    return [kept[int(k * len(kept) / count)] for k in order]


def pose_errors(estimator: Estimator, sample: Sample) -> list[tuple[float, float]]:
    """Of each object that is visible enough: relative translation and rotation [rad] error, infinite where missed."""
    truths = true_poses(sample.objects, estimator.models)
    found = [LabelledPose.of_detection(d) for d in estimator(sample.rgb, sample.camera)]
    return [
        (pair.translation, pair.rotation) if pair.found else (np.inf, np.inf)
        for pair in match(truths, found)
        if truths[pair.truth].score >= MIN_VISIBILITY
    ]


def summed_up(errors: np.ndarray) -> Poses:
    """The figures of errors (N, 2) as `pose_errors` gives them."""
    right = errors[np.isfinite(errors[:, 0])]
    median = np.median(right, axis=0) if len(right) else np.full(2, np.nan)
    return Poses(len(errors), len(right) / max(1, len(errors)), float(median[0]), float(np.rad2deg(median[1])))


def belief_grid(batch: CropBatch, wanted: Tensor, belief: Tensor) -> np.ndarray:
    """An image of a few crops: each with the target maps over it, and below with the predicted ones, uint8 RGB."""
    image = batch.image[:GRIDS].float()  # (N, S, S, 3)
    rows = []
    for maps in (wanted, belief):
        heat = maps[:GRIDS].float().flatten(1, 2).amax(1, keepdim=True).clamp(0, 1)  # (N, 1, h, w)
        heat = functional.interpolate(heat, image.shape[1:3], mode="nearest").permute(0, 2, 3, 1)
        painted = image * (1 - heat) * 0.7 + heat * image.new_tensor([255.0, 40.0, 0.0])
        rows.append(torch.cat(list(painted), 1))
    return torch.cat(rows).clamp(0, 255).byte().cpu().numpy()
