"""What is looked at in an image: all of it, or only where tracks are expected."""

from dataclasses import replace

import numpy as np
import pytest

from dope_ros2.common.errors import UserError
from dope_ros2.common.stage_timer import StageTimer
from dope_ros2.estimation.object_crops import ObjectRegion
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.camera_pipeline import SURVEY_SCALE, CameraPipeline
from dope_ros2.pipeline.frame import DepthImage, Frame
from dope_ros2.pipeline.request import Request, Roi, SearchPrior
from dope_ros2.tracking.tracker import Smoothing

BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06))
CAMERA = CameraModel.from_focal(600, 640, 480)
IMAGE = np.zeros((480, 640, 3), np.uint8)
ASKED = Request(Settings(), smoothing=Smoothing())
PERIOD = 0.1
PLACE = ObjectRegion("box", 120.0, 60.0, 40.0)
TWO_CAMERAS = [CAMERA, CAMERA, CameraModel.from_focal(500, 640, 480), CameraModel.from_focal(500, 640, 480)]


def box(x=0.0):
    pose = Pose.from_rotvec([0.2, 0.1, 0.3], [x, 0, 0.8])
    return Detection(BOX, 0.9, pose, 1e-6 * np.eye(6), np.zeros((9, 2)), 0.5)


class Scene:
    """An object at a place that changes, before a pipeline; remembers where it was looked for and when surveyed."""

    def __init__(self, can_follow=True):
        self.x, self.there, self.other, self.looks, self.surveys = 0.0, True, False, [], []
        self.pipeline = CameraPipeline(Onlooker(self, can_follow))

    def __call__(self, time, asked=ASKED, period=PERIOD, camera=CAMERA):
        frame = Frame(IMAGE, camera, time)
        result = self.pipeline.process(frame, asked, period)
        if self.pipeline.survey_due(result.request, time, period):
            self.surveys.append(time)
            self.pipeline.survey(frame, result.request)
        return result

    def found(self, prior):
        self.looks.append(prior)
        return [box(x) for x, there in ((self.x, self.there), (0.4, self.other)) if there]


class Onlooker:
    """An estimator that finds what is in the scene."""

    models = (BOX,)

    def __init__(self, scene, can_follow):
        self.scene, self.can_follow, self.stages = scene, can_follow, StageTimer()

    def __call__(self, image, camera, settings):
        return self.scene.found(None)

    def follow(self, image, camera, tracks, settings, places):
        return self.scene.found(SearchPrior(tracks, tuple(places)))

    def places(self, image, camera, settings, scale):
        return [PLACE]


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


@pytest.mark.parametrize(
    "asked", [replace(ASKED, smoothing=None), replace(ASKED, settings=Settings(closer_look=False))]
)
def test_without_tracks_or_a_closer_look_every_image_is_searched(asked):
    scene = Scene()
    for k in range(3):
        scene(k / 30, asked)
    assert scene.looks == [None] * 3


def test_a_slow_camera_and_a_clock_that_goes_back_are_searched_every_time():
    scene = Scene()
    for time in (0.0, 0.2, 0.4, 0.1):
        scene(time)
    assert scene.looks == [None] * 4


def test_weights_that_cannot_follow_search_every_image():
    scene = Scene(can_follow=False)
    for k in range(3):
        scene(k / 30)
    assert (scene.looks, scene.surveys) == ([None] * 3, [])


def test_another_camera_of_the_same_topic_has_no_tracks_yet():
    scene = Scene()
    names = [[d.track for d in scene(k / 30, camera=camera).detections] for k, camera in enumerate(TWO_CAMERAS)]
    assert [looks is None for looks in scene.looks] == [True, False, True, False]
    assert names == [["box_0"]] * 4
    scene.other = True
    before = [len(scene(k / 30, camera=camera).before.tracks) for k, camera in enumerate(TWO_CAMERAS, 4)]
    assert before == [0, 2, 0, 2]


def test_a_request_to_follow_is_followed_as_it_stands_when_nobody_gives_a_period():
    scene, follow = Scene(), replace(ASKED, follow=True, places=(PLACE,))
    scene(0.0, period=0.0)
    scene.there = False
    for k in range(1, 4):
        assert scene(k / 30, follow, period=0.0).request == follow
    assert [looks and looks.places for looks in scene.looks] == [None] + [(PLACE,)] * 3


def test_the_result_tells_what_was_asked_and_known_before():
    scene = Scene()
    first, second = scene(0.0), scene(0.03)
    assert (first.request, len(first.before.tracks)) == (ASKED, 0)
    assert (second.request, len(second.before.tracks)) == (replace(ASKED, follow=True), 1)
    assert second.before.now == 0.0


def test_an_observation_leaves_no_trace():
    scene, untouched = Scene(), Scene()
    scene.other = untouched.other = True
    for k in range(6):
        answers = [s(k / 30) for s in (scene, untouched)]
        assert [d.track for d in answers[0].detections] == [d.track for d in answers[1].detections]
        assert answers[0].request == answers[1].request
        for _ in range(2):
            assert len(scene.pipeline.observe(Frame(IMAGE, CAMERA, k / 30 + 9), Settings()).detections) == 2
        del scene.looks[-2:]
    assert [looks is None for looks in scene.looks] == [looks is None for looks in untouched.looks]


def wall(metres):
    return DepthImage(np.full((480, 640), metres, np.float32), CAMERA, 0.0)


class LateDepth:
    """Depth that is there only when the scene has been looked at."""

    def __init__(self, scene, depth):
        self.scene, self.depth = scene, depth

    def nearest(self, frame):
        return self.depth if self.scene.looks else None


class Square(Scene):
    """A box that faces the camera, of which only the distance is not quite known."""

    def found(self, prior):
        self.looks.append(prior)
        pose = Pose.from_rotvec([0, 0, 0], [0, 0, 0.8])
        return [Detection(BOX, 0.9, pose, np.diag([1e-8, 1e-8, 1e-3, 1e-8, 1e-8, 1e-8]), np.zeros((9, 2)), 0.5)]


def test_depth_that_comes_while_an_image_is_looked_at_corrects_the_range_of_its_answer():
    scene = Square()
    frame = Frame(IMAGE, CAMERA, 0.0, depth=LateDepth(scene, wall(0.79 - 0.03)))
    result = scene.pipeline.process(frame, Request(Settings()))
    assert result.depth is frame.depth.depth
    assert result.detections[0].pose.translation[2] == pytest.approx(0.79, abs=0.003)
    [plain] = scene.pipeline.observe(replace(frame, depth=None), Settings()).detections
    assert plain.pose.translation[2] == 0.8


def test_depth_that_shows_something_else_leaves_the_answer_and_is_counted():
    scene = Square()
    for metres, changed in ((0.77, True), (0.4, False), (0.76, True), (3.0, False)):
        found, depth = scene.pipeline.observe(Frame(IMAGE, CAMERA, 0.0, depth=wall(metres)), Settings())
        assert depth is not None
        assert (found[0].pose.translation[2] != 0.8) == changed
    values = scene.pipeline.depth_health.condition().values
    assert values == {"with_depth": "4", "without_depth": "0", "corrected": "2", "left_as_they_were": "2"}


class Follower:
    """An estimator that tells how it was asked."""

    models = (BOX,)

    def __call__(self, image, camera, settings):
        return self.follow(image, camera, None, settings)

    def follow(self, image, camera, tracks, settings, places=()):
        self.asked = image.shape, (camera.width, camera.height, camera.K[0, 2]), tracks, list(places)
        return [box()]

    can_follow, stages = True, StageTimer()

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
    estimator = Follower()
    [found], _ = CameraPipeline(estimator).observe(Frame(IMAGE, CAMERA, 0.0), Settings(), PART, expected)
    assert estimator.asked == (*IN_PART, tracks, places)
    np.testing.assert_allclose(found.keypoints[0], [100, 50])


def test_a_region_is_surveyed_coarsely_and_its_places_are_the_images():
    estimator, following = Follower(), Request(Settings(), PART, Smoothing(), follow=True)
    pipeline = CameraPipeline(estimator)
    pipeline.process(Frame(IMAGE, CAMERA, 0.0), replace(following, follow=False))
    pipeline.survey(Frame(IMAGE, CAMERA, 0.0), following)
    asked = pipeline.choose_request(replace(following, follow=False), 0.03, PERIOD)
    assert asked.places == (ObjectRegion("box", 220.0, 110.0, 40.0),)
    assert estimator.asked == ((100, 200, 3), SURVEY_SCALE)


def test_a_part_that_an_image_does_not_have_is_refused_by_its_topic():
    frame = Frame(IMAGE, CAMERA, 0.0, topic="/left/image_rect")
    with pytest.raises(UserError, match=r"roi: 700x10 at \(0, 0\) is not inside /left/image_rect, an image of 640x480"):
        CameraPipeline(Follower()).observe(frame, Settings(), Roi(0, 0, 700, 10))


def test_nothing_below_min_score_is_reported_unless_coasting_may_be():
    asked = replace(ASKED, settings=Settings(min_score=0.6), smoothing=Smoothing(coast=1.0))
    for allowed, reported in ((False, 3), (True, 4)):
        scene, request = Scene(), replace(asked, coast_below_min_score=allowed)
        for k in range(4):
            scene(k / 5, request)
        scene.there = False
        gone = [d for k in range(4, 8) for d in scene(k / 5, request).detections]
        assert [d.unseen_for for d in gone] == pytest.approx([0.2, 0.4, 0.6, 0.8][:reported])
        assert (min(d.score for d in gone) < 0.6) == allowed
