"""Measure on labelled images how far the poses of weights are to be trusted (`dope_ros2.estimation.confidence`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from dope_datagen.dataset.store import Sample
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.settings import Settings
from dope_ros2.evaluation.matching import LabelledPose, match, true_poses
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.calibration import RefinedScoreModel, ScoreModel
from dope_ros2.network.metadata import TrainedObject
from dope_ros2.objects.detection import ConfidenceFeatures, Detection, RefinedFeatures
from dope_training.metrics.coverage import CHI_SQUARE_LIMITS, CLAIM, squared_lengths

MIN_RIGHT_POSES = 100  # right poses; fewer say too little
MIN_RIGHT_POSES_OF_ONE = 25  # right poses of one object, for its distance
MIN_VISIBILITY = 0.7  # more than elsewhere: objects less visible say more of what hides them than of the network
BIAS_SIGMAS = 2.0  # so many standard errors of a bias may be chance
RENDERER_BIAS = 0.01  # by so much biases differ between images of one renderer and of another
BIAS_ROUNDS = 4  # of measuring distances: those that were too far off to be right are so once the bias is undone
Model = TypeVar("Model", ScoreModel, RefinedScoreModel)
PRIOR_PRECISION = 1.0  # precision of the prior about zero of each weight, for evidence in standard deviations


class Labelled(NamedTuple):
    """What an estimator found in an image, whatever its score, and what is there of the objects that it knows."""

    truths: list[LabelledPose]
    found: list[Detection]

    def corrected(self, biases: dict[str, float]) -> Labelled:
        """The same with distances corrected by `distance_biases`."""
        return self._replace(found=[d.corrected(biases.get(d.model.name, 0.0)) for d in self.found])

    def right(self) -> list[tuple[Detection, Pose | None]]:
        """Each detection, with the true pose that it is right about; None where it is wrong."""
        poses: list[Pose | None] = [None] * len(self.found)
        for pair in match(self.truths, [LabelledPose.of_detection(d) for d in self.found]):
            if pair.found:
                poses[pair.detection] = pair.nearest
        return list(zip(self.found, poses, strict=True))


def compare(estimator: Estimator, sample: Sample, *, refine: bool = False) -> Labelled:
    """Let an estimator look at a stored image, with poses as the network gives them or refined."""
    truths = true_poses(sample.objects, estimator.models)
    return Labelled(truths, estimator(sample.rgb, sample.camera, Settings(min_score=0, refine=refine)))


def distance_biases(pictures: list[Labelled]) -> dict[str, float]:
    """By how much of the distance right poses come out too far, the median by object; why: decision 0020.

    Only objects that are well visible count. Those with few right poses are left out. Biases are smaller
    than measured by what may be chance, or otherwise in other images.
    """
    pictures = [each._replace(truths=[t for t in each.truths if t.score >= MIN_VISIBILITY]) for each in pictures]
    biases: dict[str, float] = {}
    for _ in range(BIAS_ROUNDS):
        left: dict[str, list[float]] = {}
        for detection, pose in (pair for each in pictures for pair in each.corrected(biases).right()):
            if pose is not None:
                far, true = (np.linalg.norm(p.apply(detection.model.centre)) for p in (detection.pose, pose))
                left.setdefault(detection.model.name, []).append(far / true - 1)
        measured = {name: np.array(errors) for name, errors in left.items() if len(errors) >= MIN_RIGHT_POSES_OF_ONE}
        biases = {name: (1 + biases.get(name, 0.0)) * (1 + np.median(errors)) - 1 for name, errors in measured.items()}
    doubts = {name: max(RENDERER_BIAS, BIAS_SIGMAS * _error_of_median(errors)) for name, errors in measured.items()}
    return {name: round(float(b - np.clip(b, -doubts[name], doubts[name])), 4) for name, b in biases.items()}


def biases_in_words(objects: Iterable[TrainedObject]) -> str:
    """What is corrected, object by object; empty when nothing is."""
    return ", ".join(f"{o.name} {o.distance_bias:+.1%}" for o in objects if o.distance_bias)


def _error_of_median(values: np.ndarray) -> float:
    """Standard error of the median of normal values, their deviation taken from quartiles."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(np.sqrt(np.pi / 2 / len(values)) * (high - low) / 1.349)


class Outcomes(NamedTuple):
    """What became of poses: evidence (N, E), whether they are right (N,), and squared Mahalanobis lengths (N,).

    The lengths are those of errors in standard deviations before they are widened; NaN of wrong poses.
    """

    evidence: np.ndarray
    right: np.ndarray
    lengths: np.ndarray


def outcomes(
    pictures: Iterable[Labelled],
    covariance_scale: float,
    kind: type[ConfidenceFeatures | RefinedFeatures] = ConfidenceFeatures,
) -> Outcomes:
    """What became of the poses of images that rest on one kind of evidence.

    Their covariances are so many times those of independent errors.
    """
    pairs = [pair for each in pictures for pair in each.right() if isinstance(pair[0].evidence, kind)]
    evidence = np.array([detection.evidence.row for detection, _ in pairs], float).reshape(
        len(pairs), len(fields(kind))
    )
    lengths = [
        np.nan if pose is None else squared_lengths(pose.minus(found.pose), found.covariance / covariance_scale)["pose"]
        for found, pose in pairs
    ]
    return Outcomes(evidence, np.array([pose is not None for _, pose in pairs], bool), np.array(lengths, float))


def fit(seen: Outcomes, kind: type[Model] = ScoreModel) -> Model | None:
    """The score model of a kind that fits what became of poses; None when too few are right, or claim no deviation.

    Scores by logistic regression with a weak prior about even odds. The scale of the deviations is the one with
    which the ellipsoids that should hold 95 % of the errors do.
    """
    right = seen.right
    if right.sum() < MIN_RIGHT_POSES:
        return None
    middle, scale = seen.evidence.mean(0), np.maximum(seen.evidence.std(0), 1e-6)
    inputs = np.column_stack([np.ones(len(right)), (seen.evidence - middle) / scale])
    signs = np.where(right, 1.0, -1.0)

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (inputs @ weights)
        prior = PRIOR_PRECISION * weights
        gradient = -(signs * expit(-margins)) @ inputs + prior
        return np.logaddexp(0, -margins).sum() + prior @ weights / 2, gradient

    weights = minimize(cost, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B").x
    slopes = weights[1:] / scale
    bias = weights[0] - slopes @ middle
    sigma_scale = np.sqrt(np.quantile(seen.lengths[right], CLAIM) / CHI_SQUARE_LIMITS["pose"])
    if not np.isfinite(sigma_scale) or sigma_scale == 0:
        return None
    return kind(*(round(float(v), 4) for v in (bias, *slopes, sigma_scale)))
