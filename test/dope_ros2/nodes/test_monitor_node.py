"""monitor_node over DDS: it knows what looks the same."""

import json

import numpy as np
import pytest
from std_msgs.msg import Header

from dope_ros2.geometry.pose import Pose
from dope_ros2.nodes.base.qos import LATCHED
from dope_ros2.nodes.messages import detections, objects
from dope_ros2.objects.detection import Detection
from helpers.symmetric_objects import CAN, turned

pytestmark = pytest.mark.ros
TRUE = Pose.from_rotvec([0.4, 0.3, 0.2], [0.05, 0, 0.7])
OBJECTS_YAML = """
objects:
  can:
    class_id: 6
    size: [0.07, 0.07, 0.12]
    centre: [0.02, -0.03, 0.05]
    symmetries_continuous:
      - {axis: [0, 0, 1], offset: [0.02, -0.03, 0.05]}
"""


def header(number):
    msg = Header(frame_id="optical")
    msg.stamp.sec = 1000 + number
    return msg


def message(number, pose):
    found = Detection(CAN, 0.9, pose, np.zeros((6, 6)), np.full((9, 2), np.nan), 0.0)
    return detections.detections_to_msg([found], header(number))


@pytest.mark.parametrize(("told", "recall"), [("object_info", 1.0), ("file", 1.0), ("nothing", 0.0)])
def test_a_can_that_is_found_spun_is_right_when_its_symmetry_is_known(start, observer, tmp_path, told, recall):
    (tmp_path / "objects.yaml").write_text(OBJECTS_YAML)
    options = ["--truth", f"/{told}/truth", "--detections", f"/{told}/dope/detections", "--frames", 2]
    options += ["--timeout", 60, "--json", tmp_path / "figures.json"]
    options += ["--objects-file", tmp_path / "objects.yaml"] if told == "file" else []
    monitor = start("-m", "dope_ros2.nodes.monitor_node", *options)
    for number in range(2):
        observer.publish(message(number, turned(TRUE, CAN, 0, 1.0)), f"/{told}/dope/detections", 10)
        observer.publish(message(number, TRUE), f"/{told}/truth", 10)
        if told == "object_info" and number == 0:  # which may come late
            observer.spin(0.5)
            observer.publish(objects.objects_to_msg([CAN], header(0)), f"/{told}/dope/object_info", LATCHED)
            observer.spin(0.5)
    assert monitor.wait() == 0
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["frames"], figures["recall"], figures["false_positives"]) == (2, recall, 2 - 2 * recall)
    assert figures["rotation_error_deg"] == pytest.approx(0 if recall else np.degrees(1), abs=1e-4)


def test_what_cannot_be_an_object_is_told_and_the_rest_counts(start, observer, tmp_path):
    options = ["--truth", "/mixed/truth", "--detections", "/mixed/dope/detections", "--frames", 1]
    monitor = start(
        "-m", "dope_ros2.nodes.monitor_node", *options, "--timeout", 60, "--json", tmp_path / "figures.json"
    )
    truth = message(0, TRUE)
    truth.detections += message(0, TRUE).detections
    truth.detections[0].results[0].hypothesis.class_id = "top of the table"
    observer.publish(message(0, TRUE), "/mixed/dope/detections")
    observer.publish(truth, "/mixed/truth")
    assert monitor.wait() == 0, monitor.output
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (figures["truths"], figures["recall"]) == (1, 1.0)
    assert monitor.count("top of the table: a name has letters") == 1


def test_a_file_of_objects_that_is_not_there_is_refused_in_one_line(start):
    monitor = start("-m", "dope_ros2.nodes.monitor_node", "--objects-file", "nowhere.yaml")
    assert monitor.wait() == 2
    assert "nowhere.yaml" in monitor.output
    assert "Traceback" not in monitor.output
