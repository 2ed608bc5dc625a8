"""Who is judged, by what, and everything that came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from dope_ros2.common.errors import UserError
from dope_ros2.io.bop import Estimate, read_results
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_training.evaluation import summary
from dope_training.evaluation.labelled_images import LabelledImage, LabelledImages
from dope_training.evaluation.object_points import ObjectPoints
from dope_training.evaluation.pose_errors import FoundRow, TruthRow, measure

if TYPE_CHECKING:
    from dope_ros2.estimation.estimator import Estimator
    from dope_ros2.estimation.settings import Settings


@dataclass(frozen=True)
class Predictor:
    """Someone who says what is in an image.

    Attributes:
        label: a short name, unique in a report.
        models: the objects it is judged by.
        answer: detections in an image, and the seconds they took, -1 when that is not known.
        notes: what should be known when reading its figures.
        sha256: checksum of the weights, empty for others.
    """

    label: str
    models: Sequence[ObjectModel]
    answer: Callable[[LabelledImage], tuple[list[Detection], float]]
    notes: tuple[str, ...] = ()
    sha256: str = ""

    @classmethod
    def of_estimator(cls, label: str, estimator: Estimator, settings: Settings, sha256: str = "") -> Predictor:
        """Weights, and their checksum where it is to be told."""

        def answer(picture: LabelledImage) -> tuple[list[Detection], float]:
            start = time.perf_counter()
            found = estimator(picture.rgb, picture.camera, settings)
            return found, time.perf_counter() - start

        return cls(label, estimator.models, answer, sha256=sha256)

    @classmethod
    def of_results(cls, label: str, path: Path, data: LabelledImages, objects: Iterable[ObjectModel]) -> Predictor:
        """A BOP results file; it is judged by all known objects that are in the data or in the file.

        Raises:
            UserError: it is malformed, or has nothing to do with the data.
        """
        rows = read_results(path)
        by_id = {model.class_id: model for model in objects}
        about = set(data.keys)
        strays = sum((row.scene_id, row.im_id) not in about for row in rows)
        unknown = sorted({row.obj_id for row in rows} - by_id.keys())
        if not rows or strays == len(rows):
            scenes = ", ".join(map(str, sorted({scene for scene, _ in about})[:8]))
            raise UserError(
                f"{path}: none of its {len(rows)} rows is about an image of {data.path}, which has {len(about)} "
                f"images of scene_id {scenes}; give the file and the data that belong together"
            )
        named = {by_id[row.obj_id].name for row in rows if row.obj_id in by_id}
        notes = [f"{strays} rows about other images are left out"] if strays else []
        notes += (
            [f"rows of obj_id {', '.join(map(str, unknown))}, not in objects.yaml, are left out"] if unknown else []
        )
        models = [model for model in by_id.values() if model.name in named | data.names]
        return cls(label, models, _Lookup(rows, by_id), tuple(notes))


class _Lookup:
    """Detections of a results file."""

    def __init__(self, rows: list[Estimate], by_id: Mapping[int, ObjectModel]) -> None:
        def key(row: Estimate) -> tuple[int, int]:
            return row.scene_id, row.im_id

        self._by_picture = {k: list(group) for k, group in groupby(sorted(rows, key=key), key)}
        self._by_id = by_id

    def __call__(self, picture: LabelledImage) -> tuple[list[Detection], float]:
        rows = self._by_picture.get(picture.key, [])
        known = [row for row in rows if row.obj_id in self._by_id]
        found = [Detection(self._by_id[r.obj_id], r.score, r.pose, np.full((6, 6), np.nan)) for r in known]
        return found, rows[0].time if rows else -1.0


@dataclass
class EvaluationResult:
    """A contender's answers to some images, and how good they are.

    Attributes:
        indices: of the images; `picture` of the rows is a position in this list.
        detections: of each image.
        seconds: of each image.
    """

    contender: Predictor
    shapes: dict[str, ObjectPoints]
    indices: Sequence[int]
    truths: list[TruthRow] = field(default_factory=list)
    found: list[FoundRow] = field(default_factory=list)
    detections: list[list[Detection]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def content(self, min_visibility: float) -> dict:
        """All figures, JSON-able; docs/evaluate.md explains them."""
        pictures, times = len(self.indices), [s for s in self.seconds if s >= 0]
        names = [model.name for model in self.contender.models]
        of_class = {name: [[r for r in rows if r.name == name] for rows in (self.truths, self.found)] for name in names}
        return {
            "label": self.contender.label,
            "sha256": self.contender.sha256,
            "notes": list(self.contender.notes),
            "seconds_per_picture": round(float(np.median(times)), 4) if times else None,
            "overall": summary.summary(self.truths, self.found, pictures, min_visibility),
            "classes": {name: summary.summary(*rows, pictures, min_visibility) for name, rows in of_class.items()},
            "by_visibility": summary.by_visibility(self.truths, pictures),
            "by_distance": summary.by_distance(self.truths, self.found, pictures, min_visibility),
            "curves": {"all": summary.curves(self.truths, self.found, min_visibility)}
            | {name: summary.curves(*rows, min_visibility) for name, rows in of_class.items()},
        }

    def estimates(self, data: LabelledImages) -> list[Estimate]:
        """The answers as rows of BOP's results."""
        answers = zip(self.indices, self.detections, self.seconds, strict=True)
        return [
            Estimate(*data.keys[index], d.model.class_id, d.score, d.pose, seconds)
            for index, detections, seconds in answers
            for d in detections
        ]


def judge(
    contender: Predictor, data: LabelledImages, indices: Sequence[int], shapes: dict[str, ObjectPoints]
) -> EvaluationResult:
    """Let a contender look at images, and measure its answers.

    Args:
        contender: who.
        data: labelled images.
        indices: which of them.
        shapes: of objects by name; missing ones are added.

    Raises:
        UserError: the data has none of the contender's objects, or cannot be read.
    """
    known = {model.name for model in contender.models}
    if not known & data.names:
        raise UserError(
            f"{contender.label} knows {', '.join(sorted(known))}, but {data.path} has "
            f"{', '.join(sorted(data.names)) or 'no object'}; give weights and data of the same objects"
        )
    for model in contender.models:
        if model.name not in shapes:
            shapes[model.name] = ObjectPoints.of(model)
    result = EvaluationResult(contender, {name: shapes[name] for name in known}, list(indices))
    for position, index in enumerate(tqdm(result.indices, contender.label, unit="picture", disable=None, leave=False)):
        picture = data[index]
        detections, seconds = contender.answer(picture)
        truths, found = measure(position, picture, detections, result.shapes)
        result.truths += truths
        result.found += found
        result.detections.append(detections)
        result.seconds.append(seconds)
    return result
