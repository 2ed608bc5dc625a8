"""Depth beside a camera's images: the two are paired by their stamps, and the colour never waits."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from sensor_msgs.msg import Image

from dope_ros2.common.errors import UserError
from dope_ros2.io.messages import read_seconds
from dope_ros2.nodes.base.matched_subscription import MatchedSubscription
from dope_ros2.nodes.base.node import ManagedNode
from dope_ros2.pipeline.camera_pipeline import CameraPipeline
from dope_ros2.pipeline.diagnostics import Condition
from dope_ros2.pipeline.frame import DepthImage, Frame

MAX_DEPTH_IMAGES = 10  # of the newest depth images
MAX_STAMP_DIFFERENCE = 0.05  # that a depth image may have been taken before or after the colour image [s]


class DepthInput:
    """The newest depth images of a camera: a `DepthSource`.

    Attributes:
        topic: resolved name.
        subscription: to it.
    """

    def __init__(self, node: ManagedNode, namespace: str, pipeline: CameraPipeline) -> None:
        """Listen to what corrects the ranges of a pipeline, whose `depth_health` says how that fares."""
        name: str = node.value("depth")
        self.topic = node.resolve_topic_name(name if name.startswith("/") else f"{namespace}/{name}".lstrip("/"))
        self._node, self._health = node, pipeline.depth_health
        for model in pipeline.estimator.models:
            if why := pipeline.depth_correction.shape(model).why:
                node.get_logger().warning(f"depth trusts the box of {model.name}, not its mesh, and so less: {why}")
        self._kept: deque[Image] = deque(maxlen=MAX_DEPTH_IMAGES)
        self.subscription = MatchedSubscription(
            node, Image, self.topic, self._kept.append, node.value("qos"), MAX_DEPTH_IMAGES
        )

    def condition(self, idle: str) -> Condition:
        """How it fares; `idle` says why no images are looked at, if so."""
        condition, lost = self._health.condition(idle), self.subscription.deliveries.counts().lost
        return replace(condition, values=condition.values | {"topic": self.topic, "lost": str(lost)}, source=self.topic)

    def take_waiting(self) -> None:
        """Take what has come: while an image is looked at, which may take longer than its depth, nobody else does."""
        self.subscription.take_waiting()

    def nearest(self, frame: Frame) -> DepthImage | None:
        """The depth image of a frame's moment; None where there is none of use, which is logged."""
        self.take_waiting()
        try:
            return DepthImage.read(self._find(frame), self.topic, frame)
        except UserError as error:
            self._health.missing(str(error))
            self._node.log_error_throttled(str(error))
            return None

    def _find(self, frame: Frame) -> Image:
        """The depth image nearest in time to an image.

        Raises:
            UserError: none is near enough, or it is seen from elsewhere.
        """
        if not self._kept:
            raise UserError(f"{self.topic}: no depth yet; is the camera running, and does it publish this topic?")
        msg = min(self._kept, key=lambda kept: _apart(kept, frame))
        if _apart(msg, frame) > MAX_STAMP_DIFFERENCE:
            raise UserError(
                f"{self.topic}: no depth within {MAX_STAMP_DIFFERENCE:g} s of the image; "
                "is the camera running, and do both have their stamps from one clock?"
            )
        if msg.header.frame_id != frame.frame_id:
            raise UserError(
                f"{self.topic}: its frame is {msg.header.frame_id!r}, that of {frame.topic} {frame.frame_id!r}; "
                "register depth to the colour camera, such as with depth_image_proc"
            )
        return msg


def _apart(msg: Image, frame: Frame) -> float:
    """Seconds between a depth image and another image."""
    return abs(read_seconds(msg.header.stamp) - frame.stamp)
