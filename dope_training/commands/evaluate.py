"""How good the poses of weights, or of a results file, are on labelled images they were not made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.common.resources import default_weights
from dope_ros2.evaluation.matching import MIN_VISIBILITY
from dope_ros2.objects.object_model import ObjectModel, load_objects
from dope_training.evaluation import report
from dope_training.evaluation.labelled_images import LabelledImages, open_pictures
from dope_training.evaluation.object_points import ObjectPoints
from dope_training.evaluation.run import EvaluationResult, Predictor, judge
from dope_training.evaluation.summary import counts

if TYPE_CHECKING:
    from dope_ros2.estimation.estimator import Estimator
    from dope_ros2.estimation.settings import Settings

DEFAULT_IMAGES = 200  # that weights are shown, unless asked otherwise


@dataclass(frozen=True)
class EvaluationReport:
    """Figures of one class.

    Attributes:
        instances: truths at least as visible as asked for.
        recall: share of them with a detection within 10 % of the distance and 20 degrees.
        precision: share of detections that are such a match of any truth, however hidden.
        translation: median error relative to the distance, of the matches.
        rotation: median error of the matches [deg].
    """

    instances: int
    recall: float
    precision: float
    translation: float
    rotation: float


def evaluate(
    estimator: Estimator, data: Path, indices: range, settings: Settings, min_visibility: float
) -> dict[str, EvaluationReport]:
    """Run the estimator over labelled images and compare with their labels, class by class."""
    contender = Predictor.of_estimator(Path(data).name, estimator, settings)
    return brief(judge(contender, open_pictures(Path(data), estimator.models), indices, {}), min_visibility)


def brief(judged: EvaluationResult, min_visibility: float) -> dict[str, EvaluationReport]:
    """The main figures of each class."""
    return {model.name: _report(judged, model.name, min_visibility) for model in judged.contender.models}


def _report(judged: EvaluationResult, name: str, min_visibility: float) -> EvaluationReport:
    visible = [row for row in judged.truths if row.name == name and counts(row.visibility, min_visibility)]
    hits = [row for row in visible if row.right]
    found = [row.right for row in judged.found if row.name == name]
    return EvaluationReport(
        instances=len(visible),
        recall=len(hits) / max(1, len(visible)),
        precision=sum(found) / max(1, len(found)),
        translation=float(np.median([row.translation / row.distance for row in hits])) if hits else float("nan"),
        rotation=float(np.median([row.rotation for row in hits])) if hits else float("nan"),
    )


def labels(paths: Sequence[Path]) -> list[str]:
    """Short names of files that tell them apart: the stem, with as many folders before it as that takes.

    Raises:
        UserError: a file is given twice.
    """
    parts = [path.resolve().with_suffix("").parts for path in paths]
    for path, own in zip(paths, parts, strict=True):
        if parts.count(own) > 1:
            raise UserError(f"{path}: is given twice, or differs from another in its suffix only; give each one once")
    length = next(n for n in range(1, 100) if len({own[-n:] for own in parts}) == len(parts))
    return ["/".join(own[-length:]) for own in parts]


def contenders(
    weights: Sequence[Path],
    results: Sequence[Path],
    data: LabelledImages,
    objects: dict[str, ObjectModel],
    device: str,
    min_score: float | None,
) -> tuple[list[Predictor], dict]:
    """Whom to judge: weights and results files; and the settings of the former, as values."""
    names = labels([*weights, *results])
    judged, settings = [], {}
    if weights:
        from dope_ros2.estimation.estimator import Estimator
        from dope_ros2.estimation.settings import Settings
        from dope_ros2.network.weights import sha256

        chosen = Settings() if min_score is None else Settings(min_score=min_score)
        settings = asdict(chosen)
        judged = [
            Predictor.of_estimator(name, Estimator.load(path, objects, device), chosen, sha256(path))
            for name, path in zip(names, weights, strict=False)
        ]
    given = zip(names[len(weights) :], results, strict=True)
    return judged + [Predictor.of_results(*file, data, objects.values()) for file in given], settings


@command("dope evaluate")
def main(
    data: Annotated[Path, typer.Option(help="labelled images, not those trained on: a dataset of ours or BOP scenes")],
    weights: Annotated[
        list[Path] | None, typer.Option(help="weights file; several are compared; default: the package's")
    ] = None,
    csv: Annotated[
        list[Path] | None, typer.Option(help="BOP results file to evaluate, from `dope predict` or another program")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder for report.html, report.json and results.csv")] = None,
    images: Annotated[int | None, typer.Option(min=1, help="how many images, from the end [200; --csv: all]")] = None,
    min_visibility: Annotated[
        float, typer.Option(help="objects less visible than this are not counted as missed")
    ] = MIN_VISIBILITY,
    min_score: Annotated[
        float | None, typer.Option(min=0, max=1, help="detections with a lower score are left out")
    ] = None,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Judge poses by the truth: print the main figures per object, or write a report with all of them."""
    if out is not None:
        files.new_folder(out)
    objects = load_objects(objects_file)
    pictures = open_pictures(data, objects.values())
    if not weights and not csv:
        weights = [default_weights()]
    known, settings = contenders(weights or [], csv or [], pictures, objects, device, min_score)
    count = len(pictures.keys)
    indices = range(max(0, count - (images or (DEFAULT_IMAGES if weights else count))), count)
    shapes: dict[str, ObjectPoints] = {}
    judged = [judge(contender, pictures, indices, shapes) for contender in known]
    if out is None:
        for one in judged:
            _print_lines(one, min_visibility, several=len(judged) > 1)
        return
    content = report.content_of(judged, pictures, min_visibility, settings)
    typer.echo(report.text(content))
    estimated = {contender.label for contender in known[: len(weights or [])]}
    for path in report.write(out, content, judged, pictures, estimated):
        typer.echo(path)


def _print_lines(judged: EvaluationResult, min_visibility: float, *, several: bool) -> None:
    for name, figures in brief(judged, min_visibility).items():
        who = {"weights": judged.contender.label} if several else {}
        values = {k: round(v, 4) if v == v else None for k, v in vars(figures).items()}
        typer.echo(json.dumps(who | {"object": name} | values))
