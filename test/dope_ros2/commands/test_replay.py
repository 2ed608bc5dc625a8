"""A replay gives the recorded answers, and says so where it does not."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dope_ros2 import __version__
from dope_ros2.cli import main
from dope_ros2.commands.replay import Comparison, Named, compare, report
from dope_ros2.common.errors import UserError
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.object_crops import ObjectRegion
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.weights import sha256
from dope_ros2.objects.object_model import load_objects
from dope_ros2.pipeline.recording import read
from dope_ros2.pipeline.recording_player import play
from dope_ros2.pipeline.request import Request, Roi
from dope_ros2.tracking.tracker import Memory, Smoothing
from helpers.node_recording import Shaky, pictures, record

REPO = Path(__file__).resolve().parents[3]
WEIGHTS = REPO / "weights" / "dope-lite.safetensors"
TRACKED, RAW = Request(Settings(), smoothing=Smoothing()), Request(Settings(min_score=0.5))
EXACT = 1e-9, 1e-6, 0


def again(path, recording=None, estimator=None):
    return [Comparison.of(shown) for shown in play(path, recording or read(path), estimator or Shaky())]


def assert_exact(comparisons, count):
    assert len(comparisons) == count
    for comparison in comparisons:
        assert comparison.recorded == comparison.now
        assert (comparison.differences <= EXACT).all()


def shown(count, request=TRACKED):
    return [(rgb, request) for rgb in pictures(count)]


@pytest.mark.parametrize("request_", [TRACKED, RAW, replace(TRACKED, roi=Roi(3, 4, 30, 20))])
def test_the_answers_are_the_recorded_ones(tmp_path, request_):
    assert_exact(again(record(tmp_path, Shaky(), shown(12, request_))), 12)


@pytest.mark.parametrize("request_", [TRACKED, RAW])
def test_a_node_s_prefix_and_ranks_are_no_difference(tmp_path, request_):
    def published(_, found):
        ids = [d.track or f"{d.model.name}_{rank}" for rank, d in enumerate(found)]
        return [replace(d, track=f"left_{name}") for d, name in zip(found, ids, strict=True)]

    assert_exact(again(record(tmp_path, Shaky(), shown(6, request_), change=published)), 6)


def test_tracks_that_are_older_than_the_recording_go_on(tmp_path):
    path = record(tmp_path, Shaky(), shown(14), lost=9)
    assert_exact(again(path), 5)
    recording = read(path)
    recording.answers[0] = replace(recording.answers[0], before=Memory())
    assert (again(path, recording)[0].differences > EXACT).any()


def test_tracks_are_forgotten_where_they_were(tmp_path):
    path = record(tmp_path, Shaky(), shown(10), lost=2, forget=(6,))
    assert_exact(again(path), 8)
    recording = read(path)
    recording.answers[4] = replace(recording.answers[4], before=None)
    assert (again(path, recording)[4].differences > EXACT).any()


def test_what_was_asked_may_change_from_image_to_image(tmp_path):
    changing = [(rgb, (TRACKED, RAW)[n // 3 % 2]) for n, rgb in enumerate(pictures(12))]
    assert_exact(again(record(tmp_path, Shaky(), changing)), 12)


class Following(Shaky):
    """Looks where it is told to; what comes new shows in its surveys."""

    can_follow, looks = True, ()

    def follow(self, image, camera, tracks, settings, places):
        self.looks = [*self.looks, (len(tracks), tuple(places))]
        return self(image, camera, settings)[: len(tracks) + len(places)]

    def places(self, image, camera, settings, scale):
        return [ObjectRegion("soup", float(image[0, 0, 0]), 9.5, 8.25)]


def test_images_that_were_only_followed_are_followed_again_and_where_the_surveys_showed_something(tmp_path):
    path, again_ = record(tmp_path, Following(), shown(14), lost=3, period=0.25), Following()
    assert_exact(again(path, estimator=again_), 11)
    requests = [answer.request for answer in read(path).answers]
    assert [request.follow for request in requests].count(True) >= 6
    assert [places for _, places in again_.looks] == [r.places for r in requests if r.follow]
    assert len({request.places for request in requests}) >= 3


def moved(n, found):
    pose = replace(found[0].pose, translation=found[0].pose.translation + np.array([0.003, 0, 0.004]))
    return [replace(found[0], pose=pose), *found[1:]] if n == 2 else found


def turned(n, found):
    pose = found[0].pose @ Pose.from_rotvec([0, 0, np.deg2rad(2)], np.zeros(3))
    return [replace(found[0], pose=pose), *found[1:]] if n == 2 else found


def surer(n, found):
    return [replace(found[0], score=found[0].score - 0.05), *found[1:]] if n == 2 else found


def fewer(n, found):
    return found[1:] if n == 2 else found


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (moved, "5.000 mm, 0.000 degrees, 0.0000 in score"),
        (turned, "0.000 mm, 2.000 degrees, 0.0000 in score"),
        (surer, "0.000 mm, 0.000 degrees, 0.0500 in score"),
        (fewer, "carton_0, carton_1, soup_0; recorded: carton_"),
    ],
)
def test_another_answer_than_the_recorded_one_is_told(tmp_path, capsys, change, text):
    path = record(tmp_path, Shaky(), shown(4), change=change)
    assert not report(again(path))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("/left/image_rect at 1000.200 s: ")
    assert text in lines[0]
    assert lines[1].startswith("3 of 4 answers agree within 1.000 mm, 0.500 degrees, 0.0100 in score")


def test_of_instances_without_a_track_the_nearest_belong_together():
    poses = [Pose.from_rotvec([0, 0, 0.1 * x], [x, 0, 1]) for x in (0.0, 0.5, 1.0)]
    recorded = [Named("box", 0.9, poses[0]), Named("box", 0.8, poses[1]), Named("can", 0.7, poses[2])]
    now = [Named("can", 0.7, poses[2]), Named("box", 0.81, poses[1]), Named("box", 0.8, poses[0])]
    np.testing.assert_allclose(compare(recorded, now), [0, 0, 0.1], atol=1e-7)
    np.testing.assert_array_equal(compare([], now), [0, 0, 0])


def test_a_bag_that_lacks_answers_is_damaged(tmp_path):
    path, other = (record(tmp_path, Shaky(), shown(count)) for count in (5, 3))
    shutil.copy(path / "recording.json", other / "recording.json")
    with pytest.raises(UserError, match="2 of 5 answers are missing"):
        again(other)


@pytest.fixture(scope="module")
def cartons(tmp_path_factory):
    """Three answers of the shipped weights, tracked, to an image of cartons that moves; a part of it last."""
    rgb = cv2.imread(str(REPO / "docs" / "images" / "demo.jpg"))[..., ::-1]
    estimator = Estimator.load(WEIGHTS, load_objects(), "cpu", "torch")
    requests = [TRACKED, TRACKED, replace(TRACKED, roi=Roi(100, 60, 400, 400))]
    moving = [(np.ascontiguousarray(np.roll(rgb, 2 * n, axis=1)), request) for n, request in enumerate(requests)]
    camera = CameraModel.from_focal(550, 640, 480)
    folder = tmp_path_factory.mktemp("cartons")
    weights, engine = (WEIGHTS, sha256(WEIGHTS)), estimator.engine.name
    return record(folder, estimator, moving, camera, lost=1, weights=weights, engine=engine)


def test_the_shipped_weights_say_the_same_twice(cartons, capsys):
    assert main(["replay", str(cartons), "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"recorded: 2 answers, version {__version__}, torch on cpu"
    assert lines[1] == f"now: {WEIGHTS}, version {__version__}, torch on cpu"
    assert lines[-2].startswith("2 of 2 answers agree")
    assert lines[-1].endswith("are 0.000 mm, 0.000 degrees, 0.0000 in score")
    assert len(read(cartons).answers[0].before.tracks) >= 2


def test_a_recording_of_other_answers_has_another_status(cartons, tmp_path, capsys):
    doctored = tmp_path / "doctored"
    shutil.copytree(cartons, doctored)
    file = doctored / "recording.json"
    file.write_text(file.read_text().replace('"min_score": 0.3', '"min_score": 0.95'))
    assert main(["replay", str(doctored), "--device", "cpu"]) == 1
    assert "; recorded: carton_" in capsys.readouterr().out


def test_weights_that_are_not_here_are_named(tmp_path, capsys):
    path = record(tmp_path, Shaky(), shown(1), weights=("/robot/mug.safetensors", "12ab" * 16))
    assert main(["replay", str(path)]) == 2
    error = capsys.readouterr().err
    assert "was recorded with /robot/mug.safetensors (sha256 12ab12ab12ab...), which is not here" in error
    assert error.count("\n") == 1
