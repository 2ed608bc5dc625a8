"""`dope view` over DDS: it finds the camera that a node listens to, and shows its images with their answers."""

from pathlib import Path

import numpy as np
import pytest
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose

from helpers.node_client import answer, header, info, picture
from helpers.rerun_recording import held

pytest.importorskip("rerun", reason="needs rerun: pip install rerun-sdk")
pytestmark = [pytest.mark.ros, pytest.mark.slow]

FAKE = Path(__file__).resolve().parents[2] / "helpers" / "fake_dope_node.py"
REMAPPED = ["--ros-args", "-r", "image_rect:=/eye/image_rect", "-r", "camera_info:=/eye/camera_info"]
FOCAL = 600.0


@pytest.fixture(scope="module")
def recording(start, observer, tmp_path_factory):
    """What is left of a viewer that has seen a node answer three images, and one without a node."""
    out = tmp_path_factory.mktemp("view") / "new" / "out.rrd"
    observer.listen(Detection3DArray, "/dope/detections")
    node = start(FAKE, *REMAPPED)
    viewer = start("-m", "dope_ros2.cli", "view", "--save", out, "--rate", "1000")
    for topic in ("image_rect", "camera_info"):
        observer.publish(info() if topic == "camera_info" else picture(0), f"/eye/{topic}")
    observer.until(lambda: "showing /eye/image_rect" in viewer.output, "the viewer to find the camera")
    for number in (1, 2, 3):
        answer(observer, picture(number, count=2), "/eye", info(FOCAL))
        observer.spin(1.0)
    node.kill()
    nonsense = Detection3DArray(header=header(8))
    nonsense.detections = [Detection3D(results=[ObjectHypothesisWithPose()])]
    nonsense.detections[0].results[0].pose.pose.orientation.w = 0.0
    observer.publish(nonsense, "/dope/detections", 10)
    observer.until(lambda: "norm" in viewer.output, "the viewer to say what is wrong")
    for _ in range(60):
        observer.publish(picture(9), "/eye/image_rect")
        observer.spin(0.1)
    assert viewer.interrupt() == 0, viewer.output
    assert [file.name for file in out.parent.iterdir()] == ["out.rrd"]
    return held(out)


def stamp(number):
    return header(number).stamp.sec + 1e-9 * header(number).stamp.nanosec


def at(columns, number, name):
    return [v for t, v in zip(columns["stamp"], columns[name], strict=True) if abs(t - stamp(number)) < 1e-6 and v]


def test_pictures_are_shown_with_the_boxes_that_were_found_in_them(recording):
    for number in (1, 2, 3):
        assert at(recording["/camera/image"], number, "Image:buffer"), number
        assert len(at(recording["/camera/boxes"], number, "LineStrips2D:strips")[-1]) == 2 * (12 + 3)
        labels = at(recording["/scene/boxes"], number, "Boxes3D:labels")[-1]
        assert [label.split()[0] for label in labels] == ["carton_0", "carton_1"]


def test_the_camera_is_that_of_camera_info_and_boxes_are_where_the_node_says(recording):
    K = np.reshape(recording["/camera"]["Pinhole:image_from_camera"][-1], (3, 3)).T
    np.testing.assert_allclose([K[0, 0], K[1, 1], K[0, 2]], [FOCAL, FOCAL, 31.5 + 0.5])
    depths = np.array(at(recording["/scene/boxes"], 1, "Boxes3D:centers")[-1])[:, 2]
    np.testing.assert_allclose(depths, FOCAL / 1000, atol=1e-6)


def test_latencies_and_the_nodes_diagnostics_are_there(recording):
    assert len(recording["/latency/answer"]["Scalars:scalars"]) >= 3
    assert "/latency/p50/time" in recording
    texts = [text for [text] in recording["/diagnostics"]["TextLog:text"]]
    assert any("compare the machines' clocks" in text for text in texts), texts  # the test's stamps are of 1970


def test_when_the_node_is_gone_pictures_go_on_without_boxes(recording):
    assert at(recording["/camera/image"], 9, "Image:buffer")
    assert not at(recording["/camera/boxes"], 9, "LineStrips2D:strips")
