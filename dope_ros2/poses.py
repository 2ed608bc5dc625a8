"""Decoded instances of a class to detections; each cell of the surface speaks for one of them only."""

from __future__ import annotations

import numpy as np

from dope_ros2 import cuboid
from dope_ros2.camera import CameraModel
from dope_ros2.decode import Instance
from dope_ros2.detection import Detection
from dope_ros2.objects import ObjectModel
from dope_ros2.pnp import Gate, solve
from dope_ros2.surface import Cells
from dope_ros2.trust import Evidence, Trust

WEAK = 0.25  # mean belief; poses with a lower one take no cells
APART = 0.25  # detections of a class whose centres are nearer than this share of their extent are the same object


def detect(
    model: ObjectModel,
    instances: list[Instance],
    cells: Cells,
    K: np.ndarray,
    gate: Gate,
    trust: Trust,
) -> list[Detection]:
    """Poses of the instances of one class.

    The surest instance comes first and takes the cells that its pose explains. What was refused is tried once more
    when cells have been taken since: objects that overlap are only clear one after the other.

    Args:
        model: the object.
        instances: as decoded, keypoints in pixels of the camera.
        cells: all cells that show objects of this class.
        K: (3, 3) camera matrix.
        gate: which poses are believed.
        trust: what scores and ellipsoids are made with.
    """
    found: list[Detection] = []
    waiting = [(instance, -1) for instance in sorted(instances, key=lambda i: -i.scores.sum())]
    for _ in range(2):
        refused: list[tuple[Instance, int]] = []
        for instance, tried_with in waiting:
            if tried_with == len(cells):
                continue
            detection = _detection(model, instance, cells, K, gate, trust)
            if detection is None:
                refused.append((instance, len(cells)))
                continue
            found.append(detection)
            if detection.evidence.belief >= WEAK:
                cells = cells.where(~cells.explained_by(detection.pose, K, gate.outlier))
        waiting = refused
    return found


def _detection(
    model: ObjectModel, instance: Instance, cells: Cells, K: np.ndarray, gate: Gate, trust: Trust
) -> Detection | None:
    """The pose of one instance; None when the gate refuses it."""
    around = cells.around(instance.keypoints[cuboid.CENTRE])
    solution = solve(model.keypoints, instance.keypoints, K, instance.sigmas, gate, around)
    if solution is None:
        return None
    evidence = Evidence.of(instance.scores, solution, np.array(model.centre))
    return Detection(
        model=model,
        score=trust.score(evidence),
        pose=solution.pose,
        covariance=solution.covariance * trust.spread**2,
        keypoints=np.where(solution.inliers[:, None], instance.keypoints, np.nan),
        reprojection_error=solution.rms,
        evidence=evidence,
    )


def suppress(detections: list[Detection], camera: CameraModel) -> list[Detection]:
    """Keep the best of detections of one class whose centres nearly coincide in the image, best first."""
    kept: list[Detection] = []
    pictures: list[np.ndarray] = []
    for detection in sorted(detections, key=lambda d: -d.score):
        picture = camera.project(detection.pose.apply(detection.model.keypoints))
        extent = np.ptp(picture, axis=0).max()
        rivals = (p for d, p in zip(kept, pictures, strict=True) if d.model.name == detection.model.name)
        if all(np.linalg.norm(rival[8] - picture[8]) > APART * extent for rival in rivals):
            kept.append(detection)
            pictures.append(picture)
    return kept
