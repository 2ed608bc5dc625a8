"""Bags of both storages, written by the test, read back as images with their cameras."""

import json
import shutil

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin

from dope_ros2.commands.batch_prediction import PredictionRun, lines, write
from dope_ros2.commands.predict import execute
from dope_ros2.common.errors import UserError
from dope_ros2.estimation.settings import Settings
from dope_ros2.io.assumed_camera import AssumedCamera
from dope_ros2.io.image_sources import open_source
from dope_ros2.io.input_files import find_sources
from dope_ros2.io.rosbag import Bag, is_bag
from helpers.handmade_bags import CAMERA, compressed, depth, image, info, make, picture


@pytest.mark.parametrize("storage", [StoragePlugin.SQLITE3, StoragePlugin.MCAP])
def test_a_raw_bag_gives_every_picture_with_K_and_distortion(tmp_path, storage):
    path = make(tmp_path / "bag", {"/cam/camera_info": info, "/cam/image_raw": image}, storage)
    bag = Bag(path)
    assert (bag.topic, bag.info_topic, bag.count, round(bag.rate, 3)) == ("/cam/image_raw", "/cam/camera_info", 5, 1.0)
    shots = list(bag)
    assert [shot.stamp for shot in shots] == [1000.5 + number for number in range(5)]
    for number, shot in enumerate(shots):
        np.testing.assert_array_equal(shot.rgb, picture(number))
        np.testing.assert_array_equal(shot.camera.K, CAMERA.K)
        np.testing.assert_array_equal(shot.camera.distortion, CAMERA.distortion)


def test_a_rectified_topic_is_preferred_and_has_P(tmp_path):
    topics = {"/cam/image_raw": image, "/cam/image_rect": image, "/cam/camera_info": info, "/other": image}
    bag = Bag(make(tmp_path / "bag", topics))
    assert bag.topic == "/cam/image_rect"
    shot = next(iter(bag))
    assert shot.camera.K[0, 0] == pytest.approx(90)
    assert not shot.camera.distortion.any()


def test_depth_images_are_not_taken_for_colour(tmp_path):
    topics = {"/cam/color/image_raw": image, "/cam/color/camera_info": info}
    topics |= {"/cam/depth/image_rect_raw": depth, "/cam/depth/camera_info": info}  # a RealSense's names
    assert Bag(make(tmp_path / "bag", topics)).topic == "/cam/color/image_raw"
    with pytest.raises(UserError, match="depth alone: /depth; record those of colour"):
        Bag(make(tmp_path / "depth", {"/depth": depth}))


def test_a_topic_with_rect_inside_a_word_is_raw(tmp_path):
    shot = next(iter(Bag(make(tmp_path / "bag", {"/direct/image_raw": image, "/direct/camera_info": info}))))
    np.testing.assert_array_equal(shot.camera.K, CAMERA.K)


def test_compressed_images_find_their_camera(tmp_path):
    bag = Bag(make(tmp_path / "bag", {"/cam/image_raw/compressed": compressed, "/cam/camera_info": info}))
    assert bag.info_topic == "/cam/camera_info"
    np.testing.assert_array_equal(next(iter(bag)).rgb, picture(0))


def test_the_first_camera_info_holds_for_the_images_before_it_and_a_new_one_afterwards(tmp_path):
    zooming = {"/cam/image_raw": image, "/cam/camera_info": lambda number: info(number, 100.0 + 10 * number)}
    focal = [shot.camera.K[0, 0] for shot in Bag(make(tmp_path / "bag", zooming))]
    assert focal == pytest.approx([100, 100, 110, 120, 130])


def test_without_camera_info_the_camera_is_not_known(tmp_path):
    assert next(iter(Bag(make(tmp_path / "bag", {"/image": image})))).camera is None


def test_what_is_no_bag_or_has_no_images_is_said(tmp_path):
    assert not is_bag(tmp_path)
    path = make(tmp_path / "bag", {"/cam/camera_info": info})
    assert is_bag(path)
    with pytest.raises(UserError, match=r"bag: has no images; its topics: /cam/camera_info"):
        Bag(path)
    broken = tmp_path / "broken"
    shutil.copytree(path, broken)
    next(broken.glob("*.db3")).write_bytes(b"nothing of the kind")
    with pytest.raises(UserError, match="broken: not a readable bag"):
        list(Bag(broken))


def test_a_live_camera_shows_a_bag_rectified_at_its_rate(tmp_path):
    source = open_source(str(make(tmp_path / "bag", {"/cam/camera_info": info, "/cam/image_raw": image})))
    shown = list(source.pictures())
    assert (source.rate, len(shown), source.has_truth) == (pytest.approx(1.0), 5, False)
    np.testing.assert_array_equal(shown[3].rgb, CAMERA.rectify(picture(3)))
    np.testing.assert_array_equal(shown[3].K, CAMERA.K)
    plain = open_source(str(make(tmp_path / "plain", {"/image": image}))).pictures()
    first = next(plain)
    np.testing.assert_array_equal(first.rgb, picture(0))
    assert first.K is None


class Nothing:
    """An estimator that finds nothing and remembers how it was asked."""

    models = ()

    def __init__(self):
        self.cameras = []

    def __call__(self, image, camera, settings):
        self.cameras.append(camera)
        return []


def test_predict_takes_bags(tmp_path):
    path = make(tmp_path / "bag", {"/cam/camera_info": info, "/cam/image_raw": image})
    sources, problems = find_sources([path])
    run = PredictionRun(Nothing(), Settings(), AssumedCamera(), tmp_path / "out")
    assert list(lines(run, sources)) == ["bag: 5 images, something found in 0"]
    assert not problems + run.problems
    write(run, path)
    entries = json.loads((tmp_path / "out" / "predictions.json").read_text())["images"]
    assert [entry["frame"] for entry in entries] == list(range(5))
    assert not any(entry["camera_assumed"] for entry in entries)
    assert all(not camera.distortion.any() for camera in run.estimator.cameras)  # rectified
    assert (tmp_path / "out" / "annotated" / "bag.mp4").stat().st_size > 0


@pytest.mark.parametrize("topics", [{"/cam/camera_info": info, "/cam/image_raw": image}, {"/image": image}])
def test_a_field_of_view_is_assumed_only_of_bags_that_do_not_say_it(topics, tmp_path, capsys):
    path = make(tmp_path / "bag", topics)
    sources, _ = find_sources([path])
    execute(PredictionRun(Nothing(), Settings(), AssumedCamera(), tmp_path / "out"), sources, path)
    assert ("no intrinsics" in capsys.readouterr().err) == ("/image" in topics)
