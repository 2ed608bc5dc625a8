"""What is looked at in an image: all of it, or only where tracks are expected."""

from dataclasses import replace

import numpy as np
import pytest

from dope_ros2.estimation.object_crops import ObjectRegion
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.camera_pipeline import SURVEY_SCALE, Sight, find, survey
from dope_ros2.pipeline.request import Request, Roi, SearchPrior
from dope_ros2.tracking.tracker import Smoothing

BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06))
CAMERA = CameraModel.from_focal(600, 640, 480)
ASKED = Request(Settings(), smoothing=Smoothing())
PERIOD = 0.1
PLACE = ObjectRegion("box", 120.0, 60.0, 40.0)


def box(x=0.0):
    pose = Pose.from_rotvec([0.2, 0.1, 0.3], [x, 0, 0.8])
    return Detection(BOX, 0.9, pose, 1e-6 * np.eye(6), np.zeros((9, 2)), 0.5)


class Scene:
    """An object at a place that changes; remembers where it was looked for."""

    def __init__(self):
        self.sight, self.x, self.there, self.other, self.looks, self.surveys = Sight([BOX]), 0.0, True, False, [], []

    def __call__(self, time, asked=ASKED, period=PERIOD):
        request = self.sight.asked(asked, time, period)

        def see(settings, roi, expected):
            self.looks.append(expected)
            return [box(x) for x, there in ((self.x, self.there), (0.4, self.other)) if there]

        found = self.sight.look(see, time, request)
        if self.sight.is_due(request, time, period):
            self.surveys.append(time)
            self.sight.surveyed(time, (PLACE,))
        return found


def test_between_searches_only_tracks_are_looked_for_where_they_are_expected():
    scene = Scene()
    for k in range(7):
        scene.x = 0.01 * k
        scene(k / 30)
    assert [looks is None for looks in scene.looks] == [True] + 6 * [False]
    assert scene.surveys == pytest.approx([3 / 30, 6 / 30])
    [(model, pose)] = scene.looks[-2].tracks
    assert model == BOX
    assert pose.translation[0] == pytest.approx(0.05, abs=0.02)


def test_an_object_that_was_not_seen_again_is_searched_at_once():
    scene = Scene()
    scene(0.0)
    scene.there = False
    scene(0.03)
    scene(0.06)
    assert [looks is None for looks in scene.looks] == [True, False, True]


def test_one_of_two_objects_that_has_gone_is_searched_once_and_then_only_expected():
    scene = Scene()
    scene.other = True
    scene(0.0)
    scene(0.03)
    scene.other = False
    for k in range(2, 7):
        scene(0.03 * k)
    assert [looks is None for looks in scene.looks] == [True, False, False, True, False, False, False]
    assert len(scene.looks[-1].tracks) == 2
    scene.other = True
    for k in range(7, 9):
        scene(0.03 * k)
    scene.other = False
    for k in range(9, 11):
        scene(0.03 * k)
    assert [looks is None for looks in scene.looks[7:]] == [False, False, False, True]


def test_the_next_image_is_looked_at_where_a_survey_has_shown_something():
    scene = Scene()
    for k in range(6):
        scene(k / 30)
    assert [looks.places for looks in scene.looks[1:]] == [(), (), (), (PLACE,), ()]


def test_without_a_period_every_image_is_searched():
    scene = Scene()
    for k in range(3):
        scene(k / 30, period=0.0)
    assert scene.looks == [None] * 3


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

    def follow(self, image, camera, tracks, settings, places=()):
        self.asked = image.shape, (camera.width, camera.height, camera.K[0, 2]), tracks, list(places)
        return [box()]

    def places(self, image, camera, settings, scale):
        self.asked = image.shape, scale
        return [PLACE]


PART = Roi(100, 50, 200, 100)
IN_PART = (100, 200, 3), (200, 100, CAMERA.K[0, 2] - 100)
ELSEWHERE = PLACE._replace(x=20.0)


@pytest.mark.parametrize(
    ("expected", "tracks", "places"),
    [
        (None, None, []),
        (SearchPrior([(BOX, "pose")]), [(BOX, "pose")], []),
        (SearchPrior([], (PLACE, ELSEWHERE)), [], [ObjectRegion("box", 20.0, 10.0, 40.0)]),
    ],
)
def test_a_region_is_searched_or_followed_in_like_an_image_of_its_own(expected, tracks, places):
    estimator, image = Follower(), np.zeros((480, 640, 3), np.uint8)
    [found] = find(estimator, image, CAMERA, "image", Settings(), PART, expected)
    assert estimator.asked == (*IN_PART, tracks, places)
    np.testing.assert_allclose(found.keypoints[0], [100, 50])


def test_a_region_is_surveyed_coarsely_and_its_places_are_the_images():
    estimator, image = Follower(), np.zeros((480, 640, 3), np.uint8)
    assert survey(estimator, image, CAMERA, "image", Settings(), PART) == (ObjectRegion("box", 220.0, 110.0, 40.0),)
    assert estimator.asked == ((100, 200, 3), SURVEY_SCALE)
