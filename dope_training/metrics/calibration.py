"""Whether a score is the probability of being right."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BIN_COUNT = 10


class Bin(NamedTuple):
    """Detections of a range of scores: its limits, their number, their mean score, the share that is right."""

    low: float
    high: float
    count: int
    score: float
    right: float


def reliability(scores: np.ndarray, right: np.ndarray, bins: int = BIN_COUNT) -> list[Bin]:
    """The reliability curve; bins without detections are left out.

    Args:
        scores: (N,) in [0, 1].
        right: (N,) booleans.
        bins: of equal width.
    """
    scores, right = np.asarray(scores, float), np.asarray(right, bool)
    index = np.minimum((scores * bins).astype(int), bins - 1)
    groups = ((k, index == k) for k in range(bins))
    return [
        Bin(k / bins, (k + 1) / bins, int(own.sum()), float(scores[own].mean()), float(right[own].mean()))
        for k, own in groups
        if own.any()
    ]


def expected_error(curve: list[Bin]) -> float:
    """Expected calibration error: mean gap between score and share of right ones, weighted by the bins' counts.

    Naeini et al., AAAI 2015; Guo et al., ICML 2017, equation 3.
    """
    total = sum(entry.count for entry in curve)
    return sum(entry.count * abs(entry.right - entry.score) for entry in curve) / total
