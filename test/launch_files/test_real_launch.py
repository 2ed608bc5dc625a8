"""The launch files with ROS's own launch: nodes over DDS, arguments, Ctrl-C in a terminal."""

import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from helpers import real_launch

real_launch.require()

from rcl_interfaces.srv import GetParameters  # noqa: E402
from vision_msgs.msg import Detection3DArray  # noqa: E402

from helpers.node_client import call  # noqa: E402

pytestmark = pytest.mark.ros
IMAGE = Path(__file__).resolve().parents[2] / "docs/images/demo.jpg"
LAUNCH = ("ros2", "launch", "dope_ros2")
ROUNDS = int(os.environ.get("DOPE_INTERRUPTS", "1"))


@pytest.fixture
def terminal():
    opened = []

    def launch(*arguments):
        opened.append(real_launch.Terminal(*LAUNCH, *arguments))
        return opened[-1]

    yield launch
    for each in opened:
        each.close()


def found(observer, terminal, topic):
    """Wait for poses on a topic."""
    observer.listen(Detection3DArray, topic)

    def come():
        observer.spin(0.05)
        return any(msg.detections for msg in observer.received[topic])

    terminal.until(come, f"detections on {topic}")


def complaints(text):
    """Lines that tell of a process that did not end cleanly."""
    words = ("Traceback", "process has died", "failed to terminate", "SIGKILL")
    assert text.count("process started") == text.count("finished cleanly"), text
    return [line for line in text.splitlines() if any(word in line for word in words)]


def values(observer, node, *names):
    request = GetParameters.Request(names=names)
    return call(observer, GetParameters, f"{node}/get_parameters", request).values


def test_show_args_lists_every_argument_with_its_default():
    shown = subprocess.run([*LAUNCH, "dope.launch.py", "--show-args"], capture_output=True, text=True, check=True)
    for name in ("namespace", "qos", "frame_prefix", "params_file", "rviz"):
        assert f"'{name}':" in shown.stdout


def test_poses_of_a_namespaced_launch_where_arguments_win_over_the_file(observer, terminal, tmp_path):
    text = "/front/dope: {ros__parameters: {min_score: 0.9, coast: 0.7}}\n/**: {ros__parameters: {min_score: 0.8}}"
    (tmp_path / "own.yaml").write_text(text)
    given = ("namespace:=front", "min_score:=0.25", "objects:=carton", f"params_file:={tmp_path}/own.yaml")
    launched = terminal("dope.launch.py", *given, "camera:=true", f"source:={IMAGE}")
    found(observer, launched, "/front/dope/detections")
    minimum, coast, objects = values(observer, "/front/dope", "min_score", "coast", "objects")
    assert (minimum.double_value, coast.double_value, objects.string_array_value) == (0.25, 0.7, ["carton"])
    assert values(observer, "/front/camera", "loop")[0].bool_value
    assert launched.interrupt() == 0
    assert not complaints(launched.output)


def test_poses_of_two_cameras(observer, terminal):
    sources = (f"left_source:={IMAGE}", f"right_source:={IMAGE}")
    launched = terminal("two_cameras.launch.py", "camera:=true", *sources)
    for side in ("left", "right"):
        found(observer, launched, f"/{side}/dope/detections")
    frames = {
        detection.header.frame_id
        for topic in ("/left/dope/detections", "/right/dope/detections")
        for msg in observer.received[topic]
        for detection in msg.detections
    }
    assert frames == {"left_camera_optical_frame", "right_camera_optical_frame"}
    assert launched.interrupt() == 0
    assert not complaints(launched.output)


@pytest.mark.parametrize("number", range(3 * ROUNDS))
def test_ctrl_c_ends_all_processes_with_status_0_also_while_they_start(terminal, number):
    launched = terminal("dope.launch.py", "camera:=true", f"source:={IMAGE}")
    launched.until_written("process started", 2)
    moment = time.monotonic() + random.Random(number).uniform(0, 12)
    launched.until(lambda: time.monotonic() > moment, "the moment")
    assert launched.interrupt() == 0
    assert not complaints(launched.output)
