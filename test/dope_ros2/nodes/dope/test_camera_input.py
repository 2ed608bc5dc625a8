"""What a camera that does not come leaves in the log, and how the node names what it diagnoses, over DDS."""

import time
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from helpers.node_client import info, picture

pytestmark = pytest.mark.ros
FAKE = Path(__file__).resolve().parents[3] / "helpers" / "fake_dope_node.py"
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def names(observer, start_of_name):
    return {s.name for m in observer.received["/diagnostics"] for s in m.status if s.name.startswith(start_of_name)}


def publish_until(observer, topic, condition, what, rate=20):
    """Publish images until something is so."""
    number, begin = 0, time.monotonic()
    while not condition():
        assert time.monotonic() - begin < 60, what
        observer.publish(picture(number := number + 1), topic)
        observer.spin(1 / rate)


@pytest.fixture(scope="module")
def quiet(start, observer):
    """A node whose camera publishes under another name."""
    elsewhere = [observer.node.create_publisher(Image, f"/quiet/camera/{name}", 1) for name in ("image_raw", "ir")]
    yield start(FAKE, "--ros-args", "-r", "__ns:=/quiet")
    for publisher in elsewhere:
        observer.node.destroy_publisher(publisher)


def test_the_log_says_that_nothing_comes_and_what_similar_topics_there_are(quiet, observer):
    observer.until(lambda: quiet.count("no image has come") and quiet.count("no camera_info has come"), "two lines")
    assert quiet.count("[WARN]") == 2
    [line] = [line for line in quiet.output.splitlines() if "no image" in line]
    assert "/quiet/image_rect: no image has come: nobody publishes it; such topics are /quiet/camera/i" in line
    assert "/quiet/camera/image_raw (sensor_msgs/msg/Image)" in line
    assert line.endswith("start the camera, or remap the topic to one of them")


def test_the_log_says_when_images_come_and_when_they_come_no_more(quiet, observer):
    publish_until(observer, "/quiet/image_rect", lambda: quiet.count("[INFO]") == 2, "images come")
    assert quiet.count("/quiet/image_rect: images come") == 1
    observer.publish(info(), "/quiet/camera_info")
    observer.until(lambda: quiet.count("/quiet/camera_info: camera_info has come"), "camera_info has come")
    observer.until(lambda: quiet.count("no image comes any more: publishers: 1; is the camera streaming"), "a warning")
    publish_until(observer, "/quiet/image_rect", lambda: quiet.count("image_rect: images come") == 2, "it is over")


@pytest.mark.parametrize("qos", [QoSProfile(depth=1), BEST_EFFORT], ids=["reliable", "best_effort"])
def test_by_default_an_image_is_asked_for_as_reliably_as_its_camera_publishes(start, observer, qos):
    namespace = f"/{qos.reliability.name}".lower()
    publisher = observer.node.create_publisher(Image, topic := f"{namespace}/image_rect", qos)
    start(FAKE, "--ros-args", "-r", f"__ns:={namespace}")

    def asked_for():
        return [each.qos_profile.reliability for each in observer.node.get_subscriptions_info_by_topic(topic)]

    observer.until(lambda: asked_for() == [qos.reliability], "a subscription of its kind")
    observer.node.destroy_publisher(publisher)


@pytest.fixture(scope="module")
def pair(start, observer):
    """A node with two cameras, one remapped and best effort, that subscribes reliably whatever they do."""
    observer.listen(DiagnosticArray, "/diagnostics")
    remap = ("-r", "__ns:=/pair", "-r", "left/image_rect:=/cam/colour")
    return start(FAKE, "--ros-args", *remap, "-p", "cameras:=[left, right]", "-p", "qos:=reliable")


def test_status_names_do_not_change_with_remaps_and_the_topic_is_a_value(pair, observer):
    expected = {"/pair/dope: camera left", "/pair/dope: camera right", "/pair/dope: engine"}
    observer.until(lambda: expected == names(observer, "/pair/"), "the three names")
    left = [s for m in observer.received["/diagnostics"] for s in m.status if s.name.endswith("camera left")][-1]
    values = {value.key: value.value for value in left.values}
    assert values["topic"] == left.hardware_id == "/cam/colour"
    assert values["qos"] == "reliable"


def test_the_log_says_what_keeps_a_best_effort_camera_from_a_reliable_subscription(pair, observer):
    observer.node.create_publisher(Image, "/cam/colour", BEST_EFFORT)
    wanted = "/cam/colour: no image has come: its publisher is best effort and does not serve reliable subscriptions"
    observer.until(lambda: pair.count(wanted), "the line")


def test_diagnostics_come_once_a_second_while_no_level_changes(pair, observer):
    observer.until(lambda: pair.count("no image has come") == 2, "both lines, so levels are what they will be")
    observer.received["/diagnostics"].clear()
    observer.spin(4.5)
    assert 3 <= sum(m.status[0].name.startswith("/pair/") for m in observer.received["/diagnostics"]) <= 6


def test_a_quality_of_service_that_is_not_known_is_one_line(start):
    process = start(FAKE, "--ros-args", "-p", "qos:=best effort")
    assert process.wait() == 2
    assert "parameter qos: 'best effort' is not one of auto, reliable, best_effort" in process.output
    assert "Traceback" not in process.output
