"""Depth beside the images of dope_node, over DDS: it corrects ranges, and whatever is wrong with it does no harm."""

from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from dope_msgs.action import DetectObjects
from rclpy.action import ActionClient
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection3DArray

from helpers.node_client import FRAME, header, info, picture

pytestmark = pytest.mark.ros
FAKE = Path(__file__).resolve().parents[3] / "helpers" / "fake_dope_node.py"
TOPIC = "/deep/depth_registered/image_rect"
CLAIMED = 0.6  # range of the fake's carton with the camera_info of these tests [m]
SURFACE = 0.03  # its surface is so much nearer [m]
MEASURED = 0.56  # range of the carton by depth [m]
LEFT = 0.4  # what is left of the difference, since the box of an object without a mesh is trusted less


@pytest.fixture(scope="module")
def deep(start, observer):
    options = ("__ns:=/deep", "depth:=depth_registered/image_rect", "tracking:=false")
    process = start(FAKE, "--ros-args", "-r", options[0], *(part for text in options[1:] for part in ("-p", text)))
    observer.listen(Detection3DArray, "/deep/dope/detections")
    observer.listen(DiagnosticArray, "/diagnostics")
    return process


def depth(number, metres=MEASURED - SURFACE, width=64, height=48, encoding="32FC1", late=0.0):
    """A wall at this distance, `late` seconds after image `number`."""
    kind, unit = {"32FC1": (np.float32, 1.0), "16UC1": (np.uint16, 1e-3), "8UC1": (np.uint8, 1.0)}[encoding]
    rows = np.full((height, width), round(metres / unit, 6)).astype(kind)
    msg = Image(header=header(number), width=width, height=height, encoding=encoding, step=width * rows.itemsize)
    late += 1e-9 * msg.header.stamp.nanosec
    msg.header.stamp.sec, msg.header.stamp.nanosec = 1000 + number + int(late // 1), round(1e9 * (late % 1))
    msg.data.frombytes(rows.tobytes())
    return msg


def ask(observer, number, *depths, wanted=lambda z: True):
    """Publish depth images, camera_info and the image until the answer is as wanted; returns its range."""
    ranges = []
    for _ in range(60):
        for msg in depths:
            observer.publish(msg, TOPIC)
        observer.publish(info(), "/deep/camera_info")
        observer.spin(0.1)
        observer.publish(picture(number), "/deep/image_rect")
        observer.spin(0.2)
        answers = [a for a in observer.received["/deep/dope/detections"] if a.header.stamp.sec == 1000 + number]
        ranges = [a.detections[0].results[0].pose.pose.position.z for a in answers]
        if ranges and wanted(ranges[-1]):
            return ranges[-1]
    raise AssertionError(f"answers: {ranges}")


def status(observer):
    ours = [s for m in observer.received["/diagnostics"] for s in m.status if s.name == "/deep/dope: depth"]
    return ours[-1] if ours else None


def says(observer, text, level=DiagnosticStatus.WARN):
    observer.received["/diagnostics"].clear()
    observer.until(lambda: (s := status(observer)) and text in s.message and s.level == level, f"{text!r}", 15)


def is_corrected(z):
    return abs(z - MEASURED) < LEFT * abs(CLAIMED - MEASURED)


def test_without_depth_the_colour_is_answered_at_once_and_diagnostics_say_so(deep, observer):
    assert ask(observer, 1) == pytest.approx(CLAIMED)
    says(observer, "no depth yet")
    assert deep.count("no depth yet") >= 1


def test_depth_corrects_ranges(deep, observer):
    for number, encoding in enumerate(("32FC1", "16UC1"), 10):
        ask(observer, number, depth(number, encoding=encoding), wanted=is_corrected)
        says(observer, "correcting ranges", DiagnosticStatus.OK)
    values = {value.key: value.value for value in status(observer).values}
    assert int(values["corrected"]) >= 2
    assert values["topic"] == status(observer).hardware_id == TOPIC


def test_of_several_depth_images_the_nearest_in_time_counts(deep, observer):
    others = [depth(20, 0.5, late=late) for late in (-0.04, 0.04, 0.3)]
    assert is_corrected(ask(observer, 20, others[0], depth(20), *others[1:]))
    assert is_corrected(ask(observer, 21, depth(21, late=0.02)))


def test_depth_that_comes_while_its_image_is_looked_at_counts(deep, observer):
    for number in range(22, 30):  # best effort may lose one
        msg = picture(number)
        msg.data[2] = 80
        observer.publish(msg, "/deep/image_rect")
        observer.spin(0.3)
        observer.publish(depth(number), TOPIC)
        observer.spin(2.0)
        last = observer.received["/deep/dope/detections"][-1]
        if last.header.stamp.sec == 1000 + number:
            assert is_corrected(last.detections[0].results[0].pose.pose.position.z)
            return
    raise AssertionError("no answer")


def test_half_the_size_serves_as_well(deep, observer):
    assert is_corrected(ask(observer, 30, depth(30, width=32, height=24)))


FAULTS = {
    "too old": ({"late": -0.2}, "no depth within 0.05 s of the image"),
    "other proportions": ({"width": 50}, "an image of 50x48 does not fit"),
    "encoding": ({"encoding": "8UC1"}, "encoding '8UC1' is not one of depth"),
    "half an image": ({}, "needs 12288 bytes, it has 6144"),
    "other frame": ({}, f"its frame is 'elsewhere', that of /deep/image_rect '{FRAME}'"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_depth_is_told_and_leaves_the_answers(deep, observer, kind):
    number = 40 + 2 * list(FAULTS).index(kind)
    changes, text = FAULTS[kind]
    msg = depth(number, **changes)
    if kind == "half an image":
        msg.data = msg.data[: len(msg.data) // 2]
    if kind == "other frame":
        msg.header.frame_id = "elsewhere"
    assert ask(observer, number, msg) == pytest.approx(CLAIMED)
    says(observer, text)
    assert is_corrected(ask(observer, number + 1, depth(number + 1)))
    says(observer, "correcting ranges", DiagnosticStatus.OK)


def test_depth_without_the_object_leaves_the_answers_and_is_no_fault(deep, observer):
    for number, metres in ((60, 0.0), (61, np.nan), (62, 5.0)):
        assert ask(observer, number, depth(number, metres)) == pytest.approx(CLAIMED)
        says(observer, "correcting ranges", DiagnosticStatus.OK)


def test_a_goal_is_answered_with_corrected_ranges(deep, observer):
    client = ActionClient(observer.node, DetectObjects, "/deep/dope/detect")
    assert client.wait_for_server(30)
    sent = client.send_goal_async(DetectObjects.Goal())
    observer.until(sent.done, "the goal's acceptance")
    result = sent.result().get_result_async()
    for _ in range(60):
        if not result.done():
            ask(observer, 70, depth(70))
    assert is_corrected(result.result().result.detections.detections[0].results[0].pose.pose.position.z)


def test_it_ends_cleanly(deep, observer):
    assert deep.terminate() == 0
    assert "Traceback" not in deep.output
    assert deep.count("depth trusts the box of carton") == 1
