"""The life cycle of dope_node, its services, and what may be changed while it runs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from vision_msgs.msg import Detection3DArray

from dope_ros2.nodes.messages import images
from helpers.node_client import answer, call, header, info, picture, set_parameter

pytestmark = pytest.mark.ros
FAKE = Path(__file__).resolve().parents[2] / "helpers" / "fake_dope_node.py"


@pytest.fixture(scope="module")
def waiting(start, observer):
    """A node that waits to be configured."""
    process = start(FAKE, "--ros-args", "-r", "__ns:=/waiting", "-p", "autostart:=false", "-p", "smoothing:=0.0")
    observer.listen(Detection3DArray, "/waiting/dope/detections")
    return process


@pytest.fixture(scope="module")
def running(start, observer):
    process = start(FAKE, "--ros-args", "-r", "__ns:=/running")
    observer.listen(Detection3DArray, "/running/dope/detections")
    return process


def state(observer):
    return call(observer, GetState, "/waiting/dope/get_state", GetState.Request()).current_state.id


def change(observer, transition):
    request = ChangeState.Request(transition=Transition(id=transition))
    return call(observer, ChangeState, "/waiting/dope/change_state", request).success


def ask(observer, number, count=1, namespace="/running"):
    return answer(observer, picture(number, count=count), namespace, answers=f"{namespace}/dope/detections")


def is_silent(observer, number, namespace="/running"):
    observer.spin(0.5)  # until what was under way has come
    received = observer.received[f"{namespace}/dope/detections"]
    before = len(received)
    for k in range(8):
        observer.publish(info(), f"{namespace}/camera_info")
        observer.publish(picture(number + k), f"{namespace}/image_rect")
        observer.spin(0.1)
    return len(received) == before


def test_the_life_cycle_is_that_of_ros(waiting, observer):
    assert state(observer) == State.PRIMARY_STATE_UNCONFIGURED
    for start in range(2):  # a second time after a clean-up
        assert change(observer, Transition.TRANSITION_CONFIGURE)
        assert state(observer) == State.PRIMARY_STATE_INACTIVE
        assert is_silent(observer, 100, "/waiting")
        assert change(observer, Transition.TRANSITION_ACTIVATE)
        assert state(observer) == State.PRIMARY_STATE_ACTIVE
        assert len(ask(observer, 110 + start, 2, "/waiting").detections) == 2
        assert change(observer, Transition.TRANSITION_DEACTIVATE)
        assert is_silent(observer, 120, "/waiting")
        assert change(observer, Transition.TRANSITION_CLEANUP)
        assert state(observer) == State.PRIMARY_STATE_UNCONFIGURED
    assert "Traceback" not in waiting.output


def test_weights_that_cannot_be_read_leave_it_unconfigured_until_others_are_named(waiting, observer):
    assert set_parameter(observer, "weights", "is_broken", "/waiting/dope").successful  # nothing is read yet
    assert not change(observer, Transition.TRANSITION_CONFIGURE)
    assert state(observer) == State.PRIMARY_STATE_UNCONFIGURED
    assert waiting.count("cannot be configured: is_broken: damaged; copy it again") == 1
    assert set_parameter(observer, "weights", "", "/waiting/dope").successful
    assert change(observer, Transition.TRANSITION_CONFIGURE)
    assert waiting.alive


def test_enable_pauses_and_goes_on(running, observer):
    assert len(ask(observer, 10).detections) == 1
    response = call(observer, SetBool, "/running/dope/enable", SetBool.Request(data=False))
    assert (response.success, response.message) == (True, "not looking at images")
    assert is_silent(observer, 20)
    assert call(observer, SetBool, "/running/dope/enable", SetBool.Request(data=True)).success
    assert len(ask(observer, 30).detections) == 1


def test_broken_weights_are_refused_while_it_runs_and_the_old_ones_stay(running, observer):
    result = set_parameter(observer, "weights", "is_broken", "/running/dope")
    assert (result.successful, result.reason) == (False, "is_broken: damaged; copy it again")
    assert len(ask(observer, 40).detections) == 1
    assert set_parameter(observer, "weights", "others", "/running/dope").successful
    assert running.count("new weights, which know carton, mustard") == 1
    assert len(ask(observer, 41).detections) == 1


def test_objects_are_checked_when_they_are_set(running, observer):
    result = set_parameter(observer, "objects", ["cartom"], "/running/dope")
    assert not result.successful
    assert "the weights know no 'cartom'; did you mean 'carton'?" in result.reason
    assert set_parameter(observer, "objects", ["carton"], "/running/dope").successful
    assert running.count("looking for carton in /running/image_rect") == 1
    before = running.count("looking for carton, mustard in")
    assert set_parameter(observer, "objects", [], "/running/dope").successful  # bytes on the way, as of `ros2 param`
    observer.until(lambda: running.count("looking for carton, mustard in") > before, "all objects")


def test_reset_forgets_the_tracks(running, observer):
    for number in range(50, 54):
        ask(observer, number)
    response = call(observer, Trigger, "/running/dope/reset", Trigger.Request())
    assert (response.success, response.message) == (True, "all tracks are forgotten")
    found = ask(observer, 54).detections[0]
    assert found.id == "running_carton_0"
    assert found.results[0].pose.covariance[0] == pytest.approx(0.01)  # of one measurement


def test_tracks_know_better_than_one_measurement(running, observer):
    for number in range(60, 66):
        found = ask(observer, number).detections[0]
    assert found.results[0].pose.covariance[0] < 0.009


def test_only_the_region_of_interest_is_looked_at_in_the_same_camera(running, observer):
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[10, 20, 0] = 3  # the fake estimator reads the first pixel of what it is given
    msg = images.array_to_image(rgb, header(70))
    assert set_parameter(observer, "roi", [20, 10, 30, 30], "/running/dope").successful
    assert set_parameter(observer, "max_age", 4, "/running/dope").successful  # a float parameter
    assert not set_parameter(observer, "max_age", "4", "/running/dope").successful
    assert len(answer(observer, msg, "/running", answers="/running/dope/detections").detections) == 3
    assert not set_parameter(observer, "roi", [20, 10, 30], "/running/dope").successful
    assert not set_parameter(observer, "roi", [20, -1, 30, 30], "/running/dope").successful
    assert set_parameter(observer, "roi", [40, 10, 30, 30], "/running/dope").successful
    assert is_silent(observer, 71)
    assert running.count("roi: 30x30 at (40, 10) is not inside /running/image_rect, an image of 64x48") >= 1
    assert set_parameter(observer, "roi", [0, 0, 0, 0], "/running/dope").successful
    assert len(ask(observer, 90).detections) == 1


def test_a_most_rate_leaves_images_out(running, observer):
    assert set_parameter(observer, "max_rate", 2.0, "/running/dope").successful
    received = observer.received["/running/dope/detections"]
    observer.spin(1.0)
    before = len(received)
    for number in range(200, 230):
        observer.publish(picture(number), "/running/image_rect")
        observer.spin(0.1)
    assert 3 <= len(received) - before <= 8  # three seconds, and as slow as the machine may be
    assert set_parameter(observer, "max_rate", 0.0, "/running/dope").successful


def test_an_image_that_breaks_the_estimator_is_told_and_survived(running, observer):
    rgb = np.full((48, 64, 3), 255, np.uint8)
    for number in range(300, 305):
        observer.publish(images.array_to_image(rgb, header(number)), "/running/image_rect")
        observer.spin(0.1)
    assert running.count("/running/image_rect: an image could not be looked at") >= 1
    assert running.alive
    assert len(ask(observer, 310).detections) == 1


def test_compressed_images_are_read_where_they_are_asked_for(start, observer):
    process = start(FAKE, "--ros-args", "-r", "__ns:=/packed", "-p", "image_transport:=compressed")
    observer.listen(Detection3DArray, "/packed/dope/detections")
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[0, 0, 0] = 2
    _, data = cv2.imencode(".png", rgb[..., ::-1])
    msg = CompressedImage(header=header(80), format="png", data=data.tobytes())
    for _ in range(60):
        observer.publish(info(), "/packed/camera_info")
        observer.publish(msg, "/packed/image_rect/compressed")
        observer.spin(0.1)
        if found := observer.received["/packed/dope/detections"]:
            break
    assert len(found[0].detections) == 2
    observer.publish(
        CompressedImage(header=header(81), format="jpeg", data=b"half of it"), "/packed/image_rect/compressed"
    )
    observer.until(lambda: process.count("a compressed image of 10 bytes cannot be read"), "a complaint")
    process = start(FAKE, "--ros-args", "-r", "__ns:=/packed2", "-p", "image_transport:=zip")
    assert process.wait() == 2
    assert process.count("parameter image_transport: 'zip' is not one of raw, compressed") == 1


def test_programs_for_the_ros_1_node_find_its_topics(start, observer):
    start(FAKE, "--ros-args", "-r", "__ns:=/old", "-p", "ros1_topics:=true", "-p", "tracking:=false")
    observer.listen(Detection3DArray, "/old/dope/detections")
    observer.listen(PoseStamped, "/old/dope/pose_carton")
    observer.listen(String, "/old/dope/dimension_carton")
    observer.listen(Image, "/old/dope/rgb_points")
    ask(observer, 400, 2, "/old")
    observer.until(lambda: observer.received["/old/dope/rgb_points"], "rgb_points")
    found = ask(observer, 401, 2, "/old").detections
    poses = observer.received["/old/dope/pose_carton"]
    observer.until(lambda: sum(pose.header == header(401) for pose in poses) >= 2, "two poses")
    assert [pose.pose for pose in poses if pose.header == header(401)][:2] == [d.bbox.center for d in found]
    assert observer.received["/old/dope/dimension_carton"][0].data == "(16.000, 11.000, 6.000)"


def test_sigterm_ends_it_in_every_state(waiting, running):
    assert waiting.terminate() == 0
    assert running.terminate() == 0
