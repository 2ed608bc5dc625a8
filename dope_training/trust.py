"""Measure on labelled pictures how far the poses of weights are to be trusted (`dope_ros2.trust`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from dope_datagen.store import Sample
from dope_ros2.estimator import Estimator, Settings
from dope_ros2.matching import MAX_ANGLE, Instance, match
from dope_ros2.symmetry import nearest
from dope_ros2.trust import Evidence, Trust
from dope_training.metrics.coverage import CLAIM, LIMITS, motion, squared_lengths

FEWEST = 100  # right poses; fewer say too little
CAUTION = 1.0  # precision of the prior about zero of each weight, for evidence in standard deviations


class Outcomes(NamedTuple):
    """What became of poses: evidence (N, 4), whether they are right (N,), and squared Mahalanobis lengths (N,).

    The lengths are those of errors in standard deviations before they are widened; NaN of wrong poses.
    """

    evidence: np.ndarray
    right: np.ndarray
    lengths: np.ndarray


def outcomes(estimator: Estimator, samples: Iterable[Sample]) -> Outcomes:
    """Let an estimator look at stored pictures, report whatever it finds, and compare with their labels."""
    rows = [row for sample in samples for row in _outcomes(estimator, sample)]
    evidence = np.array([row[0] for row in rows], float).reshape(-1, len(fields(Evidence)))
    return Outcomes(evidence, np.array([row[1] for row in rows], bool), np.array([row[2] for row in rows], float))


def _outcomes(estimator: Estimator, sample: Sample) -> list[tuple[np.ndarray, bool, float]]:
    models = {model.name: model for model in estimator.models}
    labels = [label for label in sample.objects if label.name in models]
    true = [
        Instance(label.name, label.visibility, label.pose, label.pose.apply(models[label.name].centre))
        for label in labels
    ]
    found = estimator(sample.rgb, sample.camera, Settings(min_score=0))
    given = [Instance(d.model.name, d.score, d.pose, d.pose.apply(d.model.centre)) for d in found]
    rows = [(d.evidence.row, False, np.nan) for d in found]
    for pair in match(true, given):
        if pair.detection is None:
            continue
        detection = found[pair.detection]
        pose = nearest(labels[pair.truth].pose, detection.pose, detection.model)
        if pose.angle_to(detection.pose) <= MAX_ANGLE:
            narrow = detection.covariance / estimator.metadata.trust.spread**2
            length = squared_lengths(motion(pose, detection.pose), narrow)["pose"]
            rows[pair.detection] = detection.evidence.row, True, length
    return rows


def fit(seen: Outcomes) -> Trust | None:
    """The trust that fits what became of poses; None when too few are right, or claim no deviation.

    Scores by logistic regression with a weak prior about even odds. The spread is the one with which the ellipsoids
    that should hold 95 % of the errors do.
    """
    right = seen.right
    if right.sum() < FEWEST:
        return None
    middle, scale = seen.evidence.mean(0), np.maximum(seen.evidence.std(0), 1e-6)
    inputs = np.column_stack([np.ones(len(right)), (seen.evidence - middle) / scale])
    signs = np.where(right, 1.0, -1.0)

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (inputs @ weights)
        prior = CAUTION * weights
        gradient = -(signs * expit(-margins)) @ inputs + prior
        return np.logaddexp(0, -margins).sum() + prior @ weights / 2, gradient

    weights = minimize(cost, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B").x
    slopes = weights[1:] / scale
    bias = weights[0] - slopes @ middle
    spread = np.sqrt(np.quantile(seen.lengths[right], CLAIM) / LIMITS["pose"])
    if not np.isfinite(spread) or spread == 0:
        return None
    return Trust(*(round(float(v), 4) for v in (bias, *slopes, spread)))
