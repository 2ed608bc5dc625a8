"""How good the poses of a weights file are on stored pictures it was not trained on."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dope_datagen.store import Dataset
from dope_ros2.cli import run_typer
from dope_ros2.estimator import Estimator, Settings
from dope_ros2.geometry import Pose
from dope_ros2.matching import Instance, match
from dope_ros2.objects import ObjectModel, load_objects
from dope_ros2.resources import share


@dataclass(frozen=True)
class Report:
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
) -> dict[str, Report]:
    """Run the estimator over stored pictures and compare with their labels, class by class."""
    store = Dataset.open(data)
    rows: dict[str, list[tuple[float, float, float]]] = {model.name: [] for model in estimator.models}
    detected = dict.fromkeys(rows, 0)
    for index in indices:
        sample = store[index]
        found = [_instance(d.model, d.score, d.pose) for d in estimator(sample.rgb, sample.camera, settings)]
        models = {model.name: model for model in estimator.models}
        truths = [_instance(models[o.name], o.visibility, o.pose) for o in sample.objects if o.name in models]
        for pair in match(truths, found):
            error = (pair.translation, np.rad2deg(pair.rotation)) if pair.found else (np.inf, np.inf)
            rows[truths[pair.truth].name].append((truths[pair.truth].score, *error))
        for instance in found:
            detected[instance.name] += 1
    return {name: _report(np.array(rows[name]).reshape(-1, 3), detected[name], min_visibility) for name in rows}


def _instance(model: ObjectModel, score: float, pose: Pose) -> Instance:
    return Instance(model.name, score, pose, pose.apply(model.centre))


def _report(rows: np.ndarray, detected: int, min_visibility: float) -> Report:
    visible = rows[rows[:, 0] >= min_visibility]
    hits = visible[np.isfinite(visible[:, 1])]
    return Report(
        instances=len(visible),
        recall=len(hits) / max(1, len(visible)),
        precision=float(np.isfinite(rows[:, 1]).sum() / max(1, detected)),
        translation=float(np.median(hits[:, 1])) if len(hits) else float("nan"),
        rotation=float(np.median(hits[:, 2])) if len(hits) else float("nan"),
    )


app = typer.Typer(add_completion=False)


@app.command()
def evaluate_command(
    data: Annotated[Path, typer.Option(help="store written by `dope generate`, not the one trained on")],
    weights: Annotated[Path | None, typer.Option(help="weights; default: the package's")] = None,
    images: Annotated[int, typer.Option(help="how many pictures, from the store's end")] = 200,
    min_visibility: Annotated[float, typer.Option(help="truths less visible do not count as missed")] = 0.6,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Print recall, precision and median errors per object on stored pictures."""
    estimator = Estimator.load(weights or share() / "weights" / "dope-lite.safetensors", load_objects(), device)
    count = len(Dataset.open(data))
    reports = evaluate(estimator, data, range(max(0, count - images), count), Settings(), min_visibility)
    for name, report in reports.items():
        typer.echo(json.dumps({"object": name} | {k: round(v, 4) if v == v else None for k, v in vars(report).items()}))


def main(argv: list[str] | None = None) -> int:
    """Run `dope evaluate`; returns the exit status."""
    return run_typer(app, argv, "dope evaluate")


if __name__ == "__main__":
    sys.exit(main())
