"""dope_node over DDS: processes of their own, real rclpy."""

import time
from pathlib import Path

import numpy as np
import pytest
from dope_msgs.msg import ObjectInfoArray
from geometry_msgs.msg import PoseArray
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import Marker, MarkerArray

from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import save
from dope_ros2.nodes.base.node import REPEAT_AFTER
from dope_ros2.objects.object_model import load_objects
from helpers.node_client import answer, header, info, picture, set_parameter

pytestmark = pytest.mark.ros
FAKE = Path(__file__).resolve().parents[2] / "helpers" / "fake_dope_node.py"
REPO = Path(__file__).resolve().parents[3]
CAMERAS = ["late", "changed", "zeros", "encoding", "size", "shape"]


@pytest.fixture(scope="module")
def one(start, observer):
    """A node with one camera and every output heard; poses are as measured."""
    process = start(FAKE, "--ros-args", "-p", "smoothing:=0.0")
    kinds = {"detections": Detection3DArray, "poses": PoseArray, "markers": MarkerArray, "image_annotated": Image}
    for name, kind in kinds.items():
        observer.listen(kind, f"/dope/{name}")
    observer.listen(TFMessage, "/tf", 100)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    observer.listen(ObjectInfoArray, "/dope/object_info", latched)
    observer.spin(0.5)
    return process


@pytest.fixture(scope="module")
def several(start, observer):
    """A node with a camera for each fault."""
    process = start(FAKE, "--ros-args", "-r", "__node:=several", "-p", f"cameras:={CAMERAS}")
    observer.listen(Detection3DArray, "/several/detections")
    return process


def headers(topic, msg):
    if topic == "/tf":
        return [t.header for t in msg.transforms]
    if topic == "/dope/markers":
        return [m.header for m in msg.markers]
    if topic == "/dope/detections":
        return [msg.header, *(d.header for d in msg.detections)]
    return [msg.header]


def test_every_output_has_stamp_and_frame_of_the_image(one, observer):
    sent = picture(1, count=2)
    answer(observer, sent)
    topics = ["/dope/detections", "/dope/poses", "/dope/markers", "/tf", "/dope/image_annotated"]
    observer.until(lambda: all(observer.received[topic] for topic in topics), "all topics")
    for topic in topics:
        for found in headers(topic, observer.received[topic][-1]):
            assert found == sent.header, topic


def test_detections_carry_the_pose_that_belongs_to_P_of_the_camera_info(one, observer):
    found = answer(observer, picture(2, count=2))
    assert [d.results[0].hypothesis.class_id for d in found.detections] == ["carton", "carton"]
    assert [d.results[0].hypothesis.score for d in found.detections] == pytest.approx([0.9, 0.7])
    pose = found.detections[0].results[0].pose
    assert pose.pose.position.z == pytest.approx(0.6)
    assert pose.covariance[0] == pytest.approx(0.01)
    centre = found.detections[0].bbox.center.position
    assert (centre.x, centre.y) == pytest.approx((0.01 * np.cos(0.5), 0.01 * np.sin(0.5)))


def test_frames_and_ids_are_named_after_class_and_track(one, observer):
    observer.received["/tf"].clear()
    found = answer(observer, picture(3, count=2))
    observer.until(lambda: observer.received["/tf"], "/tf")
    assert [t.child_frame_id for t in observer.received["/tf"][-1].transforms] == ["carton_0", "carton_1"]
    assert [d.id for d in found.detections] == ["carton_0", "carton_1"]


def test_nothing_seen_gives_an_empty_array_and_removes_the_markers(one, observer):
    answer(observer, picture(4, count=1))
    observer.until(lambda: observer.received["/dope/markers"], "markers")
    found = answer(observer, picture(5, count=0))
    assert list(found.detections) == []
    observer.spin(0.3)
    deleted = [m for msg in observer.received["/dope/markers"] for m in msg.markers if m.header == header(5)]
    assert deleted
    assert {marker.action for marker in deleted} == {Marker.DELETE}


def test_an_image_of_half_the_size_gives_half_the_focal_length(one, observer):
    found = answer(observer, picture(6, width=32, height=24))
    assert found.detections[0].results[0].pose.pose.position.z == pytest.approx(0.3)


def test_what_is_known_about_the_objects_is_latched(one, observer):
    observer.until(lambda: observer.received["/dope/object_info"], "object_info")
    carton, mustard = observer.received["/dope/object_info"][0].objects
    assert (carton.class_id, carton.number, carton.centre.x) == ("carton", 101, 0.01)
    assert (mustard.size.x, mustard.size.z) == (0.10, 0.19)


def test_a_threshold_set_while_the_node_runs_holds_from_then_on(one, observer):
    assert set_parameter(observer, "min_score", 0.8).successful
    assert len(answer(observer, picture(7, count=3)).detections) == 1
    assert set_parameter(observer, "min_score", 0.3).successful
    assert len(answer(observer, picture(8, count=3)).detections) == 3


def test_a_threshold_out_of_range_and_another_device_are_refused(one, observer):
    assert not set_parameter(observer, "min_score", 1.5).successful
    assert not set_parameter(observer, "device", "cuda").successful


def assert_told_once(process, text, begin):
    """One line, and on a machine so slow that the fault lasted longer, one more every QUIET_S."""
    assert 1 <= process.count(text) <= 1 + (time.monotonic() - begin) // REPEAT_AFTER


def test_a_late_camera_info_is_told_once_and_then_serves(several, observer):
    begin = time.monotonic()
    for number in range(300):  # on a busy machine the node may still be starting
        observer.publish(picture(20 + number), "/late/image_rect")
        observer.spin(0.1)
        if number >= 5 and several.count("/late/camera_info: no camera_info yet"):
            break
    assert_told_once(several, "/late/camera_info: no camera_info yet", begin)
    assert len(answer(observer, picture(400), "/late", answers="/several/detections").detections) == 1


def test_a_changed_camera_info_holds_for_the_next_image(several, observer):
    for number, focal in enumerate((500.0, 700.0)):
        found = answer(observer, picture(40 + number), "/changed", info(focal), "/several/detections")
        assert found.detections[0].results[0].pose.pose.position.z == pytest.approx(focal / 1000)


def broken(name):
    msg = picture(50)
    if name == "encoding":
        msg.encoding = "rgb9"
    if name == "size":
        msg.height += 1
    return picture(50, width=48) if name == "shape" else msg


FAULTS = {
    "zeros": (CameraInfo(width=64, height=48), "/zeros/camera_info: P has focal lengths 0 and 0"),
    "encoding": (info(), "/encoding/image_rect: encoding 'rgb9' is not supported"),
    "size": (info(), "/size/image_rect: an image of 64x49 rgb8 with step 192 needs 9408 bytes, it has 9216"),
    "shape": (info(), "/shape/image_rect: an image of 48x48 does not fit /shape/camera_info"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_gives_one_line_and_the_node_lives_on(several, observer, name):
    bad_info, text = FAULTS[name]
    begin = time.monotonic()
    for _ in range(5):
        observer.publish(bad_info, f"/{name}/camera_info")
        observer.spin(0.1)
        observer.publish(broken(name), f"/{name}/image_rect")
        observer.spin(0.1)
    assert_told_once(several, text, begin)
    sent = picture(60 + list(FAULTS).index(name))
    assert len(answer(observer, sent, f"/{name}", answers="/several/detections").detections) == 1
    assert several.alive
    assert "Traceback" not in several.output


def test_missing_weights_are_one_line_and_status_2(start, tmp_path):
    process = start("-m", "dope_ros2.nodes.dope_node", "--ros-args", "-p", f"weights:={tmp_path}/none.safetensors")
    assert process.wait() == 2
    [line] = process.output.splitlines()
    assert f"{tmp_path}/none.safetensors: no such weights file" in line


def test_weights_of_the_package_s_objects_run_behind_the_node(start, observer, tmp_path):
    carton = load_objects()["carton"]
    trained = TrainedObject(name="carton", size=carton.size, centre=carton.centre)
    save(
        tmp_path / "w.safetensors", make_network("dope-lite", 1), Metadata(architecture="dope-lite", objects=(trained,))
    )
    parameters = REPO / "config" / "dope.yaml"
    arguments = ["-r", "__ns:=/real", "--params-file", parameters, "-p", f"weights:={tmp_path}/w.safetensors"]
    process = start("-m", "dope_ros2.nodes.dope_node", "--ros-args", *arguments)
    observer.listen(Detection3DArray, "/real/dope/detections")
    found = answer(observer, picture(70), "/real", answers="/real/dope/detections")
    assert found.header == header(70)
    assert process.count("looking for carton in /real/image_rect") == 1


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("objects:=['cartom']", "parameter objects: the weights know no 'cartom'; did you mean 'carton'?"),
        ("min_score:=7.0", "min_score out of range"),
        ("min_score:=high", "of type 'STRING', expecting type 'DOUBLE'"),
    ],
)
def test_a_wrong_parameter_is_one_line_and_status_2(start, setting, text):
    process = start(FAKE, "--ros-args", "-r", "__ns:=/wrong", "-p", setting)
    assert process.wait() == 2
    [line] = process.output.splitlines()
    assert text in line


def test_sigterm_ends_the_node_with_status_0(one, several):
    assert one.terminate() == 0
    assert several.terminate() == 0
    assert "Traceback" not in one.output + several.output
