"""Reading stores that may be damaged: what cannot be read is named once, counted, and replaced by another image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import get_worker_info

from dope_datagen.dataset.store import SHARD, Dataset, Sample
from dope_datagen.inspection import shard_reader
from dope_ros2.common.errors import UserError

UNREADABLE = (*shard_reader.UNREADABLE, OverflowError, cv2.error)
MAX_UNREADABLE_SHARE = 0.1  # share of the images drawn that may be unreadable
MIN_UNREADABLE = 10  # unreadable images before that share is looked at
WORKERS = 256  # loader processes that count apart


class TooManyError(UserError):
    """So much of a store cannot be read that training on the rest would be another experiment."""

    def __init__(self, text: str) -> None:
        # torch hands the error of a loader process on as its traceback's text; the message is the last line
        super().__init__(text.strip().splitlines()[-1].removeprefix(f"{__name__}.{type(self).__name__}: "))


class ResilientReader:
    """Reads images of a store, and keeps count of those that it cannot, over all loader processes."""

    def __init__(self, path: Path) -> None:
        self.store = Dataset.open(path)
        last = self.store.number(len(self.store) - 1) // SHARD
        # Shared with loader processes: images drawn and unreadable, a row a process; shards that have been named.
        self._tally = torch.zeros(1 + WORKERS, 2, dtype=torch.int64).share_memory_()
        self._named = torch.zeros(1 + last, dtype=torch.uint8).share_memory_()

    def __call__(self, index: int) -> Sample | None:
        """An image, or None when it cannot be read; the first one of a shard is named on standard output.

        Raises:
            TooManyError: more than every tenth cannot be read.
        """
        tally = self._tally[_process()]
        tally[0] += 1
        try:
            return checked(self.store[index])
        except UNREADABLE as error:
            tally[1] += 1
            self._name(index, error)
        drawn, bad = self.counts
        if bad >= MIN_UNREADABLE and bad > MAX_UNREADABLE_SHARE * drawn:
            raise TooManyError(
                f"{self.store.path}: {bad} of the {drawn} images drawn cannot be read, more than "
                f"{MAX_UNREADABLE_SHARE:.0%}; `dope check {self.store.path}` says why, and its --mark leaves them out"
            )
        return None

    def one_of(self, indices: range, place: int, rng: np.random.Generator) -> Sample:
        """The image at a place of `indices`, or else one that `rng` draws from them."""
        while (sample := self(indices[place])) is None:
            place = int(rng.integers(len(indices)))
        return sample

    @property
    def counts(self) -> tuple[int, int]:
        """How many images were drawn, and how many of these could not be read."""
        drawn, bad = self._tally.sum(0).tolist()
        return drawn, bad

    def summary(self) -> str | None:
        """The count as a line; None when all could be read."""
        drawn, bad = self.counts
        shards = ", ".join(map(str, self._named.nonzero()[:, 0].tolist()))
        return (
            f"{self.store.path}: {bad} of {drawn} images could not be read (shard {shards}) and were replaced by "
            f"others; `dope check {self.store.path}` says why"
            if bad
            else None
        )

    def _name(self, index: int, error: Exception) -> None:
        number = self.store.number(index)
        shard = number // SHARD
        if not self._named[shard]:
            self._named[shard] = 1
            reason = (str(error).splitlines() or [""])[0][:120]
            print(
                f"{self.store.path}: shard {shard}: image {number} cannot be read "
                f"({type(error).__name__}: {reason}); "
                "images that can be are taken instead",
                flush=True,
            )


def checked(sample: Sample) -> Sample:
    """The same image.

    Raises:
        ValueError: a number of its labels is not finite; one of them makes all weights not finite.
    """
    for label in sample.objects:
        numbers = (label.keypoints, label.pose.matrix, label.visibility)
        if label.keypoints.shape != (9, 2) or not all(np.isfinite(value).all() for value in numbers):
            raise ValueError(f"the label of {label.name} has numbers that are missing or not finite")
    return sample


def readable(store: Dataset, indices: Iterable[int]) -> Iterator[Sample]:
    """Those of the images that can be read."""
    for index in indices:
        try:
            yield checked(store[index])
        except UNREADABLE:
            continue


def _process() -> int:
    """Row of the tally: 0 in the process that trains, another one in each of its loader processes."""
    worker = get_worker_info()
    return 0 if worker is None else 1 + worker.id % WORKERS
