"""What is read from ROS messages, from ROS or from a bag: any object with the message's fields will do."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from dope_ros2.geometry.pose import Pose
from dope_ros2.io import image_encodings


class StampMessage(Protocol):
    """builtin_interfaces/Time or Duration."""

    sec: int
    nanosec: int


class HeaderMessage(Protocol):
    """std_msgs/Header."""

    stamp: StampMessage
    frame_id: str


class CompressedImageMessage(Protocol):
    """sensor_msgs/CompressedImage."""

    header: HeaderMessage
    format: str
    data: object


class ImageMessage(Protocol):
    """sensor_msgs/Image."""

    header: HeaderMessage
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: object


class PointMessage(Protocol):
    """geometry_msgs/Point or Vector3."""

    x: float
    y: float
    z: float


class QuaternionMessage(Protocol):
    """geometry_msgs/Quaternion."""

    x: float
    y: float
    z: float
    w: float


class PoseMessage(Protocol):
    """geometry_msgs/Pose."""

    position: PointMessage
    orientation: QuaternionMessage


class TransformMessage(Protocol):
    """geometry_msgs/Transform."""

    translation: PointMessage
    rotation: QuaternionMessage


def read_seconds(stamp: StampMessage) -> float:
    """A stamp or a duration as a number [s]."""
    return stamp.sec + 1e-9 * stamp.nanosec


def read_image(msg: ImageMessage | CompressedImageMessage, topic: str = "image") -> np.ndarray:
    """The image as (H, W, 3) uint8 RGB; a view of the message for unpadded rgb8. See `image_encodings.decode`.

    Raises:
        UserError: it cannot be read; the message names the topic.
    """
    if hasattr(msg, "format"):  # only a CompressedImage has one
        return image_encodings.decompress(msg.data, topic)
    big = bool(msg.is_bigendian)
    return image_encodings.decode(msg.data, msg.encoding, msg.width, msg.height, msg.step, big_endian=big, where=topic)


def read_depth(msg: ImageMessage, topic: str = "depth") -> np.ndarray:
    """The depths as (H, W) float32 along the optical axis [m]. See `image_encodings.decode_depth`.

    Raises:
        UserError: it is not a depth image; the message names the topic.
    """
    big = bool(msg.is_bigendian)
    return image_encodings.decode_depth(
        msg.data, msg.encoding, msg.width, msg.height, msg.step, big_endian=big, where=topic
    )


def read_point(msg: PointMessage) -> np.ndarray:
    """A point or a vector as (3,)."""
    return np.array([msg.x, msg.y, msg.z])


def read_pose(msg: PoseMessage) -> Pose:
    """A pose: T_frame_object, where the frame is that of the message's header.

    Raises:
        ValueError: the quaternion is none.
    """
    return _pose(msg.orientation, msg.position)


def read_transform(msg: TransformMessage) -> Pose:
    """The pose of a transform: T_parent_child.

    Raises:
        ValueError: the quaternion is none.
    """
    return _pose(msg.rotation, msg.translation)


def _pose(q: QuaternionMessage, position: PointMessage) -> Pose:
    return Pose.from_quaternion(np.array([q.x, q.y, q.z, q.w]), read_point(position))
