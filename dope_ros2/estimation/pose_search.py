"""Decoded instances of a class to detections; each cell of the surface speaks for one of them only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from dope_ros2.estimation import confidence
from dope_ros2.estimation.map_decoder import KeypointInstance
from dope_ros2.estimation.object_crops import DUPLICATE_REGION_DISTANCE, is_near
from dope_ros2.estimation.pnp.solver import Correspondences, Gate, Solution, solve_all
from dope_ros2.estimation.pnp.surface_coordinates import Cells, read
from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.network.calibration import ScoreModel
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel

MIN_BELIEF_TO_TAKE_CELLS = 0.25  # mean belief; poses with a lower one take no cells


class CropContext(NamedTuple):
    """What a stack of maps is of: an object, the camera of their image, and where its centre was seen before [px]."""

    model: ObjectModel
    camera: CameraModel
    centre: np.ndarray | None = None


@dataclass(eq=False)
class PoseSearch:
    """The instances of one class in one image, on the way to their poses.

    Attributes:
        model: the object.
        waiting: instances as decoded, keypoints in pixels of the camera, the surest first; and with how many cells
            each was tried before, -1 if not yet.
        cells: all cells that show objects of this class and that no pose has explained.
        K: (3, 3) camera matrix.
        found: so far.
        refused: with how many cells, to be tried again when there are fewer.
    """

    model: ObjectModel
    waiting: list[tuple[KeypointInstance, int]]
    cells: Cells
    K: np.ndarray
    found: list[Detection] = field(default_factory=list)
    refused: list[tuple[KeypointInstance, int]] = field(default_factory=list)

    @classmethod
    def of(
        cls, context: CropContext, instances: list[KeypointInstance], surface: np.ndarray | None, stride: int
    ) -> PoseSearch:
        """Before the first of them; where it is known where the object is, those beside it are left out.

        Args:
            context: what the maps are of.
            instances: of the object, as decoded.
            surface: (4, h, w) maps of its surface; None where the network has none.
            stride: pixels per cell.
        """
        model, camera, centre = context
        if centre is not None:
            instances = [i for i in instances if is_near(i.keypoints[cuboid.CENTRE], centre, camera)]
        surest = sorted(instances, key=lambda i: -i.scores.sum())
        cells = read(surface if instances else None, model, stride)
        return cls(model, [(instance, -1) for instance in surest], cells, camera.K)

    def next(self) -> KeypointInstance | None:
        """Take the next one that has not been tried with these cells; None when there is none."""
        while self.waiting:
            instance, tried_with = self.waiting.pop(0)
            if tried_with != len(self.cells):
                return instance
        return None

    def correspondences(self, instance: KeypointInstance) -> Correspondences:
        """What the pose of an instance is to explain."""
        around = self.cells.around(instance.keypoints[cuboid.CENTRE])
        return Correspondences(self.model.keypoints, instance.keypoints, self.K, instance.sigmas, around)

    def take(self, instance: KeypointInstance, solution: Solution | None, gate: Gate, score_model: ScoreModel) -> None:
        """Keep what was found; a pose that is not weak takes the cells that it explains."""
        if solution is None:
            self.refused.append((instance, len(self.cells)))
            return
        detection = _detection(self.model, instance, solution, score_model)
        self.found.append(detection)
        if detection.evidence.belief >= MIN_BELIEF_TO_TAKE_CELLS:
            self.cells = self.cells.where(~self.cells.explained_by(detection.pose, self.K, gate.outlier))


def detect(searches: list[PoseSearch], gate: Gate, score_model: ScoreModel) -> list[list[Detection]]:
    """Poses of the instances of each search.

    The surest instance comes first and takes the cells that its pose explains. What was refused is tried once more
    when cells have been taken since: objects that overlap are only clear one after the other. Searches share nothing
    but the arithmetic, a step of which costs as much for one as for several.

    Args:
        searches: of classes in images; they are used up.
        gate: which poses are believed.
        score_model: what scores and ellipsoids are made with.
    """
    for _ in range(2):
        while tried := [(search, instance) for search in searches if (instance := search.next()) is not None]:
            solutions = solve_all([search.correspondences(instance) for search, instance in tried], gate)
            for (search, instance), solution in zip(tried, solutions, strict=True):
                search.take(instance, solution, gate, score_model)
        for search in searches:
            search.waiting, search.refused = search.refused, []
    return [search.found for search in searches]


def _detection(
    model: ObjectModel, instance: KeypointInstance, solution: Solution, score_model: ScoreModel
) -> Detection:
    evidence = confidence.confidence_features(instance.scores, solution, np.array(model.centre))
    return Detection(
        model=model,
        score=score_model.score(evidence),
        pose=solution.pose,
        covariance=solution.covariance * score_model.covariance_scale,
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
        if all(np.linalg.norm(rival[8] - picture[8]) > DUPLICATE_REGION_DISTANCE * extent for rival in rivals):
            kept.append(detection)
            pictures.append(picture)
    return kept
