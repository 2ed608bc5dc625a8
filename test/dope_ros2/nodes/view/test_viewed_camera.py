"""How `dope view` finds its camera, and which images it keeps."""

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dope_ros2.common.errors import UserError
from dope_ros2.nodes.view.viewed_camera import MAX_WAITING_BYTES, ViewedCamera
from helpers.node_client import FRAME, header, info, picture

pytestmark = pytest.mark.ros
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def camera(observer):
    """`camera(viewed, namespace)` makes one."""
    made = []

    def make(viewed="/nobody", namespace=None):
        made.append(ViewedCamera(observer.node, viewed, namespace))
        return made[-1]

    yield make
    for each in made:
        each.close()


def found(observer, camera, topic):
    def look():
        camera.look_for()
        return camera.topic == topic

    observer.until(look, f"{topic} to be found")


def received(observer, camera, msg, topic, qos=1):
    """Publish until it has come."""

    def come():
        observer.publish(msg, topic, qos)
        observer.spin(0.1)
        newest = camera.newest()
        return newest is not None and newest.header.stamp == msg.header.stamp

    observer.until(come, f"an image on {topic}")


def test_a_named_camera_may_be_compressed(observer, camera):
    left = camera(namespace="left/")
    green = np.full((48, 64, 3), (0, 255, 0), np.uint8)
    jpeg = CompressedImage(header=header(1), format="jpeg", data=cv2.imencode(".jpg", green)[1].tobytes())
    publisher = observer.node.create_publisher(CompressedImage, "/left/image_rect/compressed", 1)
    found(observer, left, "/left/image_rect/compressed")
    received(observer, left, jpeg, "/left/image_rect/compressed")
    assert left.frame_id == FRAME
    with pytest.raises(UserError, match="/left/camera_info: no camera_info yet"):
        left.decode(left.newest())
    observer.publish(info(focal=500.0), "/left/camera_info")
    observer.spin(0.5)
    rgb, model = left.decode(left.newest())
    assert np.abs(rgb.astype(int) - green).max() < 10
    assert (model.width, model.height, model.K[0, 0]) == (64, 48, 500.0)
    observer.node.destroy_publisher(publisher)


def test_the_camera_is_asked_of_the_node_that_looks_at_it(observer, camera):
    looker = rclpy.create_node("looker", namespace="robot")
    topics = {"/eye/picture": Image, "/eye/depth/image_rect": Image, "/eye/info": CameraInfo, "/other/info": CameraInfo}
    for topic, kind in topics.items():
        looker.create_subscription(kind, topic, lambda _: None, 1)
    publisher = observer.node.create_publisher(Image, "/eye/picture", 1)
    eye = camera("/robot/looker")
    found(observer, eye, "/eye/picture")
    with pytest.raises(UserError, match=r"^/eye/info: no camera_info"):
        eye.decode(picture(1))
    looker.destroy_node()
    observer.node.destroy_publisher(publisher)


@pytest.fixture
def twins():
    """Two nodes of one name, each as if in a process of its own; the first listens to nothing."""
    contexts = [rclpy.Context(), rclpy.Context()]
    for context in contexts:
        context.init()
    nodes = [rclpy.create_node("twin", namespace="robot", context=context) for context in contexts]
    for kind, topic in ((Image, "/shared/image_rect"), (CameraInfo, "/shared/camera_info")):
        nodes[1].create_subscription(kind, topic, lambda _: None, 1)
    yield nodes
    for node, context in zip(nodes, contexts, strict=True):
        node.destroy_node()
        context.try_shutdown()


def test_a_node_of_the_same_name_that_listens_to_nothing_hides_no_camera(observer, camera, twins):
    names = observer.node.get_node_names_and_namespaces
    observer.until(lambda: names().count(("twin", "/robot")) == len(twins), "both of them")
    publisher = observer.node.create_publisher(Image, "/shared/image_rect", 1)
    found(observer, camera("/robot/twin"), "/shared/image_rect")
    observer.node.destroy_publisher(publisher)


@pytest.mark.parametrize("qos", [QoSProfile(depth=5), BEST_EFFORT], ids=["reliable", "best effort"])
def test_it_listens_as_reliably_as_the_camera_speaks(observer, camera, qos):
    name = "sure" if qos is not BEST_EFFORT else "unsure"
    publisher = observer.node.create_publisher(Image, f"/{name}/image_rect", qos)
    found(observer, camera(namespace=name), f"/{name}/image_rect")
    [subscription] = observer.node.get_subscriptions_info_by_topic(f"/{name}/image_rect")
    assert subscription.qos_profile.reliability == qos.reliability
    observer.node.destroy_publisher(publisher)


def test_a_picture_is_found_by_its_stamp_and_older_ones_are_forgotten(camera):
    kept = camera()
    for number in (1, 2, 3):
        kept._on_image(picture(number))
    assert kept.find(header(2)).header.stamp == header(2).stamp
    assert kept.find(header(1)) is None
    assert kept.find(header(2)) is not None
    assert kept.newest().header.stamp == header(3).stamp
    assert kept.find(header(4)) is None
    assert kept.newest().header.stamp == header(3).stamp


def test_pictures_that_wait_for_answers_take_bounded_memory(camera):
    kept, width, height = camera(), 2000, 1500
    for number in range(20):
        kept._on_image(picture(number, width=width, height=height))
    waiting = [kept.find(header(number)) for number in range(20)]
    count = sum(each is not None for each in waiting)
    assert 1 < count <= MAX_WAITING_BYTES / (3 * width * height)
