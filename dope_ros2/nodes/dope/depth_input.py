"""Depth beside a camera's images: the two are paired by their stamps, and the colour never waits."""

from __future__ import annotations

from collections import Counter, deque

from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io import camera_info
from dope_ros2.nodes.base.node import ManagedNode
from dope_ros2.nodes.messages import geometry, images
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.camera_pipeline import Find
from dope_ros2.pipeline.diagnostics import Condition, Level
from dope_ros2.refinement.depth_correction import DepthCorrection

MAX_DEPTH_IMAGES = 10  # of the newest depth images
MAX_STAMP_DIFFERENCE = 0.05  # that a depth image may have been taken before or after the colour image [s]


class DepthInput:
    """The newest depth images of a camera, and how they fare.

    Attributes:
        topic: resolved name.
        subscription: to it.
        used: what served the newest image; None: nothing did.
    """

    def __init__(self, node: ManagedNode, namespace: str, image_topic: str, models: list[ObjectModel]) -> None:
        name: str = node.value("depth")
        self.topic = node.resolve_topic_name(name if name.startswith("/") else f"{namespace}/{name}".lstrip("/"))
        self._node, self._image_topic = node, image_topic
        self._correct = DepthCorrection(models)
        for model in models:
            if why := self._correct.shape(model).why:
                node.get_logger().warning(f"depth trusts the box of {model.name}, not its mesh, and so less: {why}")
        self._kept: deque[Image] = deque(maxlen=MAX_DEPTH_IMAGES)
        self._counts = Counter(with_depth=0, without_depth=0, corrected=0, left_as_they_were=0)
        self._message, self._fault = "no image looked at yet", ""
        self.used: Image | None = None
        self.subscription = node.create_subscription(
            Image,
            self.topic,
            lambda msg: self._kept.append(msg),  # rclpy wants a signature, which the method itself has not
            QoSProfile(depth=MAX_DEPTH_IMAGES, reliability=ReliabilityPolicy.BEST_EFFORT),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def correcting(self, find: Find, header: Header, camera: CameraModel) -> Find:
        """A search in an image with this header and camera, with its ranges corrected."""
        self._read()
        return lambda *asked: self._corrected(find(*asked), header, camera)

    def condition(self, idle: str = "") -> Condition:
        """Whether depth is of use; `idle` says why no images are looked at, if so."""
        level = Level.WARN if self._fault and not idle else Level.OK
        values = {name: str(count) for name, count in self._counts.items()}
        return Condition(level, idle or self._fault or self._message, values)

    def _read(self) -> None:
        """Take what has come: while an image is looked at, which may take longer than its depth, nobody else does."""
        with self.subscription.handle:
            while (taken := self.subscription.handle.take_message(Image, False)) is not None:
                self._kept.append(taken[0])

    def _corrected(self, found: list[Detection], header: Header, camera: CameraModel) -> list[Detection]:
        """The detections in an image, those corrected that the depth of its moment allows."""
        self._read()
        self.used = None
        try:
            msg = self._nearest(header)
            depth = images.depth_to_array(msg, self.topic)
            height, width = depth.shape
            seen_by = camera_info.fitted(camera, width, height, self.topic, self._image_topic)
        except UserError as error:
            self._fault = str(error)
            self._counts["without_depth"] += 1
            self._node.complain(self._fault)
            return found
        self.used, apart = msg, _apart(msg, header)
        corrected = [self._correct(detection, depth, seen_by, apart) for detection in found]
        changed = sum(new is not old for new, old in zip(corrected, found, strict=True))
        self._counts.update(with_depth=1, corrected=changed, left_as_they_were=len(found) - changed)
        self._message, self._fault = "correcting ranges", ""
        return corrected

    def _nearest(self, header: Header) -> Image:
        """The depth image nearest in time to an image.

        Raises:
            UserError: none is near enough, or it is seen from elsewhere.
        """
        if not self._kept:
            raise UserError(f"{self.topic}: no depth yet; is the camera running, and does it publish this topic?")
        msg = min(self._kept, key=lambda kept: _apart(kept, header))
        if _apart(msg, header) > MAX_STAMP_DIFFERENCE:
            raise UserError(
                f"{self.topic}: no depth within {MAX_STAMP_DIFFERENCE:g} s of the image; "
                "is the camera running, and do both have their stamps from one clock?"
            )
        if msg.header.frame_id != header.frame_id:
            raise UserError(
                f"{self.topic}: its frame is {msg.header.frame_id!r}, that of {self._image_topic} {header.frame_id!r}; "
                "register depth to the colour camera, such as with depth_image_proc"
            )
        return msg


def _apart(msg: Image, header: Header) -> float:
    """Seconds between an image and another one's header."""
    return abs(geometry.seconds(msg.header.stamp) - geometry.seconds(header.stamp))
