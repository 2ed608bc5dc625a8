"""From the errors of each object to the figures of all: overall, per class, by visibility and by distance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from dope_training.evaluation.pose_errors import FoundRow, TruthRow
from dope_training.metrics.add import MAX_ADD, accuracy, auc
from dope_training.metrics.calibration import expected_error, reliability
from dope_training.metrics.coverage import PARTS, coverage
from dope_training.metrics.ranking import average_precision, precision_recall

VISIBILITY_BINS = (0.0, 0.1, 0.2, 0.5, 0.8, 1.0)  # edges of the bins
DISTANCE_BINS = (0.0, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, np.inf)  # [m]
CURVE_POINTS = 200  # of a stored precision-recall curve at most


def summary(truths: Sequence[TruthRow], found: Sequence[FoundRow] | None, pictures: int, min_visibility: float) -> dict:
    """The figures of some objects, JSON-able; None where there is nothing to say.

    Args:
        truths: the objects; those less visible than `min_visibility` are left out.
        found: the detections; None where they cannot be told apart as the objects are.
        pictures: in which they are.
        min_visibility: see `truths`; an object of unknown visibility counts.
    """
    counted = [row for row in truths if counts(row.visibility, min_visibility)]
    pairs = [row for row in counted if row.detection is not None]
    right = [row for row in counted if row.right]
    figures = {
        "instances": len(counted),
        "recall": _mean([row.right for row in counted]),
        "recall_add": _mean([row.close for row in counted]),
        "auc_add": auc([row.add for row in counted]) if counted else None,
        "auc_adds": auc([row.adds for row in counted]) if counted else None,
        "auc_add_s": auc([row.add_s for row in counted]) if counted else None,
        "ar_mssd": _mean([row.mssd for row in counted if not np.isnan(row.mssd)]),
        "ar_mspd": _mean([row.mspd for row in counted if not np.isnan(row.mspd)]),
        "translation_cm": _spread([100 * row.translation for row in pairs]),
        "translation_percent": _spread([100 * row.translation / row.distance for row in pairs]),
        "rotation_deg": _spread([row.rotation for row in pairs]),
        "projected_px": _spread([row.projected for row in pairs]),
        "keypoints_px": _spread([row.keypoints for row in pairs if not np.isnan(row.keypoints)]),
        "coverage": {part: coverage([row.lengths[part] for row in right], part) for part in PARTS},
        "covered": sum(not np.isnan(row.lengths["pose"]) for row in right),
    }
    return figures if found is None else figures | _of_detections(found, len(counted), pictures, min_visibility)


def counts(visibility: float, least: float) -> bool:
    """Whether an object is visible enough to be asked for; one of unknown visibility is."""
    return not visibility < least


def _of_detections(found: Sequence[FoundRow], truths: int, pictures: int, min_visibility: float) -> dict:
    scores, right = np.array([row.score for row in found], float), np.array([row.right for row in found], bool)
    is_share = bool(len(scores)) and scores.min() >= 0 and scores.max() <= 1
    _, precision, recall = _ranked(found, truths, min_visibility)
    return {
        "detections": len(found),
        "precision": _mean(right),
        "precision_add": _mean([row.close for row in found]),
        "false_positives": int((~right).sum()),
        "false_positives_per_picture": float((~right).sum() / pictures) if pictures else None,
        "average_precision": average_precision(precision, recall) if truths else None,
        "ece": expected_error(reliability(scores, right)) if is_share else None,
    }


def _ranked(found: Sequence[FoundRow], truths: int, min_visibility: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counted = [row.right and counts(row.visibility, min_visibility) for row in found]
    scores, right = np.array([row.score for row in found], float), np.array([row.right for row in found], bool)
    return precision_recall(scores, right, np.array(counted, bool), truths)


def curves(truths: Sequence[TruthRow], found: Sequence[FoundRow], min_visibility: float) -> dict:
    """What the plots show, JSON-able; arguments as of `summary`."""
    counted = [row for row in truths if counts(row.visibility, min_visibility)]
    thresholds = np.linspace(0, MAX_ADD, 101)
    add_s = np.array([row.add_s for row in counted])
    scores, precision, recall = _ranked(found, len(counted), min_visibility)
    chosen = np.unique(np.linspace(0, len(scores) - 1, min(CURVE_POINTS, len(scores))).round().astype(int))
    share = [row for row in found if 0 <= row.score <= 1]
    pairs = [row for row in counted if row.detection is not None]
    return {
        "add_s": {
            "threshold_m": thresholds.round(4).tolist(),
            "accuracy": accuracy(add_s, thresholds).round(5).tolist() if counted else [],
        },
        "precision_recall": {
            "score": scores[chosen].round(5).tolist(),
            "precision": precision[chosen].round(5).tolist(),
            "recall": recall[chosen].round(5).tolist(),
        },
        "reliability": [entry._asdict() for entry in reliability([r.score for r in share], [r.right for r in share])],
        "translation_percent": _histogram([100 * r.translation / r.distance for r in pairs], np.linspace(0, 10, 41)),
        "rotation_deg": _histogram([row.rotation for row in pairs], np.linspace(0, 40, 41)),
    }


def by_visibility(truths: Sequence[TruthRow], pictures: int) -> list[dict]:
    """Figures of the objects, all of them, in bins of visibility; false detections have none and are left out."""
    edges = pairwise(VISIBILITY_BINS)
    bins = [
        {"low": low, "high": high}
        | summary([r for r in truths if low <= r.visibility < high or r.visibility == high == 1], None, pictures, 0)
        for low, high in edges
    ]
    unknown = [row for row in truths if np.isnan(row.visibility)]
    if unknown:
        bins.append({"low": None, "high": None} | summary(unknown, None, pictures, 0))
    return [entry for entry in bins if entry["instances"]]


def by_distance(
    truths: Sequence[TruthRow], found: Sequence[FoundRow], pictures: int, min_visibility: float
) -> list[dict]:
    """Figures in bins of distance, of objects by their own and of detections by theirs."""
    bins = []
    for low, high in pairwise(DISTANCE_BINS):
        own, theirs = ([row for row in rows if low <= row.distance < high] for rows in (truths, found))
        entry = {"low": low, "high": high if np.isfinite(high) else None}
        bins.append(entry | summary(own, theirs, pictures, min_visibility))
    return [entry for entry in bins if entry["instances"] or entry["detections"]]


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    """Median and ninth decile."""
    if not len(values):
        return None
    median, high = np.percentile(values, [50, 90])
    return {"median": _finite(median), "p90": _finite(high)}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _histogram(values: Sequence[float], edges: np.ndarray) -> dict[str, list]:
    """Counts between the edges; the last bin holds what lies beyond, too."""
    counts, _ = np.histogram(np.minimum(values, edges[-1]), edges)
    return {"edges": edges.round(4).tolist(), "counts": counts.tolist()}
