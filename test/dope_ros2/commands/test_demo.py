"""`dope demo`: three processes over DDS, run here on a scene of blank images with untrained weights."""

import json
import os

import cv2
import numpy as np
import pytest

from dope_ros2.io.videos import Video
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import save

pytest.importorskip("rclpy", reason="needs ROS 2")
from dope_ros2.commands.demo import main, tell
from dope_ros2.harness.live_system import environment

FRAMES = 6


@pytest.fixture
def out(tmp_path):
    """A demo folder whose scene is there already: grey images that are said to hold one carton each."""
    rgb = tmp_path / "scene" / "rgb"
    rgb.mkdir(parents=True)
    keys = [str(i) for i in range(FRAMES)]
    for i in range(FRAMES):
        cv2.imwrite(str(rgb / f"{i:06d}.jpg"), np.full((120, 160, 3), 100 + i, np.uint8))
    camera = {"cam_K": [150, 0, 79.5, 0, 150, 59.5, 0, 0, 1], "depth_scale": 1.0}
    carton = {"obj_id": 101, "cam_R_m2c": [1, 0, 0, 0, 1, 0, 0, 0, 1], "cam_t_m2c": [0, 0, 700]}
    (rgb.parent / "scene_camera.json").write_text(json.dumps(dict.fromkeys(keys, camera)))
    (rgb.parent / "scene_gt.json").write_text(json.dumps({key: [carton] for key in keys}))
    return tmp_path


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "untrained.safetensors"
    carton = TrainedObject(name="carton", size=(0.16, 0.11, 0.06))
    save(path, make_network("dope-lite", 1), Metadata(architecture="dope-lite", objects=(carton,), input_height=0))
    return str(path)


@pytest.mark.ros
@pytest.mark.slow
def test_the_demo_hears_the_node_draws_every_picture_and_fails_when_nothing_is_found(out, weights, capfd):
    assert main(["--out", str(out), "--weights", weights, "--rate", "2", "--device", "cpu"]) == 1
    report = json.loads((out / "report.json").read_text())
    assert 1 <= report["answered"] <= report["frames"] <= FRAMES  # a busy machine may drop some
    assert report["truths"] == report["answered"]
    assert report["recall"] == 0
    assert report["latency_p50_ms"] > 0
    assert len(list(Video(out / "demo.mp4"))) == FRAMES
    assert "recall       0" in capfd.readouterr().out


@pytest.mark.ros
def test_missing_weights_are_told_before_anything_starts(out, capsys):
    assert main(["--out", str(out), "--weights", str(out / "none.safetensors")]) == 2
    assert "none.safetensors: no such weights file" in capsys.readouterr().err
    assert not (out / "logs").exists()


def test_the_processes_share_a_ros_domain_that_stays_on_this_machine(monkeypatch):
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", "0")
    variables = environment()
    assert 1 <= int(variables["ROS_DOMAIN_ID"]) <= 101
    assert variables["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_LOCALHOST_ONLY" not in variables
    for pair in ("LD_LIBRARY_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"):
        assert (pair in variables) == (pair in os.environ)


def test_figures_that_could_not_be_measured_are_dashes():
    report = dict.fromkeys(
        ["recall", "translation_error", "rotation_error_deg", "fps", "latency_p50_ms", "latency_p95_ms"]
    ) | {"found": 0, "truths": 0, "false_positives": 0, "dropped": 0, "frames": 0}
    assert tell(report).count("-") >= 6
