"""Bags of both storages, of messages made here."""

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from dope_ros2.geometry.camera import CameraModel

TYPES = get_typestore(Stores.ROS2_JAZZY)
CAMERA = CameraModel(np.array([[100.0, 0, 31.5], [0, 101, 23.5], [0, 0, 1]]), 64, 48, np.array([0.1, 0, 0, 0, 0]))


def header(number):
    Header, Time = (TYPES.types[f"{name}"] for name in ("std_msgs/msg/Header", "builtin_interfaces/msg/Time"))
    return Header(stamp=Time(sec=1000 + number, nanosec=500_000_000), frame_id="camera")


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)


def image(number):
    data = picture(number)[..., ::-1].reshape(-1)
    kind = TYPES.types["sensor_msgs/msg/Image"]
    return kind(header(number), height=48, width=64, encoding="bgr8", is_bigendian=0, step=192, data=data)


def depth(number):
    data = np.full((48, 64), 700, "<u2").view(np.uint8).reshape(-1)
    kind = TYPES.types["sensor_msgs/msg/Image"]
    return kind(header(number), height=48, width=64, encoding="16UC1", is_bigendian=0, step=128, data=data)


def compressed(number):
    _, data = cv2.imencode(".png", picture(number)[..., ::-1])
    return TYPES.types["sensor_msgs/msg/CompressedImage"](header(number), format="png", data=data.reshape(-1))


def info(number, focal=100.0):
    K = CAMERA.K * [[focal / 100], [1], [1]]
    roi = TYPES.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, do_rectify=False)
    return TYPES.types["sensor_msgs/msg/CameraInfo"](
        header(number), height=48, width=64, distortion_model="plumb_bob", d=CAMERA.distortion, k=K.reshape(-1),
        r=np.eye(3).reshape(-1), p=np.column_stack([K * [[0.9], [0.9], [1]], np.zeros(3)]).reshape(-1),
        binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


def make(path, topics, storage=StoragePlugin.SQLITE3):
    """A bag with a message of each topic for each of five numbers, by functions of the number."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        kinds = {topic: make(0).__msgtype__ for topic, make in topics.items()}
        connections = {topic: writer.add_connection(topic, kind, typestore=TYPES) for topic, kind in kinds.items()}
        for number in range(5):
            for topic, of in topics.items():
                raw = TYPES.serialize_cdr(of(number), kinds[topic])
                writer.write(connections[topic], (1000 + number) * 10**9, raw)
    return path
