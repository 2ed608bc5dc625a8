"""Precision and recall over the score at which one stops to believe detections."""

from __future__ import annotations

import numpy as np


def precision_recall(
    scores: np.ndarray, right: np.ndarray, counted: np.ndarray, truths: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The curve, from the highest score down; detections of equal score come in together.

    Args:
        scores: (N,) of the detections.
        right: (N,) booleans: detections that are right.
        counted: (N,) booleans: right ones whose object is one of the `truths`; others are nearly hidden.
        truths: number of objects that are to be found.

    Returns:
        Scores, precision and recall, (M,) each.
    """
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    scores, right, counted = (np.asarray(values)[order] for values in (scores, right, counted))
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, int)
    precision = np.cumsum(right)[last] / (last + 1)
    return scores[last], precision, np.cumsum(counted)[last] / max(1, truths)


def average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """Area under the curve (M,), (M,), dips in precision filled from the right (Everingham et al., IJCV 2015)."""
    if not len(precision):
        return 0.0
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0) * envelope).sum())
