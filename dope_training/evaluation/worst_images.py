"""The images in which most went wrong, with truth and answer drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dope_ros2.evaluation.matching import shares_of_limits
from dope_ros2.visualization import overlay
from dope_training.evaluation.labelled_images import LabelledImage, LabelledImages
from dope_training.evaluation.pose_errors import FoundRow, TruthRow
from dope_training.evaluation.run import EvaluationResult
from dope_training.evaluation.summary import counts

TRUTH = (255, 255, 255)  # RGB of the true cuboids' wires


@dataclass(frozen=True, eq=False)
class Worst:
    """An image to look at.

    Attributes:
        key: BOP's scene_id and im_id.
        faults: what is wrong in it, in words.
        image: (H, W, 3) uint8 RGB: truth in white wires, detections over it in their object's colour.
    """

    key: tuple[int, int]
    faults: list[str]
    image: np.ndarray


def worst(judged: EvaluationResult, data: LabelledImages, count: int, min_visibility: float) -> list[Worst]:
    """At most `count` images, the worst first: wrong ones count one a piece, inexact ones up to a half."""
    truths: list[list[TruthRow]] = [[] for _ in judged.indices]
    found: list[list[FoundRow]] = [[] for _ in judged.indices]
    for row in judged.truths:
        if counts(row.visibility, min_visibility):
            truths[row.picture].append(row)
    for row in judged.found:
        found[row.picture].append(row)
    badness = np.array([_badness(t, f) for t, f in zip(truths, found, strict=True)])
    order = [int(k) for k in np.argsort(-badness, kind="stable")[:count] if badness[k] > 0]
    return [_shown(judged, data, k, [*_missed(truths[k], found[k]), *_false(truths[k], found[k])]) for k in order]


def _badness(truths: Sequence[TruthRow], found: Sequence[FoundRow]) -> float:
    inexact = (sum(_shares(row)) if row.right else 4.0 for row in truths)
    return sum(not row.right for row in found) + sum(part / 4 for part in inexact)


def _shares(row: TruthRow) -> tuple[float, float]:
    return shares_of_limits(row.translation / row.distance, np.radians(row.rotation))


def _missed(truths: Sequence[TruthRow], found: Sequence[FoundRow]) -> list[str]:
    return [_about(row, found) for row in truths if not row.right or _shares(row)[1] > 0.5]


def _about(row: TruthRow, found: Sequence[FoundRow]) -> str:
    visible = "" if np.isnan(row.visibility) else f", {row.visibility:.0%} visible"
    where = f"{row.name} at {row.distance:.2f} m{visible}"
    if row.detection is None:
        return f"{where}: missed"
    off = f"{row.rotation:.0f} degrees and {row.translation * 100:.1f} cm off"
    return f"{where}: {off}, score {found[row.detection].score:.2f}"


def _false(truths: Sequence[TruthRow], found: Sequence[FoundRow]) -> list[str]:
    told = {row.detection for row in truths}
    return [
        f"{row.name} at {row.distance:.2f} m, score {row.score:.2f}: nothing like it is there"
        for k, row in enumerate(found)
        if not row.right and k not in told
    ]


def _shown(judged: EvaluationResult, data: LabelledImages, position: int, faults: list[str]) -> Worst:
    picture: LabelledImage = data[judged.indices[position]]
    image = np.ascontiguousarray(picture.rgb).copy()
    for truth in picture.truths:
        if truth.name in judged.shapes:
            overlay.draw_wires(image, picture.camera, judged.shapes[truth.name].model, truth.pose, TRUTH)
    return Worst(picture.key, faults, overlay.draw(image, picture.camera, judged.detections[position]))
