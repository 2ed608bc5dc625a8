"""Writing ROS 2 bags (mcap) without ROS: through `rosbags`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import pip_install

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

VISION = {  # vision_msgs, of which rosbags does not know
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
    "Detection3D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox3D bbox\nstring id",
    "Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections",
}


class Message(NamedTuple):
    """One message of a bag: topic, type such as sensor_msgs/msg/Image, time [ns], and content as CDR."""

    topic: str
    kind: str
    time: int
    data: bytes


def check_rosbags() -> None:
    """Check that bags can be written.

    Raises:
        UserError: rosbags is not installed.
    """
    try:
        import_module("rosbags.typesys")
    except ImportError as error:
        raise UserError(f"bags are written with the Python package rosbags; {pip_install('rosbags')}") from error


def types() -> Typestore:
    """The message types of ROS 2 Jazzy and of vision_msgs, for `rosbags`.

    Raises:
        UserError: rosbags is not installed.
    """
    check_rosbags()
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in VISION.items():
        store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    return store


def write_bag(path: Path, messages: Iterable[Message]) -> None:
    """Write messages to a new bag, a folder.

    Raises:
        UserError: rosbags is not installed.
        OSError: it cannot be written.
    """
    store = types()
    from rosbags.rosbag2 import StoragePlugin, Writer

    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for topic, kind, time, data in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], time, data)
