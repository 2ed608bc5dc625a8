"""A survey looks coarsely, and yet sees where a search would find something."""

import numpy as np
import pytest

from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.pose import Pose
from dope_ros2.pipeline.camera_pipeline import CameraPipeline
from dope_ros2.pipeline.frame import Frame
from dope_ros2.pipeline.request import Request
from helpers.drawn_scenes import BOX, estimator, named_pixels
from helpers.fake_network import CAMERA, SIDE, Seer, ramps


def shown(poses):
    """Where a survey of the whole image shows something, (N, 2) [px]."""
    look = estimator(Seer(poses), crop=SIDE)
    return named_pixels(CameraPipeline(look).survey(Frame(ramps(), CAMERA, 0.0), Request(Settings())))[1]


def assert_shown(poses):
    places = shown(poses)
    assert len(places) == len(poses)
    for pose in poses:
        pixel = CAMERA.project(pose.apply(np.array(BOX.centre)))
        assert np.linalg.norm(places - pixel, axis=1).min() < 3


@pytest.mark.parametrize("distance", [1.0, 2.4, 3.0])
def test_a_survey_shows_objects_down_to_thirty_pixels(distance):
    grid = [(0.25 * column - 0.4, 0.25 * row - 0.25) for row in range(3) for column in range(4)]
    assert_shown([Pose.from_rotvec([0.3, 0.3 * k, 0.1], [*at, distance]) for k, at in enumerate(grid)])


@pytest.mark.parametrize("apart", [0.13, 0.17])
def test_a_survey_tells_two_small_objects_that_are_side_by_side_apart(apart):
    assert_shown([Pose.from_rotvec([0.3, 0.8, 0.1], [x, 0.0, 3.0]) for x in (0.0, apart)])
