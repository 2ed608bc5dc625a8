"""Detections compared with the photograph: better poses, scores that rest on what is seen, and fewer false ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dope_ros2.estimation.confidence import claimed_deviations
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.calibration import RefinedScoreModel
from dope_ros2.objects.detection import Detection, RefinedFeatures
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.refinement.drawing import kernels
from dope_ros2.refinement.drawing.appearance import Appearance
from dope_ros2.refinement.mirrored_pose import mirrored_face
from dope_ros2.refinement.render_and_compare import FOLLOWING, Refinement, refine

MIN_SCORE = 0.01  # of a pose that is worth the time
HOPELESS = 0.05  # score below which no other start is tried either
CONVINCING = 0.7  # score from which on no other start is tried, and an object is followed without a network


class PoseRefiner:
    """Refines the poses of those objects whose appearance is known, and lets the others be."""

    def __init__(self, appearances: Mapping[str, Appearance], score_model: RefinedScoreModel) -> None:
        """With appearances by the objects' names."""
        self.appearances, self.score_model = appearances, score_model
        if appearances:
            kernels.warm_up()

    def __call__(self, image: np.ndarray, camera: CameraModel, detections: list[Detection]) -> list[Detection]:
        """The same detections with better poses and scores; those without a pose that can be drawn are left out."""
        answers = []
        for detection in detections:
            appearance = self.appearances.get(detection.model.name)
            if appearance is None:
                answers.append(detection)
            elif detection.score >= MIN_SCORE:
                answers += self._best(image, camera, detection, appearance)
        return answers

    def follow(
        self, image: np.ndarray, camera: CameraModel, expected: Sequence[tuple[ObjectModel, Pose]]
    ) -> list[Detection | None]:
        """Objects where they are expected, at T_camera_object, without a network; None where one does not show."""
        answers: list[Detection | None] = []
        for model, pose in expected:
            appearance = self.appearances.get(model.name)
            found = None if appearance is None else refine(image, camera, appearance, pose, FOLLOWING)
            start = Detection(model, 0.0, pose, np.zeros((6, 6)))
            refined = None if found is None else self._scored(start, found, camera)
            answers.append(refined if refined is not None and refined.score >= CONVINCING else None)
        return answers

    def _best(
        self, image: np.ndarray, camera: CameraModel, detection: Detection, appearance: Appearance
    ) -> list[Detection]:
        """The detection refined, from another start where the first leads to nothing that looks right."""
        best: Detection | None = None
        mirrored = mirrored_face(detection.pose, appearance.box)
        for start in (detection.pose, mirrored):
            found = None if start is None else refine(image, camera, appearance, start)
            refined = None if found is None else self._scored(detection, found, camera)
            if refined is not None and (best is None or refined.score > best.score):
                best = refined
            if best is None or not HOPELESS <= best.score < CONVINCING:
                break
        return [] if best is None else [best]

    def _scored(self, detection: Detection, found: Refinement, camera: CameraModel) -> Detection:
        evidence = refined_features(found, detection, camera)
        return replace(
            detection,
            pose=found.pose,
            covariance=found.covariance * self.score_model.covariance_scale,
            score=self.score_model.score(evidence),
            evidence=evidence,
        )


def refined_features(found: Refinement, detection: Detection, camera: CameraModel) -> RefinedFeatures:
    """What the score of a refined pose is made of."""
    centre = np.array(detection.model.centre)
    distance = float(found.pose.apply(centre)[2])
    range_, turn = claimed_deviations(found.pose, found.covariance, centre)
    return RefinedFeatures(
        print=found.likeness.print,
        outline=found.likeness.outline,
        contrast=float(np.log1p(found.likeness.contrast)),
        size=float(np.log(camera.K[0, 0] * detection.model.diameter / distance)),
        range=range_,
        turn=turn,
    )
