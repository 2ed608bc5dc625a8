"""What is looked at in an image: all of it, or only where tracks are expected."""

from dataclasses import replace

import numpy as np
import pytest

from dope_ros2.camera import CameraModel
from dope_ros2.detection import Detection
from dope_ros2.estimator import Settings
from dope_ros2.geometry import Pose
from dope_ros2.objects import ObjectModel
from dope_ros2.pipeline import COARSELY, Request, Roi, Sight, find
from dope_ros2.tracking import Smoothing

BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06))
CAMERA = CameraModel.from_focal(600, 640, 480)
ASKED = Request(Settings(), smoothing=Smoothing())
PERIOD = 0.1


def box(x=0.0):
    pose = Pose.from_rotvec([0.2, 0.1, 0.3], [x, 0, 0.8])
    return Detection(BOX, 0.9, pose, 1e-6 * np.eye(6), np.zeros((9, 2)), 0.5)


class Scene:
    """An object at a place that changes; remembers where it was looked for."""

    def __init__(self):
        self.sight, self.x, self.there, self.looks, self.heights = Sight([BOX]), 0.0, True, [], []

    def __call__(self, time, asked=ASKED, period=PERIOD):
        request = self.sight.asked(asked, time, period)
        self.heights.append(request.settings.coarsely)

        def see(settings, roi, expected):
            self.looks.append(expected)
            return [box(self.x)] if self.there else []

        return self.sight.look(see, time, request)


def test_between_searches_only_tracks_are_looked_for_where_they_are_expected():
    scene = Scene()
    for k in range(7):
        scene.x = 0.01 * k
        scene(k / 30)
    assert [looks is None for looks in scene.looks] == [True, False, False, True, False, False, True]
    [(model, pose)] = scene.looks[-2]
    assert model == BOX
    assert pose.translation[0] == pytest.approx(0.05, abs=0.02)


def test_an_object_that_was_not_seen_again_is_searched_at_once():
    scene = Scene()
    scene(0.0)
    scene.there = False
    scene(0.03)
    scene(0.06)
    assert [looks is None for looks in scene.looks] == [True, False, True]


def test_what_is_new_beside_tracks_is_searched_coarsely_and_what_was_lost_is_not():
    scene = Scene()
    for time in (0.0, 0.11, 0.22):
        scene(time)
    scene.there = False
    for time in (0.33, 0.44):
        scene(time)
    assert scene.heights == [1, COARSELY, COARSELY, COARSELY, 1]


def test_without_a_period_every_image_is_searched_as_finely_as_the_first():
    scene = Scene()
    for k in range(3):
        scene(k / 30, period=0.0)
    assert scene.looks == [None] * 3
    assert scene.heights == [1] * 3


@pytest.mark.parametrize("asked", [replace(ASKED, smoothing=None)])
def test_without_tracks_every_image_is_searched(asked):
    scene = Scene()
    for k in range(3):
        scene(k / 30, asked)
    assert scene.looks == [None] * 3


def test_a_slow_camera_and_a_clock_that_goes_back_are_searched_every_time():
    scene = Scene()
    for time in (0.0, 0.2, 0.4, 0.1):
        scene(time)
    assert scene.looks == [None] * 4


class Follower:
    """An estimator that tells how it was asked."""

    def __call__(self, image, camera, settings):
        return self.follow(image, camera, None, settings)

    def follow(self, image, camera, expected, settings):
        self.asked = image.shape, (camera.width, camera.height, camera.K[0, 2]), expected
        return [box()]


@pytest.mark.parametrize("expected", [None, [(BOX, box().pose)]])
def test_a_region_is_searched_or_followed_in_like_an_image_of_its_own(expected):
    estimator, image = Follower(), np.zeros((480, 640, 3), np.uint8)
    [found] = find(estimator, image, CAMERA, "image", Settings(), Roi(100, 50, 200, 100), expected)
    assert estimator.asked == ((100, 200, 3), (200, 100, CAMERA.K[0, 2] - 100), expected)
    np.testing.assert_allclose(found.keypoints[0], [100, 50])
