"""Measure how a network's peaks and poses err, and store it with the weights."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dope_datagen.dataset.store import Dataset, Sample
from dope_ros2.cli import run_typer
from dope_ros2.common.errors import UserError
from dope_ros2.common.resources import share
from dope_ros2.estimation.estimator import Estimator, Maps, Settings
from dope_ros2.estimation.map_decoder import decode
from dope_ros2.estimation.object_crops import Region, view
from dope_ros2.geometry import cuboid
from dope_ros2.network.belief_maps import Calibration
from dope_ros2.network.weights import Metadata, load, save
from dope_ros2.objects.object_model import ObjectModel, load_objects
from dope_training.calibration import pose_confidence
from dope_training.data.crops import held_out
from dope_training.data.store_reader import readable

FEWEST = 200  # corners; fewer say too little
NEAR = 1.0  # a decoded centroid so near a true one is that object's [cells]
RIGHT = 1.25  # a corner farther off is another one's, not an inexact one [cells]
MEDIAN = 1.177  # the median length of a two-dimensional normal error, in standard deviations


def corner_errors(estimator: Estimator, sample: Sample) -> np.ndarray:
    """How far decoded corners are off, at the scale at which poses are made: that of the closer look, if there is one.

    Args:
        estimator: whose calibration plays no part here.
        sample: a stored picture.

    Returns:
        (N, 3): height of the peak, its distance from the true corner, and how much of that is away from the centroid,
        both in cells.
    """
    indices = {model.name: index for index, model in enumerate(estimator.models)}
    labels = [
        label for label in sample.objects if label.name in indices and label.visibility >= pose_confidence.VISIBLE
    ]
    side = estimator.metadata.crop
    if side:
        places = [Region(0, label.keypoints[cuboid.CENTRE], np.ptp(label.keypoints, axis=0).max()) for label in labels]
        views = [view(sample.rgb, sample.camera, place, side) for place in places]
    else:
        views = [estimator.scaled(sample.rgb, sample.camera, Settings())] * min(1, len(labels))
    maps = estimator.maps([picture for picture, _ in views])
    rows = [np.zeros((0, 3))]
    for number, label in enumerate(labels):
        place = number if side else 0
        model = estimator.models[indices[label.name]]
        true = views[place][1].project(label.pose.apply(model.keypoints))
        rows += _of_object(maps[place].of([indices[label.name]]), true, estimator.metadata)
    return np.concatenate(rows)


def _of_object(maps: Maps, true: np.ndarray, spec: Metadata) -> list[np.ndarray]:
    """Errors of the corners that go with a true centroid; `true` are an object's keypoints (9, 2) [px]."""
    rows = []
    true = (true - spec.origin) / spec.stride
    for instance in decode(maps.belief, maps.affinity, spec.map_spec, Settings.peak_threshold):
        found = (instance.keypoints - (spec.stride - 1) / 2) / spec.stride
        if np.linalg.norm(found[cuboid.CENTRE] - true[cuboid.CENTRE]) > NEAR:
            continue
        error, arms = (found - true)[: cuboid.CENTRE], (true - true[cuboid.CENTRE])[: cuboid.CENTRE]
        outward = (error * arms).sum(1) / np.maximum(np.linalg.norm(arms, axis=1), 1e-6)
        heights = instance.scores[: cuboid.CENTRE]
        rows.append(np.column_stack([heights, np.linalg.norm(error, axis=1), outward])[np.isfinite(outward)])
    return rows


def fit(errors: np.ndarray) -> Calibration | None:
    """The calibration that fits errors (N, 3) as `corner_errors` gives them; None when there are too few.

    Both lines are fitted to medians, which the corners that belong elsewhere do not move: the inward one through zero
    at height 1, that of the standard deviations freely.
    """
    errors = errors[errors[:, 1] < RIGHT]
    if len(errors) < FEWEST:
        return None
    groups = np.array_split(errors[np.argsort(errors[:, 0], kind="stable")], 8)
    doubt = np.array([1 - group[:, 0].mean() for group in groups])
    inward = -np.array([np.median(group[:, 2]) for group in groups])
    sigmas = np.array([np.median(group[:, 1]) for group in groups]) / MEDIAN
    unsure, sure = np.polyfit(doubt, sigmas, 1)
    slope = (doubt @ inward) / (doubt @ doubt)
    return Calibration(*(round(float(max(v, low)), 3) for v, low in ((slope, 0), (sure, 0.05), (unsure, 0))))


def calibrate(
    weights: Path, data: list[Path], share_kept: float, objects: dict[str, ObjectModel], device: str = "auto"
) -> tuple[Metadata, bool] | None:
    """Measure weights on the held-out pictures of stores and write the result into the file.

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
        written, when the network finds too few corners.
    """
    estimator = Estimator.load(weights, objects, device)
    stores = [(Dataset.open(path), held_out(path, share_kept)[1]) for path in data]

    def samples() -> Iterator[Sample]:
        return (sample for store, kept in stores for sample in readable(store, kept))

    calibration = fit(np.concatenate([corner_errors(estimator, sample) for sample in samples()]))
    if calibration is None:
        return None
    network, metadata = load(weights)
    known = {trained.name: trained.distance_bias for trained in metadata.objects}
    metadata = _with_biases(replace(metadata, calibration=calibration), {})
    estimator = Estimator.of_network(network, metadata, estimator.models, device)
    pictures = [pose_confidence.compare(estimator, sample) for sample in samples()]
    biases = known | pose_confidence.distance_biases(pictures)
    trusted = pose_confidence.fit(
        pose_confidence.outcomes((picture.corrected(biases) for picture in pictures), metadata.trust.spread)
    )
    metadata = _with_biases(replace(metadata, trust=trusted or metadata.trust), biases)
    save(weights, load(weights)[0], metadata)  # the estimator may have halved the precision of its own
    return metadata, trusted is not None


def _with_biases(metadata: Metadata, biases: dict[str, float]) -> Metadata:
    objects = (replace(trained, distance_bias=biases.get(trained.name, 0.0)) for trained in metadata.objects)
    return replace(metadata, objects=tuple(objects))


app = typer.Typer(add_completion=False)


@app.command()
def calibrate_command(
    data: Annotated[list[Path], typer.Option(help="store written by `dope generate`; may be given several times")],
    weights: Annotated[Path | None, typer.Option(help="weights, rewritten; default: the package's")] = None,
    kept: Annotated[float, typer.Option(min=0, max=1, help="share of each store to measure on, at its end")] = 0.02,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Measure how a network's peaks and poses err, and store it with the weights."""
    path = weights or share() / "weights" / "dope-lite.safetensors"
    measured = calibrate(path, data, kept, load_objects(objects_file), device)
    if measured is None:
        raise UserError(f"{path}: finds fewer than {FEWEST} corners in these pictures; train longer or raise --kept")
    metadata, trusted = measured
    peaks = metadata.calibration
    typer.echo(
        f"{path}: at height h a corner is off by {peaks.sure} + {peaks.unsure} (1 - h) cells, "
        f"of them {peaks.inward} (1 - h) inward"
    )
    if off := pose_confidence.biases_in_words(metadata.objects):
        typer.echo(f"{path}: distances are corrected for a bias of {off}")
    typer.echo(
        f"{path}: deviations of poses are {metadata.trust.spread} times those of independent errors"
        if trusted
        else f"{path}: fewer than {pose_confidence.FEWEST} right poses in these pictures; scores and ellipsoids stay "
        "as they were"
    )


def main(argv: list[str] | None = None) -> int:
    """Run `dope calibrate`; returns the exit status."""
    return run_typer(app, argv, "dope calibrate")


if __name__ == "__main__":
    sys.exit(main())
