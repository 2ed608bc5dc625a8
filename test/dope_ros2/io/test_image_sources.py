import json
from itertools import islice
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from dope_ros2.common.errors import UserError
from dope_ros2.io.image_sources import endless, open_source
from dope_ros2.io.videos import VideoWriter


def grey(level):
    return np.full((48, 64, 3), level, np.uint8)


def levels(pictures):
    return [int(picture.rgb[0, 0, 0]) for picture in pictures]


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    for number in (10, 9, 2):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), grey(number))
    assert levels(open_source(str(tmp_path)).pictures()) == [2, 9, 10]


def test_an_endless_source_starts_again(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), grey(1))
    cv2.imwrite(str(tmp_path / "b.png"), grey(2))
    assert levels(islice(endless(open_source(str(tmp_path))), 5)) == [1, 2, 1, 2, 1]


def test_a_video_has_its_own_rate(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", 12) as writer:
        for _ in range(4):
            writer.write(grey(100))
    source = open_source(str(tmp_path / "v.mp4"))
    assert source.rate == pytest.approx(12)
    assert levels(source.pictures()) == pytest.approx([100] * 4, abs=8)


def test_a_bop_scene_brings_its_camera_and_truth_in_metres(tmp_path):
    (tmp_path / "rgb").mkdir()
    cv2.imwrite(str(tmp_path / "rgb" / "000003.png"), grey(7))
    K = [500, 0, 31.5, 0, 500, 23.5, 0, 0, 1]
    (tmp_path / "scene_camera.json").write_text(json.dumps({"3": {"cam_K": K, "depth_scale": 1.0}}))
    truth = {"obj_id": 101, "cam_R_m2c": np.eye(3).ravel().tolist(), "cam_t_m2c": [0, 0, 800]}
    (tmp_path / "scene_gt.json").write_text(json.dumps({"3": [truth]}))
    (tmp_path / "scene_gt_info.json").write_text(json.dumps({"3": [{"visib_fract": 0.75}]}))
    source = open_source(str(tmp_path))
    [picture] = source.pictures()
    assert source.has_truth
    assert picture.K[0, 0] == 500
    assert picture.truth[0].visibility == 0.75
    np.testing.assert_allclose(picture.truth[0].pose.translation, [0, 0, 0.8])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nothing", "no such file or folder; give a webcam"),
        ("", "no such file or folder"),
        ("empty", "has no images"),
        ("notes.txt", "neither a video nor an image"),
        ("broken.mp4", "not a readable video"),
        ("/dev/video77", "camera /dev/video77: cannot be opened"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, monkeypatch, name, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match=text) as caught:
        open_source(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", [4, 5])
def test_a_webcam_is_opened_with_the_logging_of_either_opencv(version, monkeypatch):
    levels_set, logging = [], SimpleNamespace(setLogLevel=lambda level: levels_set.append(level))
    if version == 4:
        monkeypatch.setattr(cv2, "utils", SimpleNamespace())
        monkeypatch.setattr(cv2, "setLogLevel", logging.setLogLevel, raising=False)
    else:
        monkeypatch.setattr(cv2, "utils", SimpleNamespace(logging=logging))
        monkeypatch.delattr(cv2, "setLogLevel", raising=False)
    with pytest.raises(UserError, match="camera 97: cannot be opened"):
        open_source("97")
    assert levels_set == [2]
