"""Poses in view and where their keypoints are seen."""

import numpy as np
from hypothesis import strategies as st

from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose

CAMERA = CameraModel(np.array([[600.0, 0, 318.0], [0, 590, 242.0], [0, 0, 1]]), 640, 480)
CARTON = cuboid.keypoints((0.16, 0.11, 0.06))
seeds = st.integers(0, 2**32 - 1)


def draw(seed):
    """A pose anywhere in view at 0.5 to 1.2 m, its keypoints and the generator."""
    rng = np.random.default_rng(seed)
    pixel = rng.uniform((60, 60), (580, 420))
    truth = Pose.random(rng, CAMERA.unproject(pixel, rng.uniform(0.5, 1.2)))
    return truth, CAMERA.project(truth.apply(CARTON)), rng


def keep(pixels, chosen):
    kept = np.full_like(pixels, np.nan)
    kept[chosen] = pixels[chosen]
    return kept
