"""Which rank sees which images at which step, and the loaders that bring them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Sampler

from dope_ros2.common.errors import UserError
from dope_training.config import TrainConfig
from dope_training.data.crops import Stores, crops_of, stack
from dope_training.data.progress import DataPosition
from dope_training.data.sampler import WeightedSampler

MAX_WORKERS = 16


class Stream(Sampler[list[tuple[int, int]]]):
    """The batches of one rank from a place on: lists of (epoch, visit).

    A step's images are taken from the order of the whole epoch and then shared among the ranks, so a step sees the
    same ones on any number of devices, and each image is seen once an epoch. Where an epoch ends inside of a batch,
    the next one fills it.
    """

    def __init__(
        self, sampler: WeightedSampler, pictures: int, place: DataPosition, steps: int, *, rank: int = 0, ranks: int = 1
    ) -> None:
        self._sampler, self._pictures, self._place, self._steps = sampler, pictures, place, steps
        self._own = slice(rank * pictures // ranks, (rank + 1) * pictures // ranks)

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, seen = self._place.after(0, len(self._sampler))
        order = self._order(epoch)
        for _ in range(self._steps):
            batch: list[tuple[int, int]] = []
            while len(batch) < self._pictures:
                taken = order[seen : seen + self._pictures - len(batch)]
                batch += taken
                seen += len(taken)
                if seen == len(order):
                    epoch, seen = epoch + 1, 0
                    order = self._order(epoch)
            yield batch[self._own]

    def _order(self, epoch: int) -> list[tuple[int, int]]:
        self._sampler.set_epoch(epoch)
        return [(epoch, visit) for visit in self._sampler]


def mixed(stores: Stores, weights: list[float] | None, seed: int) -> WeightedSampler:
    """The order of visits to stores, all of weight 1 if None is given.

    Raises:
        UserError: there are not as many weights as stores, or one is not above 0.
    """
    return WeightedSampler(stores.lengths, weights or [1.0] * len(stores.lengths), seed)


def pictures_a_step(config: TrainConfig, ranks: int) -> int:
    """How many images make a step's crops.

    Raises:
        UserError: the ranks cannot share them evenly.
    """
    pictures = config.batch_size // config.crops_per_picture
    if pictures % ranks:
        raise UserError(
            f"batch_size {config.batch_size}: {pictures} images cannot be shared by {ranks} devices; make it a "
            f"multiple of {ranks * config.crops_per_picture}"
        )
    return pictures


def training_loader(stores: Stores, stream: Stream, workers: int) -> DataLoader:
    """Brings the batches of a stream."""
    return _loader(stores, stream, workers)


def validation_loader(paths: list[Path], config: TrainConfig, workers: int) -> DataLoader:
    """Brings held-out crops, always the same: `validation_images` of them, spread evenly over all there are."""
    stores = crops_of(paths, config, training=False)
    wanted = min(len(stores), max(1, config.validation_images // config.crops_per_picture))
    visits = [(0, round(k * len(stores) / wanted)) for k in range(wanted)]
    size = max(1, (config.subbatch_size or config.batch_size) // config.crops_per_picture)
    batches = [visits[k : k + size] for k in range(0, wanted, size)]
    return _loader(stores, batches, min(workers, 2))


def _loader(stores: Stores, batches: Iterable[list[tuple[int, int]]], workers: int) -> DataLoader:
    return DataLoader(
        stores,
        batch_sampler=batches,
        collate_fn=stack,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=outlive,
    )


def auto_workers(ranks: int) -> int:
    """Loader processes of each of the ranks of this machine: all cores but one for each of them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    return min(MAX_WORKERS, max(1, cores // ranks - 1))


def outlive(_: int = 0) -> None:
    """Let a loader's process go on when its whole group is told to end: the run asks for batches until it has stopped.

    A second SIGTERM, which multiprocessing sends to processes that are left over, ends it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))
