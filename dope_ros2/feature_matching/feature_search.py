"""Objects found by what is printed on them: local features of an image matched with those of the objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import cv2
import numpy as np

from dope_ros2.feature_matching import sift
from dope_ros2.feature_matching.match_poses import find_poses
from dope_ros2.feature_matching.matches import Matcher
from dope_ros2.feature_matching.print_features import PrintFeatures
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose


class Hypothesis(NamedTuple):
    """Where an object may be.

    Attributes:
        name: of the object.
        pose: T_camera_object.
        inliers: how many features of the image agree.
    """

    name: str
    pose: Pose
    inliers: int


class FeatureSearch:
    """Finds objects in images by their print, without a network; the same image always gives the same answer."""

    def __init__(self, objects: Mapping[str, PrintFeatures]) -> None:
        """With the features of the objects by name."""
        self.objects = {name: own for name, own in objects.items() if len(own.points)}
        self._matchers = {name: Matcher(own) for name, own in self.objects.items()}

    def __call__(
        self, image: np.ndarray, camera: CameraModel, names: Collection[str] | None = None
    ) -> list[Hypothesis]:
        """Look for objects, several of a kind as well.

        Args:
            image: (H, W, 3) uint8 RGB, rectified; a part of one with its `camera.cropped` does as well.
            camera: its camera.
            names: of the objects to look for; all if None.

        Returns:
            Hypotheses, those with most inliers first. They are to be compared with the photograph (`refine`): of those
            with fewer than six inliers most are wrong, of those with more than ten hardly any.
        """
        wanted = [name for name in self._matchers if names is None or name in names]
        if not wanted:
            return []
        seen = sift.detect(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        found = []
        for name in wanted:
            matches, box = self._matchers[name](seen), self.objects[name].box
            found += [Hypothesis(name, *each) for each in find_poses(matches, camera.K, box)]
        return sorted(found, key=lambda hypothesis: -hypothesis.inliers)
