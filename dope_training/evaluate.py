"""How good the poses of a weights file are on stored pictures it was not trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dope_datagen.labels import Label
from dope_datagen.store import Dataset
from dope_ros2.detection import Detection
from dope_ros2.estimator import Estimator, Settings
from dope_ros2.matching import match
from dope_ros2.objects import load_objects
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
        detections = estimator(sample.rgb, sample.camera, settings)
        for name in rows:
            found = [d for d in detections if d.model.name == name]
            labels = [label for label in sample.objects if label.name == name]
            rows[name] += _compare(found, labels)
            detected[name] += len(found)
    return {name: _report(np.array(rows[name]).reshape(-1, 3), detected[name], min_visibility) for name in rows}


def _compare(detections: list[Detection], labels: list[Label]) -> list[tuple[float, float, float]]:
    """Per truth: visibility, relative translation error, rotation error [deg]; errors are inf where not found."""
    pairs = {m.truth: m for m in match([d.pose for d in detections], [label.pose for label in labels])}
    return [
        (label.visibility, pairs[i].relative_distance, pairs[i].degrees) if i in pairs else (label.visibility, np.inf, np.inf)
        for i, label in enumerate(labels)
    ]


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
        typer.echo(json.dumps({"object": name} | {k: round(v, 4) for k, v in vars(report).items()}))
