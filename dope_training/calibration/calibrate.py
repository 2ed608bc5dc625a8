"""Measure how a network's peaks and poses err, and store it with the weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from dope_datagen.dataset.store import Dataset, Sample
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.map_decoder import decode
from dope_ros2.estimation.map_predictor import Maps
from dope_ros2.estimation.object_crops import ObjectRegion, crop_and_scale
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry import cuboid
from dope_ros2.network.calibration import PeakCalibration, RefinedScoreModel
from dope_ros2.network.metadata import Metadata
from dope_ros2.network.weights import load, read_appearances, save
from dope_ros2.objects.detection import RefinedFeatures
from dope_ros2.objects.object_model import ObjectModel
from dope_training.calibration import pose_confidence
from dope_training.data.split import held_out
from dope_training.data.store_reader import readable

MIN_CORNERS = 200  # corners; fewer say too little
MAX_CENTROID_DISTANCE = 1.0  # a decoded centroid so near a true one is that object's [cells]
MAX_CORNER_ERROR = 1.25  # a corner farther off is another one's, not an inexact one [cells]
MEDIAN_OF_NORMAL = 1.177  # the median length of a two-dimensional normal error, in standard deviations


def corner_errors(estimator: Estimator, sample: Sample) -> np.ndarray:
    """How far decoded corners are off, at the scale at which poses are made: that of the closer look, if there is one.

    Args:
        estimator: whose calibration plays no part here.
        sample: a stored image.

    Returns:
        (N, 3): height of the peak, its distance from the true corner, and how much of that is away from the centroid,
        both in cells.
    """
    indices = {model.name: index for index, model in enumerate(estimator.models)}
    labels = [
        label
        for label in sample.objects
        if label.name in indices and label.visibility >= pose_confidence.MIN_VISIBILITY
    ]
    side = estimator.metadata.crop
    if side:
        regions = [ObjectRegion.around(label.name, label.keypoints) for label in labels]
        views = [crop_and_scale(sample.rgb, sample.camera, region, side) for region in regions]
    else:
        views = [estimator.scaled(sample.rgb, sample.camera, Settings())] * min(1, len(labels))
    maps = estimator.maps([picture for picture, _ in views])
    rows = [np.zeros((0, 3))]
    for number, label in enumerate(labels):
        view = number if side else 0
        model = estimator.models[indices[label.name]]
        true = views[view][1].project(label.pose.apply(model.keypoints))
        rows += _of_object(maps[view].of([indices[label.name]]), true, estimator.metadata)
    return np.concatenate(rows)


def _of_object(maps: Maps, true: np.ndarray, spec: Metadata) -> list[np.ndarray]:
    """Errors of the corners that go with a true centroid; `true` are an object's keypoints (9, 2) [px]."""
    rows = []
    true = (true - spec.origin) / spec.stride
    for instance in decode(maps.belief, maps.affinity, spec.map_spec, Settings.peak_threshold):
        found = (instance.keypoints - (spec.stride - 1) / 2) / spec.stride
        if np.linalg.norm(found[cuboid.CENTRE] - true[cuboid.CENTRE]) > MAX_CENTROID_DISTANCE:
            continue
        error, arms = (found - true)[: cuboid.CENTRE], (true - true[cuboid.CENTRE])[: cuboid.CENTRE]
        outward = (error * arms).sum(1) / np.maximum(np.linalg.norm(arms, axis=1), 1e-6)
        heights = instance.scores[: cuboid.CENTRE]
        rows.append(np.column_stack([heights, np.linalg.norm(error, axis=1), outward])[np.isfinite(outward)])
    return rows


def fit(errors: np.ndarray) -> PeakCalibration | None:
    """The calibration that fits errors (N, 3) as `corner_errors` gives them; None when there are too few.

    Both lines are fitted to medians, which the corners that belong elsewhere do not move: the inward one through zero
    at height 1, that of the standard deviations freely.
    """
    errors = errors[errors[:, 1] < MAX_CORNER_ERROR]
    if len(errors) < MIN_CORNERS:
        return None
    groups = np.array_split(errors[np.argsort(errors[:, 0], kind="stable")], 8)
    doubt = np.array([1 - group[:, 0].mean() for group in groups])
    inward = -np.array([np.median(group[:, 2]) for group in groups])
    sigmas = np.array([np.median(group[:, 1]) for group in groups]) / MEDIAN_OF_NORMAL
    sigma_slope, sigma_sure = np.polyfit(doubt, sigmas, 1)
    shrinkage = (doubt @ inward) / (doubt @ doubt)
    bounded = (shrinkage, 0), (sigma_sure, 0.05), (sigma_slope, 0)
    return PeakCalibration(*(round(float(max(v, low)), 3) for v, low in bounded))


def calibrate(
    weights: Path, data: list[Path], share_kept: float, objects: dict[str, ObjectModel], device: str = "auto"
) -> tuple[Metadata, bool] | None:
    """Measure weights on the held-out images of stores and write the result into the file.

    Peaks come first, as they move the poses; then distances, which stay what they were for objects with too few right
    poses; then scores and ellipsoids, likewise.

    Args:
        weights: of any network.
        data: the stores it was trained on, or others.
        share_kept: of each store, at its end, that was kept from training.
        objects: records of the weights' objects, by name.
        device: where to run the network.

    Returns:
        What the weights say of themselves now, and whether scores and ellipsoids were measured; None, and nothing is
        written, when the network finds too few corners, or the images show too few.
    """
    network, metadata = load(weights)
    stores = [(Dataset.open(path), held_out(path, share_kept)[1]) for path in data]

    def samples() -> Iterator[Sample]:
        return (sample for store, kept in stores for sample in readable(store, kept))

    if not _shows_enough(samples(), {trained.name for trained in metadata.objects}):
        return None
    estimator = Estimator.load(weights, objects, device)
    calibration = fit(np.concatenate([corner_errors(estimator, sample) for sample in samples()]))
    if calibration is None:
        return None
    known = {trained.name: trained.distance_bias for trained in metadata.objects}
    metadata = _with_biases(replace(metadata, calibration=calibration), {})
    estimator = Estimator.of_network(network, metadata, estimator.models, device)
    pictures = [pose_confidence.compare(estimator, sample) for sample in samples()]
    biases = known | pose_confidence.distance_biases(pictures)
    score_model = pose_confidence.fit(
        pose_confidence.outcomes(
            (picture.corrected(biases) for picture in pictures), metadata.score_model.covariance_scale
        )
    )
    metadata = _with_biases(replace(metadata, score_model=score_model or metadata.score_model), biases)
    network = load(weights)[0]  # the estimator may have halved the precision of its own
    save(weights, network, metadata, read_appearances(weights))
    if refined := calibrate_refinement(weights, data, share_kept, objects, device):
        metadata = refined
    return metadata, score_model is not None


def calibrate_refinement(
    weights: Path, data: list[Path], share_kept: float, objects: dict[str, ObjectModel], device: str = "auto"
) -> Metadata | None:
    """Measure scores and ellipsoids of refined poses alone, and write them into the file; arguments as of `calibrate`.

    Returns:
        What the weights say of themselves now; None, and nothing is written, when too few refined poses are right.
    """
    estimator = Estimator.load(weights, objects, device)
    if not estimator.appearances:
        return None
    stores = [(Dataset.open(path), held_out(path, share_kept)[1]) for path in data]
    pictures = [
        pose_confidence.compare(estimator, sample, refine=True)
        for store, kept in stores
        for sample in readable(store, kept)
    ]
    before = estimator.metadata.refined_score_model
    seen = pose_confidence.outcomes(pictures, before.covariance_scale, RefinedFeatures)
    score_model = pose_confidence.fit(seen, RefinedScoreModel)
    if score_model is None:
        return None
    network, metadata = load(weights)
    metadata = replace(metadata, refined_score_model=score_model)
    save(weights, network, metadata, read_appearances(weights))
    return metadata


def _shows_enough(samples: Iterator[Sample], names: set[str]) -> bool:
    """Whether there are as many corners as `fit` needs, so that an engine is worth starting."""
    labels = (label for sample in samples for label in sample.objects)
    seen = (x for x in labels if x.name in names and x.visibility >= pose_confidence.MIN_VISIBILITY)
    needed = -(-MIN_CORNERS // cuboid.CENTRE)
    return len(list(islice(seen, needed))) == needed


def _with_biases(metadata: Metadata, biases: dict[str, float]) -> Metadata:
    objects = (replace(trained, distance_bias=biases.get(trained.name, 0.0)) for trained in metadata.objects)
    return replace(metadata, objects=tuple(objects))
