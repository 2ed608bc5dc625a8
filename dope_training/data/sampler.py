"""Which pictures an epoch sees, in which order, on which device: a function of the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from dope_ros2.common.errors import UserError

SHUFFLE = 2**32 - 1  # in the seed of an epoch's order, where that of a store's permutation has the store's number


class WeightedSampler(Sampler[int]):
    """Tickets of several stores, each with a weight, shared out to the processes of a training.

    A ticket below the number of all pictures is the index of one, over the stores one after the other. What a weight
    above 1 brings again in the same epoch is `index + repeat * total`, so that `crops.Stores` draws other crops of it.

    A store of n pictures gives round(weight * n) tickets an epoch. They continue where those of the last epoch ended
    in an endless row of permutations of the store: with weight 1 an epoch has each picture once, with weight 3 three
    times, with weight 0.5 two epochs have each once.
    """

    def __init__(
        self, lengths: Sequence[int], weights: Sequence[float], seed: int, rank: int = 0, ranks: int = 1
    ) -> None:
        """Make the sampler of one process.

        Args:
            lengths: pictures of each store.
            weights: of each store, above 0.
            seed: of all orders.
            rank: number of this process, below `ranks`.
            ranks: how many processes share the pictures.
        """
        if len(lengths) != len(weights) or not lengths:
            raise UserError(f"{len(weights)} weights for {len(lengths)} stores; give one for each")
        if not all(np.isfinite(weight) and weight > 0 for weight in weights):
            raise UserError(f"weights {list(weights)} of stores must be above 0; leave out a store that is not wanted")
        if not 0 <= rank < ranks:
            raise UserError(f"rank {rank} is not one of 0 to {ranks - 1}")
        self._lengths, self._seed, self._rank, self._ranks = list(lengths), seed, rank, ranks
        self._shares = [max(1, round(weight * length)) for weight, length in zip(weights, lengths, strict=True)]
        self._epoch = self._done = 0

    def set_epoch(self, epoch: int, done: int = 0) -> None:
        """Choose the epoch, from 0, and how many of its tickets all processes together have used up already."""
        self._epoch, self._done = epoch, done

    def __len__(self) -> int:
        """Tickets of this process in a whole epoch; all processes have the same number."""
        return -(-sum(self._shares) // self._ranks)

    def __iter__(self) -> Iterator[int]:
        """The tickets of this process; where they do not come out even, the epoch's first ones fill up."""
        tickets = np.concatenate([self._of_store(number) for number in range(len(self._lengths))])
        order = np.random.default_rng([self._seed, self._epoch, SHUFFLE]).permutation(tickets)
        order = np.resize(order, len(self) * self._ranks)
        return iter(order[self._done :][self._rank :: self._ranks].tolist())

    def _of_store(self, number: int) -> np.ndarray:
        """The epoch's tickets of one store."""
        length, share = self._lengths[number], self._shares[number]
        first, last = share * self._epoch // length, (share * (self._epoch + 1) - 1) // length  # visits
        rows = [
            np.random.default_rng([self._seed, visit, number]).permutation(length) for visit in range(first, last + 1)
        ]
        places = np.arange(share) + share * self._epoch - first * length  # in those rows, one after the other
        return sum(self._lengths[:number]) + np.concatenate(rows)[places] + places // length * sum(self._lengths)
