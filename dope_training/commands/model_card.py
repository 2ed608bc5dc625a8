"""A model card: what weights are, how they were made and how good they are, from the file itself and from reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
import yaml

from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.evaluation.matching import DEFINITION
from dope_ros2.network.calibration import ScoreModel
from dope_ros2.network.metadata import Metadata
from dope_ros2.network.weights import load, read_appearances, sha256
from dope_training.calibration.pose_confidence import biases_in_words
from dope_training.evaluation import tables
from dope_training.evaluation.report import SCHEMA

SUMS = "SHA256SUMS"


def card(path: Path, metadata: Metadata, reports: Sequence[dict], notes: str) -> str:
    """The card as Markdown.

    Args:
        path: of the weights.
        metadata: of the weights.
        reports: contents of report.json, each of an evaluation that these weights took part in.
        notes: what the file cannot know, as Markdown.

    Raises:
        UserError: a report is not about these weights.
    """
    parts = [f"# {path.stem}", _facts(path, metadata), "## Objects", _objects(metadata)]
    parts += ["## How it was made", _made(metadata), notes.strip()]
    parts += ["## How it errs", _errs(metadata)]
    for report in reports:
        parts += [f"## On {report['data']}", _figures(path, report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(path: Path, metadata: Metadata) -> str:
    rows = {
        "file": f"`{path.name}`, {path.stat().st_size / 2**20:.1f} MiB",
        "architecture": f"`{metadata.architecture}`",
        "input": f"rectified RGB, scaled to a height of {metadata.input_height} px"
        if metadata.input_height
        else "rectified RGB, as it is",
        "output": f"nine belief maps and {metadata.affinity} votes for each object, at stride {metadata.stride}",
        "appearance": _appearance(path, metadata),
        "licence": metadata.licence,
        "written by": f"version {metadata.code_version}",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])


def _appearance(path: Path, metadata: Metadata) -> str:
    """Which objects the file has the appearance of."""
    names = read_appearances(path).keys()
    known = [trained.name for trained in metadata.objects if trained.name in names]
    return "of all objects" if len(known) == len(metadata.objects) else f"of {', '.join(known) or 'no object'}"


def _objects(metadata: Metadata) -> str:
    rows = [f"| {o.name} | {' x '.join(f'{side:g}' for side in o.size)} |" for o in metadata.objects]
    return "\n".join(["| object | size [m] |", "|---|---|", *rows])


def _made(metadata: Metadata) -> str:
    made = {"data": metadata.data, "training": metadata.training}
    return f"```yaml\n{yaml.safe_dump(made, sort_keys=False, default_flow_style=None, width=110)}```"


def _errs(metadata: Metadata) -> str:
    peaks, score_model = metadata.calibration, metadata.score_model
    lines = [
        f"A keypoint whose peak has height h is off by {peaks.sigma_sure:g} + {peaks.sigma_slope:g} (1 - h) cells "
        f"(standard deviation); the decoder moves it {peaks.shrinkage:g} (1 - h) cells outward."
    ]
    if off := biases_in_words(metadata.objects):
        lines.append(f"Distances are corrected for a bias of {off}.")
    if score_model == ScoreModel():
        lines.append("Scores and covariances were not measured: scores are rough, `dope calibrate` sets them.")
    else:
        lines.append(
            f"A score is the probability that the pose is {DEFINITION}, fitted to held-out images. "
            f"Covariances are {score_model.covariance_scale:.3g} times those of independent errors."
        )
    return " ".join(lines)


def _figures(path: Path, report: dict) -> str:
    digest = sha256(path)
    run = next((run for run in report["runs"] if run.get("sha256") == digest), None)
    if run is None:
        labels = ", ".join(run["label"] for run in report["runs"])
        raise UserError(
            f"the report on {report['data']} is about {labels}, and none of them is {path} as it is now; "
            "judge these weights with `dope evaluate --out` and give its report.json"
        )
    least, lowest = 100 * report["min_visibility"], report["settings"]["min_score"]
    asked = f"objects at least {least:g} % visible, scores from {lowest:g} on"
    blocks = [
        f"`dope evaluate`, {report['pictures']} images; {asked}.",
        tables.markdown(tables.rows_of(run), "object"),
        "Whatever can be seen of them:",
        tables.markdown(tables.bins_of(run["by_visibility"], ""), "visible share"),
    ]
    return "\n\n".join(blocks)


def read_report(path: Path) -> dict:
    """Read report.json.

    Raises:
        UserError: it is missing or something else.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable ({error}); give the report.json of `dope evaluate --out`") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise UserError(f"{path}: no {SCHEMA}; give the report.json of `dope evaluate --out`")
    return content


def read_notes(path: Path | None) -> str:
    """Read the notes, if there are any.

    Raises:
        UserError: they cannot be read.
    """
    try:
        return path.read_text() if path else ""
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable ({error}); give a text file in UTF-8, or leave --notes out") from error


def add_sum(path: Path) -> Path:
    """Write the checksum of a file into SHA256SUMS beside it, which `sha256sum --check` reads."""
    sums = path.parent / SUMS
    lines = sums.read_text().splitlines() if sums.is_file() else []
    entries = [line.split(maxsplit=1) for line in lines if line.strip()]
    known = {name.lstrip("*"): digest for digest, name in entries} | {path.name: sha256(path)}
    files.write_text(sums, "".join(f"{digest}  {name}\n" for name, digest in sorted(known.items())))
    return sums


@command("dope card")
def main(
    weights: Annotated[Path, typer.Option(help="a weights file")],
    report: Annotated[list[Path] | None, typer.Option(help="report.json of `dope evaluate`; repeat for more")] = None,
    notes: Annotated[Path | None, typer.Option(help="Markdown with what the file cannot know: sources, limits")] = None,
) -> None:
    """Write a model card beside weights, and their checksum into SHA256SUMS."""
    _, metadata = load(weights)
    text = card(weights, metadata, [read_report(r) for r in report or []], read_notes(notes))
    files.write_text(weights.with_suffix(".md"), text)
    typer.echo(weights.with_suffix(".md"))
    typer.echo(add_sum(weights))
