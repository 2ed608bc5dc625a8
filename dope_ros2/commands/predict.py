"""`dope predict`: poses in images, folders, videos and BOP scenes, as images, JSON and BOP results."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dope_ros2.commands.batch_prediction import PredictionRun, lines, write
from dope_ros2.common import files
from dope_ros2.common.command_runner import USER_ERROR, command
from dope_ros2.common.errors import UserError, closest
from dope_ros2.common.resources import default_weights
from dope_ros2.geometry.camera import load_camera
from dope_ros2.io.assumed_camera import ASSUMED_FIELD_OF_VIEW, AssumedCamera
from dope_ros2.io.input_files import FoundSource, find_sources
from dope_ros2.objects.mesh_units import name_from
from dope_ros2.objects.object_model import load_objects

if TYPE_CHECKING:
    from dope_ros2.estimation.estimator import Estimator
    from dope_ros2.estimation.mesh_estimator import MeshEstimator

ASSUMPTION = (
    f"no intrinsics: a horizontal field of view of {math.degrees(ASSUMED_FIELD_OF_VIEW):.0f} degrees is assumed and "
    "distances are wrong by as much as it is; give --camera camera.yaml or --focal PIXELS"
)


def execute(run: PredictionRun, sources: list[FoundSource], weights: Path | None) -> None:
    """Process every source, print what was found, and write the result files."""
    files.new_folder(run.out)
    if run.lens.assumed and not all(map(knows_camera, sources)):
        print(f"dope predict: warning: {ASSUMPTION}", file=sys.stderr)
    for line in lines(run, sources):
        print(line, flush=True)
    write(run, weights)
    for line in run.report.table():
        print(line)


def knows_camera(source: FoundSource) -> bool:
    """Whether a source says which camera it was taken with, or cannot be read, which is told elsewhere."""
    try:
        return source.knows_camera
    except UserError:
        return True


def select(known: set[str], objects: str | None, weights: Path | None) -> set[str]:
    """The names of the objects to report: those asked for, or all that the weights know or, without, meshes are of."""
    names = {name.strip() for name in objects.split(",")} - {""} if objects else known
    for name in sorted(names - known):
        cause = f"{weights}: was not trained on" if weights else "--mesh: none is of"
        raise UserError(f"{cause} the object {name!r}{closest(name, known)}")
    return names


def _lens(camera: Path | None, focal: float | None) -> AssumedCamera:
    if camera and focal:
        raise UserError("--camera and --focal contradict each other; give one of them")
    if focal is not None and not focal > 0:
        raise UserError(f"--focal {focal:g} is not a positive number of pixels")
    return AssumedCamera(load_camera(camera) if camera else None, focal, str(camera or ""))


def _by_weights(weights: Path, objects_file: Path | None, device: str) -> Estimator:
    from dope_ros2.estimation.estimator import Estimator

    return Estimator.load(weights, load_objects(objects_file), device)


def _by_meshes(meshes: list[Path]) -> MeshEstimator:
    from dope_ros2.estimation.mesh_estimator import MeshEstimator

    estimator = MeshEstimator.load(meshes)
    for note in estimator.notes:
        print(note, flush=True)
    return estimator


@command("dope predict")
def main(
    inputs: Annotated[list[Path], typer.Argument(help="images, videos, folders of them, BOP scenes or datasets")],
    out: Annotated[Path, typer.Option(help="folder for the results")],
    weights: Annotated[Path | None, typer.Option(help="default: weights/dope-lite.safetensors of the package")] = None,
    mesh: Annotated[
        list[Path] | None, typer.Option(help="find this printed object by its mesh, without weights; may be repeated")
    ] = None,
    objects: Annotated[str | None, typer.Option(help="names of the objects to report, separated by commas")] = None,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
    camera: Annotated[Path | None, typer.Option(help="camera_info YAML; BOP scenes have their own cameras")] = None,
    focal: Annotated[float | None, typer.Option(help="focal length [px], instead of --camera")] = None,
    min_score: Annotated[
        float | None, typer.Option(help="leave out detections with a lower score, 0 to 1", min=0, max=1)
    ] = None,
    input_height: Annotated[int, typer.Option(help="scale images to this height first; 0: keep, -1: as trained")] = -1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    images: Annotated[bool, typer.Option(help="write annotated images and videos")] = True,
) -> int:
    """Estimate poses in images, folders, videos and BOP scenes."""
    lens = _lens(camera, focal)
    sources, problems = find_sources(inputs)
    if mesh and weights:
        raise UserError("--mesh and --weights contradict each other: meshes are looked for without a network; give one")
    weights = None if mesh else weights or default_weights()
    if sources:
        from dope_ros2.estimation.settings import Settings

        if mesh:
            names = select({name_from(path) for path in mesh}, objects, None)
            estimator = _by_meshes(mesh)
        else:
            estimator = _by_weights(weights, objects_file, device)
            names = select({model.name for model in estimator.models}, objects, weights)
        chosen = {"input_height": input_height, "objects": tuple(sorted(names))}
        chosen |= {} if min_score is None else {"min_score": min_score}
        execute(PredictionRun(estimator, Settings(**chosen), lens, out, images, problems=problems), sources, weights)
    for problem in problems:
        print(f"dope predict: error: {problem}", file=sys.stderr)
    return USER_ERROR if problems else 0
