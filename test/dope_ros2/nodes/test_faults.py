"""Faults of a camera, one after the other over DDS: /diagnostics says each soon, and that it is over."""

import time
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import Log
from sensor_msgs.msg import CameraInfo
from vision_msgs.msg import Detection3DArray

from dope_ros2.nodes.messages import images
from helpers.node_client import info, picture

pytestmark = pytest.mark.ros
FAKE = Path(__file__).resolve().parents[2] / "helpers" / "fake_dope_node.py"
SOON = 1.5  # in which a fault is told, and taken back [s]
SLACK = 1.5  # of a busy machine [s]


@pytest.fixture(scope="module")
def watched(start, observer):
    process = start(FAKE, "--ros-args", "-r", "__ns:=/faulty")
    observer.listen(DiagnosticArray, "/diagnostics")
    observer.listen(Detection3DArray, "/faulty/dope/detections")
    observer.listen(Log, "/rosout", 100)
    return process


def now(observer, msg, back=0.0):
    stamp = observer.node.get_clock().now().nanoseconds - int(1e9 * back)
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp, 10**9)
    return msg


def status(observer):
    ours = [s for m in observer.received["/diagnostics"] for s in m.status if s.name == "/faulty/dope: camera"]
    return ours[-1] if ours else None


def feed(observer, until, make, camera_info=None, timeout=30.0):
    """Publish at 30 Hz until the node's condition is as wanted; returns the seconds it took."""
    begin = time.monotonic()
    while not ((last := status(observer)) and until(last)):
        assert time.monotonic() - begin < timeout, f"last: {last}"
        if camera_info is not None:
            observer.publish(now(observer, camera_info), "/faulty/camera_info")
        if (msg := make()) is not None:
            observer.publish(msg, "/faulty/image_rect")
        observer.spin(1 / 30)
    return time.monotonic() - begin


def is_well(last):
    return last.level == DiagnosticStatus.OK and last.message == "looking at images"


def good(observer):
    return lambda: now(observer, picture(0))


def broken(observer, kind):
    def make():
        msg = now(observer, picture(0), back=5.0 if kind == "old" else 0.0)
        if kind == "encoding":
            msg.encoding = "rgb9"
        if kind == "half":
            msg.data = msg.data[: len(msg.data) // 2]
        if kind == "crash":
            rgb = np.full((48, 64, 3), 255, np.uint8)
            msg = now(observer, images.array_to_image(rgb, msg.header))
        return None if kind == "unplugged" else msg

    return make


FAULTS = {
    "unplugged": (info(), "no image for"),
    "encoding": (info(), "encoding 'rgb9' is not supported"),
    "half": (info(), "an image of 64x48 rgb8 with step 192 needs 9216 bytes, it has 4608"),
    "old": (info(), "images are 5."),
    "crash": (info(), "an image could not be looked at"),
    "other camera": (info(width=100, height=100), "does not fit"),
    "no calibration": (CameraInfo(width=64, height=48), "focal lengths 0 and 0"),
}


def test_before_the_first_image_the_camera_is_missed(watched, observer):
    observer.until(lambda: status(observer) and status(observer).level == DiagnosticStatus.ERROR, "an error")
    assert "no image yet" in status(observer).message
    assert status(observer).hardware_id == "/faulty/image_rect"


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_told_and_taken_back_soon(watched, observer, kind):
    camera_info, text = FAULTS[kind]
    feed(observer, is_well, good(observer), info())
    observer.received["/diagnostics"].clear()
    told = feed(observer, lambda last: text in last.message, broken(observer, kind), camera_info)
    assert status(observer).level in (DiagnosticStatus.ERROR, DiagnosticStatus.WARN)
    observer.received["/diagnostics"].clear()
    taken_back = feed(observer, is_well, good(observer), info())
    assert told < SOON + SLACK
    assert taken_back < SOON + SLACK
    assert watched.alive


def test_another_resolution_is_just_another_picture(watched, observer):
    feed(observer, is_well, good(observer), info())
    received = observer.received["/faulty/dope/detections"]
    before = len(received)
    for _ in range(30):
        observer.publish(now(observer, picture(0, width=32, height=24)), "/faulty/image_rect")
        observer.spin(1 / 30)
    assert len(received) > before
    assert is_well(status(observer))


def test_a_clock_that_jumps_back_does_not_stop_it(watched, observer):
    feed(observer, is_well, good(observer), info())
    received = observer.received["/faulty/dope/detections"]
    before = len(received)
    for _ in range(30):
        observer.publish(now(observer, picture(0), back=3600.0), "/faulty/image_rect")
        observer.spin(1 / 30)
    assert len(received) > before
    assert feed(observer, is_well, good(observer), info()) < SOON + SLACK


def test_a_flood_is_answered_with_the_newest_pictures(watched, observer):
    feed(observer, is_well, good(observer), info())
    received = observer.received["/faulty/dope/detections"]
    received.clear()
    for _ in range(240):
        observer.publish(now(observer, picture(0)), "/faulty/image_rect")
        observer.spin(1 / 120)
    told = status(observer)  # soon after it, the camera is silent
    observer.spin(0.5)
    assert len(received) > 20
    assert is_well(told)


def test_it_ends_cleanly_in_the_middle_of_all_that(watched, observer):
    for _ in range(5):
        observer.publish(now(observer, picture(0)), "/faulty/image_rect")
    assert watched.terminate() == 0
    told = [line for line in watched.output.splitlines() if "Traceback" in line]
    assert len(told) <= watched.count("could not be looked at")
