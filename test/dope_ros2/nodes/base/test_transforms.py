"""Transforms from /tf without tf2: interpolated, chained, and refused in words."""

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from tf2_msgs.msg import TFMessage

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.pose import Pose
from dope_ros2.nodes.base.transforms import BUFFER_SECONDS, TransformBuffer
from dope_ros2.nodes.messages import geometry

pytestmark = pytest.mark.ros
BEGIN = 1_700_000_000


class Nobody:
    """A node that is subscribed to nothing."""

    def create_subscription(self, *_):
        """Nothing comes."""


def tf(parent, child, pose, seconds):
    msg = TransformStamped(child_frame_id=child)
    msg.header.frame_id = parent
    msg.header.stamp = at(seconds)
    msg.transform = geometry.transform_to_msg(pose)
    return TFMessage(transforms=[msg])


def at(seconds):
    return Time(sec=BEGIN + int(seconds // 1), nanosec=int(seconds % 1 * 1e9))


@pytest.fixture
def known():
    frames = TransformBuffer(Nobody())
    for k in range(11):  # the arm goes a metre a second along x, and turns at 0.2 rad/s about it
        frames._on_moving(tf("base", "arm", Pose.from_rotvec([0.02 * k, 0, 0], [0.1 * k, 0, 0]), 0.1 * k))
    frames._on_fixed(tf("arm", "/camera", Pose.from_rotvec([0, 1.0, 0], [0, 0, 0.3]), 0))
    frames._on_fixed(tf("base", "table", Pose.from_rotvec([0, 0, 2.0], [0, 1, 0]), 0))
    return frames


def test_between_two_transforms_it_moves_along(known):
    found = known.find("base", "arm", at(0.45))
    np.testing.assert_allclose(found.translation, [0.45, 0, 0], atol=1e-6)
    assert found.angle_to(Pose.from_rotvec([0.09, 0, 0], [0, 0, 0])) < 1e-6


def test_frames_of_two_branches_meet_at_the_root(known):
    wanted = Pose.from_rotvec([0, 0, 2.0], [0, 1, 0]).inverse() @ (
        Pose.from_rotvec([0.1, 0, 0], [0.5, 0, 0]) @ Pose.from_rotvec([0, 1.0, 0], [0, 0, 0.3])
    )
    np.testing.assert_allclose(known.find("table", "camera", at(0.5)).matrix, wanted.matrix, atol=1e-6)
    np.testing.assert_allclose(known.find("camera", "table", at(0.5)).matrix, wanted.inverse().matrix, atol=1e-6)
    np.testing.assert_allclose(known.find("camera", "/camera", at(99)).matrix, np.eye(4))


@pytest.mark.parametrize(
    ("target", "source", "seconds", "text"),
    [
        ("base", "arm", 1.5, "of arm is not known at the image's stamp, 0.50 s after the newest"),
        ("base", "arm", -0.5, "of arm is not known at the image's stamp, before the oldest"),
        ("base", "camara", 0.5, "no frame 'camara'; did you mean 'camera'?"),
        ("world", "arm", 0.5, "no frame 'world'"),
        ("lost", "arm", 0.5, "they hang on base and nowhere"),
        ("a", "b", 0.5, "round in a circle"),
    ],
)
def test_what_is_not_known_is_said(known, target, source, seconds, text):
    known._on_fixed(tf("nowhere", "lost", Pose.identity(), 0))
    known._on_fixed(tf("a", "b", Pose.identity(), 0))
    known._on_fixed(tf("b", "a", Pose.identity(), 0))
    with pytest.raises(UserError, match=text):
        known.find(target, source, at(seconds))


def test_old_transforms_are_forgotten_and_a_clock_may_go_back(known):
    known._on_moving(tf("base", "arm", Pose.identity(), 1 + BUFFER_SECONDS))
    with pytest.raises(UserError, match="before the oldest"):
        known.find("base", "arm", at(0.5))
    known._on_moving(tf("base", "arm", Pose.from_rotvec([0, 0, 0], [7, 0, 0]), -100))
    assert known.find("base", "arm", at(-100)).translation[0] == 7


def test_rclpy_is_not_needed_for_it():
    assert not rclpy.ok()
