"""Poses and points to messages; what reads them is `io.messages`."""

from __future__ import annotations

from collections.abc import Sequence

from geometry_msgs.msg import Point, Quaternion, Transform, Vector3
from geometry_msgs.msg import Pose as PoseMsg

from dope_ros2.geometry.pose import Pose


def point_to_msg(xyz: Sequence[float]) -> Point:
    """A Point of three numbers [m]."""
    return Point(x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def vector_to_msg(xyz: Sequence[float]) -> Vector3:
    """A Vector3 of three numbers."""
    return Vector3(x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def quaternion_to_msg(pose: Pose) -> Quaternion:
    """The rotation of a pose, x, y, z, w."""
    x, y, z, w = (float(value) for value in pose.quaternion)
    return Quaternion(x=x, y=y, z=z, w=w)


def pose_to_msg(pose: Pose) -> PoseMsg:
    """A pose as geometry_msgs/Pose."""
    return PoseMsg(position=point_to_msg(pose.translation), orientation=quaternion_to_msg(pose))


def transform_to_msg(pose: Pose) -> Transform:
    """A pose T_parent_child as geometry_msgs/Transform."""
    return Transform(translation=vector_to_msg(pose.translation), rotation=quaternion_to_msg(pose))
