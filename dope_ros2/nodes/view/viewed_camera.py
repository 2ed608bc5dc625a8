"""The camera whose images `dope view` shows: found by asking the graph what a node listens to."""

from __future__ import annotations

import os
from collections import OrderedDict

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.nodes.base.matched_subscription import MatchedSubscription
from dope_ros2.pipeline.frame import Frame

MAX_WAITING_BYTES = 64_000_000  # bytes of images that wait for their answers
KINDS = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
INFO = "sensor_msgs/msg/CameraInfo"
Picture = Image | CompressedImage


class ViewedCamera:
    """Keeps the newest images until they are answered.

    Attributes:
        topic: of its images, empty until it is found.
        frame_id: of the newest image, empty until one comes.
    """

    def __init__(self, node: Node, viewed: str, namespace: str | None) -> None:
        """Nothing is subscribed to before `look_for`.

        Args:
            node: which subscribes.
            viewed: full name of the node that looks at the images.
            namespace: of image_rect and camera_info; None: what `viewed` listens to.
        """
        self._node, self._viewed, self._namespace = node, viewed, namespace
        self.topic, self.frame_id = "", ""
        self._found: tuple | None = None
        self._subscriptions: list = []
        self._pictures: OrderedDict[tuple[int, int], Picture] = OrderedDict()
        self._info: CameraInfo | None = None

    def look_for(self) -> None:
        """Subscribe when its publisher is there; again when another topic is right."""
        topics = self._listened() if self._namespace is None else self._named()
        if topics is None or topics == self._found or not self._node.count_publishers(topics[0]):
            return
        self.close()
        self._found, (self.topic, kind, info) = topics, topics
        self._subscriptions = [
            MatchedSubscription(self._node, KINDS[kind], self.topic, self._on_image),
            MatchedSubscription(self._node, CameraInfo, info, self._on_info),
        ]
        self._node.get_logger().info(f"showing {self.topic}")

    def close(self) -> None:
        """Subscribe to nothing."""
        for subscription in self._subscriptions:
            subscription.destroy()
        self._subscriptions = []

    def _named(self) -> tuple[str, str, str] | None:
        """Image topic, its type and the topic of camera_info, in the namespace that was given."""
        base = "/".join(["", *filter(None, [self._namespace.strip("/")])])
        for topic, kind in ((f"{base}/image_rect", "Image"), (f"{base}/image_rect/compressed", "CompressedImage")):
            if self._node.count_publishers(topic):
                return topic, f"sensor_msgs/msg/{kind}", f"{base}/camera_info"
        return None

    def _listened(self) -> tuple[str, str, str] | None:
        """The same of the first camera, by name, that the viewed node listens to.

        Subscribers are asked who they are. Asked for a node's topics, rclpy takes one of several of that name, which
        may be one that is gone and not yet missed.
        """
        heard = [
            (topic, kinds[0])
            for topic, kinds in self._node.get_topic_names_and_types()
            if kinds[0] in (*KINDS, INFO) and self._is_heard(topic)
        ]
        images = sorted((topic, kind) for topic, kind in heard if kind in KINDS and "depth" not in topic)
        infos = [topic for topic, kind in heard if kind == INFO]
        if not images or not infos:
            return None
        image, kind = images[0]
        return image, kind, max(infos, key=lambda info: (len(os.path.commonpath([info, image])), -len(info)))

    def _is_heard(self, topic: str) -> bool:
        """Whether the viewed node subscribes to it."""
        subscribers = self._node.get_subscriptions_info_by_topic(topic)
        return any(f"{s.node_namespace.rstrip('/')}/{s.node_name}" == self._viewed for s in subscribers)

    def _on_info(self, msg: CameraInfo) -> None:
        self._info = msg

    def _on_image(self, msg: Picture) -> None:
        self.frame_id = msg.header.frame_id
        self._pictures[_key(msg.header)] = msg
        while (
            len(self._pictures) > 1
            and sum(len(picture.data) for picture in self._pictures.values()) > MAX_WAITING_BYTES
        ):
            self._pictures.popitem(last=False)

    def find(self, header: Header) -> Picture | None:
        """The image of this stamp; older ones are forgotten."""
        key = _key(header)
        while key in self._pictures and next(iter(self._pictures)) != key:
            self._pictures.popitem(last=False)
        return self._pictures.get(key)

    def newest(self) -> Picture | None:
        """The newest image that has come."""
        return next(reversed(self._pictures.values()), None)

    def decode(self, msg: Picture) -> tuple[np.ndarray, CameraModel]:
        """An image (H, W, 3) and its camera.

        Raises:
            UserError: it cannot be read, or there is no camera_info that fits.
        """
        frame = Frame.read(msg, self.topic, self._info, self._found[2])
        return frame.image, frame.camera


def _key(header: Header) -> tuple[int, int]:
    return header.stamp.sec, header.stamp.nanosec
