"""One image's detections against its truth: who belongs to whom, and every error of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from dope_ros2.evaluation.matching import LabelledPose, Match, match
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.symmetry import nearest
from dope_training.evaluation.labelled_images import LabelledImage, TrueObject
from dope_training.evaluation.object_points import ObjectPoints
from dope_training.metrics import bop
from dope_training.metrics.add import MAX_ADD, MAX_ADD_OF_DIAMETER, add, adds
from dope_training.metrics.coverage import PARTS, squared_lengths


@dataclass
class TruthRow:
    """A true object and how well it was found.

    Attributes:
        distance: of its box's centre from the camera [m].
        detection: index of the detection that is near it, None if there is none.
        right: whether that one is within 10 % of the distance and 20 degrees.
        translation: distance between the two centres [m]; rotation: angle between the poses [deg].
        projected: mean distance of the nine keypoints as they follow from the poses [px].
        keypoints: the same of the detected keypoints, before a pose was made of them [px].
        lengths: squared Mahalanobis lengths of the error, by part, see `coverage`.
        add, adds: of the detection paired by each [m]; add_s: adds of symmetric objects, else add.
        close: whether add_s is below 10 % of the diameter.
        mssd, mspd: share of BOP's thresholds at which it is found; NaN when it is too hidden to be asked for.
    """

    picture: int
    name: str
    visibility: float
    distance: float
    detection: int | None = None
    right: bool = False
    translation: float = np.inf
    rotation: float = np.inf
    projected: float = np.inf
    keypoints: float = np.nan
    lengths: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, np.nan))
    add: float = np.inf
    adds: float = np.inf
    add_s: float = np.inf
    close: bool = False
    mssd: float = np.nan
    mspd: float = np.nan


@dataclass
class FoundRow:
    """A detection.

    Attributes:
        distance: of its box's centre from the camera [m].
        right: whether it is the right answer to a true object, however hidden that is.
        close: the same by ADD(-S) below 10 % of the diameter.
        visibility: of the true object it is right about; NaN when that is not known.
    """

    picture: int
    name: str
    score: float
    distance: float
    right: bool = False
    close: bool = False
    visibility: float = np.nan


def measure(
    number: int, picture: LabelledImage, detections: Sequence[Detection], shapes: Mapping[str, ObjectPoints]
) -> tuple[list[TruthRow], list[FoundRow]]:
    """Judge one image.

    Objects of classes without a shape, and those that reach behind the camera, are not judged.

    Args:
        number: the image's.
        picture: with its truth.
        detections: all of classes with a shape.
        shapes: by class.
    """
    truths = [t for t in picture.truths if t.name in shapes and _in_front(t, shapes[t.name])]
    true = [LabelledPose(shapes[t.name].model, t.visibility, t.pose) for t in truths]
    given = [LabelledPose(shapes[d.model.name].model, d.score, d.pose) for d in detections]
    rows = [TruthRow(number, i.name, i.score, float(np.linalg.norm(i.centre))) for i in true]
    found = [FoundRow(number, i.name, i.score, float(np.linalg.norm(i.centre))) for i in given]
    for pair in match(true, given):
        if pair.detection is not None:
            shape = shapes[rows[pair.truth].name]
            _place(rows[pair.truth], picture, pair, detections[pair.detection], shape)
            rows[pair.truth].detection = pair.detection
            found[pair.detection].right = rows[pair.truth].right
            found[pair.detection].visibility = rows[pair.truth].visibility
    for name in {row.name for row in rows}:
        own = [k for k, row in enumerate(rows) if row.name == name]
        theirs = sorted((k for k, row in enumerate(found) if row.name == name), key=lambda k: -found[k].score)
        trues = [truths[k].pose.matrix @ shapes[name].symmetries for k in own]
        poses = [detections[k].pose for k in theirs]
        _by_add([rows[k] for k in own], [found[k] for k in theirs], trues, poses, shapes[name])
        _by_bop([rows[k] for k in own], trues, poses, shapes[name], picture)
    return rows, found


def _in_front(truth: TrueObject, shape: ObjectPoints) -> bool:
    return truth.pose.apply(shape.model.keypoints)[:, 2].min() > 0


def _place(row: TruthRow, picture: LabelledImage, pair: Match, found: Detection, shape: ObjectPoints) -> None:
    """Fill in what follows from the pair; of the poses that look like the true one the nearest counts."""
    model, true, K = shape.model, pair.nearest, picture.camera.K
    row.translation = float(np.linalg.norm(true.apply(model.centre) - found.pose.apply(model.centre)))
    row.rotation, row.right = float(np.degrees(pair.rotation)), pair.found
    pixels = bop.project(true.apply(model.keypoints), K)
    row.projected = float(np.linalg.norm(bop.project(found.pose.apply(model.keypoints), K) - pixels, axis=1).mean())
    seen = np.isfinite(found.keypoints).all(1)
    if seen.any():
        row.keypoints = float(np.linalg.norm(found.keypoints[seen] - pixels[seen], axis=1).mean())
    row.lengths = squared_lengths(true.minus(found.pose), found.covariance)


def _by_add(
    rows: Sequence[TruthRow], found: Sequence[FoundRow], trues: list[np.ndarray], poses: list[Pose], shape: ObjectPoints
) -> None:
    """Pair objects of one class with detections, so that the sum of errors, each cut at the limit, is least.

    ADD and ADD-S are paired each for itself.
    """
    limit = max(MAX_ADD, MAX_ADD_OF_DIAMETER * shape.diameter)
    errors = np.reshape([_add_errors(t, p, shape, limit) for t in trues for p in poses], (len(trues), len(poses), 2))
    for kind, name in enumerate(("add", "adds")):
        costs = errors[:, :, kind]
        for i, j in zip(*linear_sum_assignment(np.minimum(costs, limit)), strict=True):
            setattr(rows[i], name, float(costs[i, j]))
            if kind == shape.is_symmetric:
                rows[i].add_s = float(costs[i, j])
                rows[i].close = found[j].close = bool(costs[i, j] < MAX_ADD_OF_DIAMETER * shape.diameter)


def _add_errors(trues: np.ndarray, found: Pose, shape: ObjectPoints, limit: float) -> tuple[float, float]:
    """ADD and ADD-S [m]; infinite where the points' centroids are so far apart that both exceed the limit."""
    centroid = shape.points.mean(0)
    if np.linalg.norm(Pose.from_matrix(trues[0]).apply(centroid) - found.apply(centroid)) > limit + 2 * shape.diameter:
        return np.inf, np.inf
    alike = nearest(Pose.from_matrix(trues[0]), found, shape.model)
    return add(shape.points, trues, found), adds(shape.points, alike, found)


def _by_bop(
    rows: Sequence[TruthRow], trues: list[np.ndarray], poses: list[Pose], shape: ObjectPoints, picture: LabelledImage
) -> None:
    """Recall at BOP's thresholds: as many detections, best first, as there are objects visible enough."""
    targets = [k for k, row in enumerate(rows) if not row.visibility < bop.LEAST_VISIBLE]
    poses = poses[: len(targets)]
    K, scale = picture.camera.K, bop.WIDTH / picture.camera.width
    surface = [[bop.mssd(shape.hull, trues[k], pose) / shape.diameter for k in targets] for pose in poses]
    pixels = [[bop.mspd(shape.hull, trues[k], pose, K) * scale for k in targets] for pose in poses]
    for errors, thresholds, name in ((surface, bop.MSSD_THRESHOLDS, "mssd"), (pixels, bop.MSPD_THRESHOLDS, "mspd")):
        shares = bop.recalled(np.reshape(errors, (len(poses), len(targets))), thresholds).mean(0)
        for k, value in zip(targets, shares, strict=True):
            setattr(rows[k], name, float(value))
