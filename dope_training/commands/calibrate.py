"""`dope calibrate`: measure how weights err and store it with them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.common.resources import default_weights
from dope_ros2.network.metadata import Metadata
from dope_ros2.objects.object_model import load_objects
from dope_training.calibration import pose_confidence
from dope_training.calibration.calibrate import MIN_CORNERS, calibrate, calibrate_refinement


@command("dope calibrate")
def main(
    data: Annotated[list[Path], typer.Option(help="store written by `dope generate`; may be given several times")],
    weights: Annotated[Path | None, typer.Option(help="weights, rewritten; default: the package's")] = None,
    kept: Annotated[float, typer.Option(min=0, max=1, help="share of each store to measure on, at its end")] = 0.02,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    refinement_only: Annotated[
        bool, typer.Option("--refinement-only", help="scores and ellipsoids of refined poses, and nothing else")
    ] = False,
) -> None:
    """Measure how a network's peaks and poses err, and store it with the weights."""
    path = weights or default_weights()
    if refinement_only:
        refined = calibrate_refinement(path, data, kept, load_objects(objects_file), device)
        if refined is None:
            raise UserError(
                f"{path}: fewer than {pose_confidence.MIN_RIGHT_POSES} right refined poses in these images; raise "
                "--kept, or give the weights appearances with `dope assets appearance`"
            )
        typer.echo(_of_refined(path, refined))
        return
    measured = calibrate(path, data, kept, load_objects(objects_file), device)
    if measured is None:
        raise UserError(f"{path}: finds fewer than {MIN_CORNERS} corners in these images; train longer or raise --kept")
    metadata, trusted = measured
    peaks = metadata.calibration
    typer.echo(
        f"{path}: at height h a corner is off by {peaks.sigma_sure} + {peaks.sigma_slope} (1 - h) cells, "
        f"of them {peaks.shrinkage} (1 - h) inward"
    )
    if off := pose_confidence.biases_in_words(metadata.objects):
        typer.echo(f"{path}: distances are corrected for a bias of {off}")
    typer.echo(
        f"{path}: deviations of poses are {metadata.score_model.sigma_scale} times those of independent errors"
        if trusted
        else f"{path}: fewer than {pose_confidence.MIN_RIGHT_POSES} right poses in these images; scores and "
        "ellipsoids stay as they were"
    )
    typer.echo(_of_refined(path, metadata))


def _of_refined(path: Path, metadata: Metadata) -> str:
    scale = metadata.refined_score_model.sigma_scale
    return f"{path}: deviations of refined poses are {scale} times those that the comparison's noise gives"
