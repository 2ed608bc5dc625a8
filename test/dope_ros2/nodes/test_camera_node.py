"""camera_node over DDS, and the whole chain camera -> dope -> monitor in three processes."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image
from vision_msgs.msg import Detection3DArray

from dope_ros2.geometry.camera import CameraModel, load_camera
from dope_ros2.geometry.pose import Pose
from dope_ros2.io import camera_info
from dope_ros2.io.messages import read_image
from dope_ros2.nodes.messages import detections

pytestmark = pytest.mark.ros
FAKE = Path(__file__).resolve().parents[2] / "helpers" / "fake_dope_node.py"
CAMERA = ("-m", "dope_ros2.nodes.camera_node", "--ros-args")
K = [600.0, 0, 31.5, 0, 600.0, 23.5, 0, 0, 1]
CALIBRATION = """
image_width: 64
image_height: 48
camera_matrix: {rows: 3, cols: 3, data: [80, 0, 31.5, 0, 80, 23.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.3, 0.05, 0, 0, 0]}
"""


def write_images(folder, count):
    folder.mkdir(parents=True)
    for number in range(count):
        bgr = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        bgr = cv2.resize(bgr, (64, 48), interpolation=cv2.INTER_NEAREST)
        bgr[0, 0] = (number, 0, 1)  # red 1: the fake node finds one carton
        cv2.imwrite(str(folder / f"{number:06d}.png"), bgr)


def write_scene(folder, count, wrong=()):
    """Images in which the fake node's carton is the truth, except in those that are `wrong`."""
    write_images(folder / "rgb", count)
    right = Pose.from_rotvec([0, 0, 0.5], [0, 0, 0.6])
    cameras = {str(i): {"cam_K": K, "depth_scale": 1.0} for i in range(count)}
    truths = {str(i): [truth(right.rotation, [0, 0, 900 if i in wrong else 600])] for i in range(count)}
    infos = {str(i): [{"visib_fract": 0.9}] for i in range(count)}
    for name, content in (("camera", cameras), ("gt", truths), ("gt_info", infos)):
        (folder / f"scene_{name}.json").write_text(json.dumps(content))


def truth(rotation, millimetres):
    return {"obj_id": 101, "cam_R_m2c": rotation.ravel().tolist(), "cam_t_m2c": millimetres}


def by_stamp(received):
    return {(m.header.stamp.sec, m.header.stamp.nanosec): m for m in received}


def test_a_folder_is_published_rectified_with_its_calibration_and_the_node_ends(start, observer, tmp_path):
    write_images(tmp_path / "images", 5)
    (tmp_path / "calibration.yaml").write_text(CALIBRATION)
    for topic, kind in (("image_rect", Image), ("image_raw", Image), ("camera_info", CameraInfo)):
        observer.listen(kind, f"/folder/{topic}")
    settings = {"source": tmp_path / "images", "calibration": tmp_path / "calibration.yaml", "frame_id": "eye"}
    settings |= {"publish_raw": "true", "wait_for_subscribers": 1, "fps": 20}
    arguments = [word for name, value in settings.items() for word in ("-p", f"{name}:={value}")]
    process = start(*CAMERA, "-r", "__ns:=/folder", *arguments)
    observer.until(lambda: not process.alive, "the end of the folder")
    assert process.wait() == 0
    observer.spin(0.2)
    rect, raw, info = (by_stamp(observer.received[f"/folder/{t}"]) for t in ("image_rect", "image_raw", "camera_info"))
    stamps = rect.keys() & raw.keys() & info.keys()
    assert len(stamps) >= 3
    camera = load_camera(tmp_path / "calibration.yaml")
    for stamp in stamps:
        expected = cv2.undistort(read_image(raw[stamp]), camera.K, camera.distortion)
        np.testing.assert_array_equal(read_image(rect[stamp]), expected)
        np.testing.assert_array_equal(camera_info.read(info[stamp]).K, camera.K)
        assert rect[stamp].header.frame_id == info[stamp].header.frame_id == "eye"
    assert any((read_image(rect[s]) != read_image(raw[s])).any() for s in stamps)


def test_without_calibration_the_field_of_view_is_a_guess_that_is_told_once(start, observer, tmp_path):
    write_images(tmp_path / "images", 3)
    observer.listen(CameraInfo, "/guess/camera_info")
    arguments = ["-p", f"source:={tmp_path}/images", "-p", "hfov:=90.0", "-p", "loop:=true"]
    process = start(*CAMERA, "-r", "__ns:=/guess", *arguments)
    observer.until(lambda: len(observer.received["/guess/camera_info"]) > 4, "more images than there are files")
    assert observer.received["/guess/camera_info"][0].p[0] == pytest.approx(32)
    assert process.count("90 degrees is assumed") == 1
    assert process.terminate() == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("source:=97", "camera 97: cannot be opened"),
        ("wait_for_subscribers:=101.0", "out of range"),
        ("fps:=true", "expecting type"),
        ("frame_id:=1.5", "expecting type"),
        ("hfov:=200", "out of range"),
    ],
)
def test_a_number_may_lack_its_point_or_its_quotes_but_not_be_something_else(start, given, words):
    process = start(*CAMERA, "-p", given)
    assert process.wait() == 2
    assert words in process.output


def test_a_scene_brings_its_camera_and_the_truth_with_the_stamp_of_the_image(start, observer, tmp_path):
    write_scene(tmp_path, 4)
    observer.listen(Image, "/scene/image_rect")
    observer.listen(CameraInfo, "/scene/camera_info")
    observer.listen(Detection3DArray, "/scene/camera/ground_truth")
    arguments = ["-p", f"source:={tmp_path}", "-p", "wait_for_subscribers:=1"]
    process = start(*CAMERA, "-r", "__ns:=/scene", *arguments)
    assert observer.until(lambda: not process.alive, "the end of the scene") is None
    truths = by_stamp(observer.received["/scene/camera/ground_truth"])
    both = truths.keys() & by_stamp(observer.received["/scene/image_rect"]).keys()
    assert both
    [read] = detections.msg_to_detections(truths[both.pop()], {})
    assert (read.model.name, read.score) == ("carton", 0.9)
    np.testing.assert_allclose(read.pose.translation, [0, 0, 0.6])
    camera = camera_info.read(observer.received["/scene/camera_info"][0])
    np.testing.assert_array_equal(camera.K, CameraModel(np.reshape(K, (3, 3)), 64, 48).K)


@pytest.fixture(scope="module")
def dope(start):
    return start(FAKE, "--ros-args", "-r", "__ns:=/chain")


@pytest.mark.parametrize(("wrong", "status"), [((), 0), ((0, 2, 4, 6), 1)])
def test_camera_dope_and_monitor_agree_on_what_is_found(start, dope, tmp_path, wrong, status):
    write_scene(tmp_path, 8, wrong)
    options = ["--truth", "/chain/camera/ground_truth", "--detections", "/chain/dope/detections", "--frames", 24]
    options += ["--grace", 5, "--timeout", 150, "--min-recall", 0.8, "--json", tmp_path / "figures.json"]
    monitor = start("-m", "dope_ros2.nodes.monitor_node", *options)
    arguments = ["-p", f"source:={tmp_path}", "-p", "wait_for_subscribers:=1", "-p", "fps:=4.0", "-p", "loop:=true"]
    camera = start(*CAMERA, "-r", "__ns:=/chain", *arguments)
    assert monitor.wait(180) == status
    assert camera.terminate() == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["frames"] == 24
    assert figures["answered"] >= 4  # a busy machine may leave images out
    assert figures["recall"] < 0.8 if wrong else figures["recall"] == 1.0
    assert figures["translation_error"] < 0.02
    assert figures["latency_p50_ms"] > 0
    assert "recall" in monitor.output
    assert dope.alive


def test_a_broken_calibration_is_one_line_and_status_2(start, tmp_path):
    write_images(tmp_path / "images", 1)
    (tmp_path / "calibration.yaml").write_text("image_width: 64\n")
    arguments = ["-p", f"source:={tmp_path}/images", "-p", f"calibration:={tmp_path}/calibration.yaml"]
    process = start(*CAMERA, *arguments)
    assert process.wait() == 2
    [line] = process.output.splitlines()
    assert "calibration.yaml: not a camera_info YAML" in line
