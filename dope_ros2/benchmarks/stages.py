"""`dope benchmark`: what each stage of looking at an image takes on this machine, with each engine."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.common.resources import default_weights
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io.image_sources import SourceImage, endless, open_source
from dope_ros2.objects.object_model import load_objects

WARM_UP = 5  # images
Shots = Sequence[tuple[np.ndarray, CameraModel]]
Figures = dict[str, list[float]]


def shot(picture: SourceImage) -> tuple[np.ndarray, CameraModel]:
    """An image and its camera; where that is not known, one whose field of view is 53 degrees."""
    height, width = picture.rgb.shape[:2]
    known = picture.K is not None
    return picture.rgb, CameraModel(picture.K, width, height) if known else CameraModel.from_focal(width, width, height)


def timed(estimator: object, shots: Shots) -> Figures:
    """Seconds of each stage, of all of them together (`total`), for each image after the first few; and `found`."""
    figures: Figures = {}
    for number, (rgb, camera) in enumerate(shots):
        estimator.stages.take()
        start = time.perf_counter()
        found = estimator(rgb, camera)
        total = time.perf_counter() - start
        if number >= WARM_UP:
            for name, value in (estimator.stages.take() | {"total": total, "found": len(found)}).items():
                figures.setdefault(name, []).append(value)
    return figures


def table(figures: Figures) -> list[str]:
    """Medians and 95th percentiles [ms]."""
    lines = [f"  {'stage':<12}{'p50 [ms]':>10}{'p95 [ms]':>10}"]
    for name, seconds in figures.items():
        if name != "found":
            p50, p95 = 1e3 * np.percentile(seconds, (50, 95))
            lines.append(f"  {name:<12}{p50:>10.1f}{p95:>10.1f}")
    rate = 1 / np.mean(figures["total"])
    return [*lines, f"  {rate:.1f} images/s, {np.mean(figures['found']):.1f} objects in an image"]


@command("dope benchmark")
def main(
    source: Annotated[str, typer.Argument(help="an image, a folder of them, a video or a BOP scene")],
    weights: Annotated[Path | None, typer.Option(help="default: weights/dope-lite.safetensors of the package")] = None,
    engine: Annotated[
        list[str] | None, typer.Option(help="engine to measure; may be given several times; default: auto")
    ] = None,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    images: Annotated[int, typer.Option(help="how many images to process", min=1)] = 50,
    out: Annotated[Path | None, typer.Option(help="write the figures as JSON")] = None,
) -> None:
    """Time each stage of looking at images: the node adds its messages, shown in /diagnostics."""
    shots = [shot(picture) for picture in islice(endless(open_source(source)), images + WARM_UP)]
    if len(shots) <= WARM_UP:
        raise UserError(f"{source}: has only {len(shots)} images; {WARM_UP + 1} are needed")
    from dope_ros2.estimation.estimator import Estimator  # here, so that a wrong path does not wait for torch

    weights, kept = weights or default_weights(), {}
    for name in engine or ["auto"]:
        estimator = Estimator.load(weights, load_objects(objects_file), device, name)
        figures = timed(estimator, shots)
        kept[estimator.engine.name] = figures
        print("\n".join([f"{estimator.engine.name}, {shots[0][0].shape[1]}x{shots[0][0].shape[0]}", *table(figures)]))
    if out:
        files.write_json(out, kept)


if __name__ == "__main__":
    sys.exit(main())
