"""What an evaluation leaves behind: report.json, report.html and the answers as BOP results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dope_ros2 import __version__
from dope_ros2.common import files
from dope_ros2.io.bop import write_results
from dope_training.evaluation import tables
from dope_training.evaluation.html_report import page
from dope_training.evaluation.labelled_images import LabelledImages
from dope_training.evaluation.run import EvaluationResult
from dope_training.evaluation.worst_images import worst

SCHEMA = "dope-evaluation/1"
WORST = 12  # images on the page, of all contenders together


def content_of(judged: Sequence[EvaluationResult], data: LabelledImages, min_visibility: float, settings: dict) -> dict:
    """What report.json holds; docs/evaluate.md explains it.

    Args:
        judged: at least one contender's answers, all to the same images.
        data: the images.
        min_visibility: objects less visible are not asked for.
        settings: of the estimator.
    """
    shapes = {name: shape for one in judged for name, shape in one.shapes.items()}
    return {
        "schema": SCHEMA,
        "code_version": __version__,
        "data": data.path.name or str(data.path),
        "pictures": len(judged[0].indices),
        "min_visibility": min_visibility,
        "settings": settings,
        "not_judged": sorted(data.names - shapes.keys()),
        "objects": {
            name: {"points": s.source, "diameter_m": round(s.diameter, 6), "symmetries": len(s.symmetries)}
            for name, s in sorted(shapes.items())
        },
        "runs": [one.content(min_visibility) for one in judged],
    }


def text(content: dict) -> str:
    """The tables of a report: one of all contenders where there are several, then one of each."""
    runs = content["runs"]
    blocks = [tables.text(tables.rows_of(run), run["label"]) for run in runs]
    if len(runs) > 1:
        blocks.insert(0, tables.text([(run["label"], run["overall"]) for run in runs], "all objects"))
    if content["not_judged"]:
        blocks.append(f"also in the data, but not judged: {', '.join(content['not_judged'])}")
    return "\n\n".join(blocks)


def write(
    out: Path, content: dict, judged: Sequence[EvaluationResult], data: LabelledImages, estimated: set[str]
) -> list[Path]:
    """Write the report's files, each whole or not at all.

    Args:
        out: an existing folder.
        content: as `content_of` gives it.
        judged: the contenders.
        data: the images.
        estimated: labels of those whose answers are not in a results file already.

    Returns:
        What was written.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    each = max(4, WORST // len(judged))
    pictures = {one.contender.label: worst(one, data, each, content["min_visibility"]) for one in judged}
    written = []
    for one in judged:
        if (label := one.contender.label) in estimated:
            name = "results.csv" if len(estimated) == 1 else "results-" + re.sub(r"[^\w.-]+", "_", label) + ".csv"
            write_results(out / name, one.estimates(data))
            written.append(out / name)
    files.write_text(out / "report.html", page(content, pictures) + "\n")
    files.write_json(out / "report.json", content)
    return [*written, out / "report.html", out / "report.json"]
