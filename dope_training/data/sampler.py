"""Which images an epoch visits, in which order: a function of the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from dope_ros2.common.errors import UserError

SHUFFLE = 2**32 - 1  # in the seed of an epoch's order, where that of a store's permutation has the store's number


class WeightedSampler(Sampler[int]):
    """Visits to the images of several stores, each with a weight.

    A visit below the number of all images is the index of one, over the stores one after the other. What a weight
    above 1 brings again in the same epoch is `index + repeat * total`, so that `crops.Stores` draws other crops of it.

    A store of n images has round(weight * n) visits an epoch. They continue where those of the last epoch ended
    in an endless row of permutations of the store: with weight 1 an epoch has each image once, with weight 3 three
    times, with weight 0.5 two epochs have each once.
    """

    def __init__(self, lengths: Sequence[int], weights: Sequence[float], seed: int) -> None:
        """Begin with epoch 0.

        Args:
            lengths: images of each store.
            weights: of each store, above 0.
            seed: of all orders.

        Raises:
            UserError: there are not as many weights as stores, or one is not above 0.
        """
        if len(lengths) != len(weights) or not lengths:
            raise UserError(f"{len(weights)} weights for {len(lengths)} stores; give one for each")
        if not all(np.isfinite(weight) and weight > 0 for weight in weights):
            raise UserError(f"weights {list(weights)} of stores must be above 0; leave out a store that is not wanted")
        self._lengths, self._seed, self._epoch = list(lengths), seed, 0
        self._shares = [max(1, round(weight * length)) for weight, length in zip(weights, lengths, strict=True)]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Visits of an epoch."""
        return sum(self._shares)

    def __iter__(self) -> Iterator[int]:
        """The epoch's visits in their order."""
        visits = np.concatenate([self._of_store(number) for number in range(len(self._lengths))])
        return iter(np.random.default_rng([self._seed, self._epoch, SHUFFLE]).permutation(visits).tolist())

    def _of_store(self, number: int) -> np.ndarray:
        """The epoch's visits to one store."""
        length, share = self._lengths[number], self._shares[number]
        first, last = share * self._epoch // length, (share * (self._epoch + 1) - 1) // length  # permutations
        rows = [np.random.default_rng([self._seed, row, number]).permutation(length) for row in range(first, last + 1)]
        places = np.arange(share) + share * self._epoch - first * length  # in those rows, one after the other
        return sum(self._lengths[:number]) + np.concatenate(rows)[places] + places // length * sum(self._lengths)
