"""The action of dope_node over DDS: what is asked for once is answered once."""

import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from dope_msgs.action import DetectObjects
from geometry_msgs.msg import Transform, TransformStamped
from rclpy.action import ActionClient
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import SetBool
from tf2_msgs.msg import TFMessage

from dope_ros2.geometry.pose import Pose
from helpers.node_client import FRAME, call, header, info, picture

pytestmark = pytest.mark.ros
FAKE = Path(__file__).resolve().parents[3] / "helpers" / "fake_dope_node.py"
Result = DetectObjects.Result


@pytest.fixture(scope="module")
def asked(start, observer):
    """A node that looks at images only when it is asked to."""
    process = start(FAKE, "--ros-args", "-r", "__ns:=/asked")
    call(observer, SetBool, "/asked/dope/enable", SetBool.Request(data=False))
    return process


@pytest.fixture(scope="module")
def client(asked, observer):
    client = ActionClient(observer.node, DetectObjects, "/asked/dope/detect")
    assert client.wait_for_server(30)
    return client


def wait(observer, future, feed=None, timeout=30.0):
    end = time.monotonic() + timeout
    while not future.done():
        assert time.monotonic() < end
        if feed:
            feed()
        observer.spin(0.05)
    return future.result()


def send(observer, client, feedback=None, **goal):
    if "timeout" in goal:
        seconds = goal.pop("timeout")
        goal = DetectObjects.Goal(**goal)
        goal.timeout.sec, goal.timeout.nanosec = int(seconds), int(seconds % 1 * 1e9)
    else:
        goal = DetectObjects.Goal(**goal)
    return wait(observer, client.send_goal_async(goal, feedback_callback=feedback))


def detect(observer, client, count=2, camera=True, **goal):
    """Send a goal, feed images until it is answered, return the result."""
    handle = send(observer, client, **goal)
    numbers = iter(range(1000, 100000))

    def feed():
        observer.publish(info(), "/asked/camera_info")
        observer.publish(picture(next(numbers), count=count), "/asked/image_rect")

    return wait(observer, handle.get_result_async(), feed if camera else None).result


def test_an_empty_goal_means_everything_once(observer, client):
    result = detect(observer, client)
    assert (result.status, result.message) == (Result.STATUS_SUCCEEDED, "1 of 1 images looked at")
    assert [d.results[0].hypothesis.class_id for d in result.detections.detections] == ["carton", "carton"]
    assert result.detections.header.frame_id == FRAME
    assert result.detections.header.stamp.sec >= 2000


def test_several_images_are_fused(observer, client):
    told = []
    one = detect(observer, client).detections.detections[0].results[0].pose.covariance[0]
    result = detect(observer, client, num_frames=4, feedback=lambda msg: told.append(msg.feedback.frames_done))
    assert result.message == "4 of 4 images looked at"
    observer.until(lambda: len(told) == 4, "feedback")
    assert told == [1, 2, 3, 4]
    assert result.detections.detections[0].results[0].pose.covariance[0] == pytest.approx(one / 4)


def test_score_class_and_region_of_a_goal_are_its_own(observer, client):
    assert len(detect(observer, client, count=3, min_score=0.8).detections.detections) == 1
    assert len(detect(observer, client, count=3, class_ids=["carton"]).detections.detections) == 3
    result = detect(observer, client, class_ids=["cartom"])
    assert result.status == Result.STATUS_UNKNOWN_CLASS
    assert result.message == "class_ids: the weights know no 'cartom'; did you mean 'carton'?"
    goal = DetectObjects.Goal()
    goal.roi.x_offset, goal.roi.width, goal.roi.height = 60, 30, 30
    result = detect(observer, client, roi=goal.roi)
    assert result.status == Result.STATUS_INVALID_ROI
    assert result.message == "roi: 30x30 at (60, 0) is not inside /asked/image_rect, an image of 64x48"


@pytest.mark.parametrize("min_score", [7.0, -1.0, float("nan")])
def test_a_score_that_is_no_probability_is_refused_at_once(observer, client, min_score):
    result = detect(observer, client, camera=False, min_score=min_score)
    assert result.status == Result.STATUS_INVALID_GOAL
    assert result.message == f"min_score: {min_score:g} is not within 0 and 1; 0 means the node's own"


def test_a_negative_timeout_is_refused_at_once(observer, client):
    result = detect(observer, client, camera=False, timeout=-2.0)
    assert result.status == Result.STATUS_INVALID_GOAL
    assert result.message == "timeout: -2 s is negative; zero means no limit"


def test_what_is_not_in_the_newest_image_is_named(observer, client):
    told = []
    handle = send(observer, client, num_frames=4, feedback=lambda msg: told.append(msg.feedback.frames_done))
    numbers = iter(range(5000, 100000))

    def feed():  # one image at a time: three with two cartons, then one with the first alone
        before, end = len(told), time.monotonic() + 5
        observer.publish(info(), "/asked/camera_info")
        observer.publish(picture(next(numbers), count=1 if before == 3 else 2), "/asked/image_rect")
        while len(told) == before and time.monotonic() < end:  # longer, and the image has been lost
            observer.spin(0.05)

    result = wait(observer, handle.get_result_async(), feed).result
    assert len(result.detections.detections) == 2
    assert result.message == "4 of 4 images looked at; not detected in the newest: asked_carton_1"


def test_without_a_camera_it_answers_after_the_timeout(observer, client):
    begin = time.monotonic()
    result = detect(observer, client, camera=False, timeout=0.7)
    assert result.status == Result.STATUS_NO_CAMERA
    assert "no image of /asked/image_rect in 0.7 s" in result.message
    assert 0.6 < time.monotonic() - begin < 5
    result = detect(observer, client, num_frames=10_000, timeout=1.5)
    assert result.status == Result.STATUS_TIMEOUT
    assert len(result.detections.detections) == 2


def test_a_goal_can_be_cancelled(observer, client):
    handle = send(observer, client, num_frames=100)
    wait(observer, handle.cancel_goal_async())
    assert wait(observer, handle.get_result_async()).result.status == Result.STATUS_CANCELED


def transform(parent, child, pose, number=0):
    msg = TransformStamped(header=header(number), child_frame_id=child, transform=Transform())
    msg.header.frame_id = parent
    t, q = msg.transform.translation, msg.transform.rotation
    t.x, t.y, t.z = (float(v) for v in pose.translation)
    q.x, q.y, q.z, q.w = (float(v) for v in pose.quaternion)
    return msg


def test_the_answer_is_in_the_frame_that_is_asked_for(observer, client):
    camera = detect(observer, client).detections.detections[0].results[0].pose
    result = detect(observer, client, target_frame="base_link")
    assert result.status == Result.STATUS_NO_TRANSFORM
    assert "base_link" in result.message
    T_base_mast = Pose.from_rotvec([0, 0, 0.7], [1, 2, 3])
    T_mast_camera = Pose.from_rotvec([-1.6, 0, 0], [0.1, 0, 0.5])
    static = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    observer.publish(TFMessage(transforms=[transform("mast", FRAME, T_mast_camera)]), "/tf_static", static)
    for number in (995, 1004):  # around the images' stamps
        observer.publish(TFMessage(transforms=[transform("base_link", "mast", T_base_mast, number)]), "/tf", 100)
    observer.spin(0.5)
    result = detect(observer, client, target_frame="base_link")
    assert (result.status, result.detections.header.frame_id) == (Result.STATUS_SUCCEEDED, "base_link")
    found = result.detections.detections[0].results[0].pose.pose.position
    p = camera.pose.position
    wanted = (T_base_mast @ T_mast_camera).apply(np.array([p.x, p.y, p.z]))
    np.testing.assert_allclose([found.x, found.y, found.z], wanted, atol=1e-6)


def test_transforms_may_come_after_the_image(observer, client):
    handle = send(observer, client, target_frame="late")
    numbers = iter(range(3000, 100000))
    answer = handle.get_result_async()

    def feed():
        observer.publish(info(), "/asked/camera_info")
        observer.publish(picture(number := next(numbers)), "/asked/image_rect")
        observer.spin(0.2)  # the image has been looked at by now
        for stamp in (number - 5, number + 5):
            observer.publish(TFMessage(transforms=[transform("late", "base_link", Pose.identity(), stamp)]), "/tf", 100)
            base = transform("base_link", "mast", Pose.identity(), stamp)
            observer.publish(TFMessage(transforms=[base]), "/tf", 100)

    result = wait(observer, answer, feed).result
    assert (result.status, result.detections.header.frame_id) == (Result.STATUS_SUCCEEDED, "late")


def test_it_lives_on_and_ends_with_a_goal_in_hand(asked, observer, client):
    send(observer, client, num_frames=100)
    assert asked.alive
    assert "Traceback" not in asked.output
    assert asked.terminate() == 0
    assert rclpy.ok()
