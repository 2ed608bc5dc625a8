"""One camera that `dope_node` listens to."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.nodes.base.node import ManagedNode
from dope_ros2.nodes.base.qos import NEWEST
from dope_ros2.nodes.dope.depth_input import DepthInput
from dope_ros2.nodes.dope.recorder import Recorder
from dope_ros2.nodes.messages import markers
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.camera_pipeline import Find, Sight
from dope_ros2.pipeline.diagnostics import CameraHealth


class CameraInput:
    """The topics of a camera, its newest camera_info, its tracks and markers.

    Attributes:
        image_topic, info_topic: resolved names.
        prefix: of its frames and markers.
        sight, markers: of what it sees.
        health: how its images fare.
        depth: that belongs to them; None where it is not wanted.
    """

    def __init__(
        self,
        node: ManagedNode,
        name: str,
        prefix: str,
        models: list[ObjectModel],
        on_image: Callable[[Image | CompressedImage, CameraInput], None],
        recorder: Recorder,
    ) -> None:
        topics = [node.resolve_topic_name(f"{name}/{topic}".lstrip("/")) for topic in ("image_rect", "camera_info")]
        self.image_topic, self.info_topic = topics
        compressed = node.value("image_transport") == "compressed"
        if compressed:
            self.image_topic += "/compressed"
        self.prefix, self.sight, self.markers = prefix, Sight(models), markers.Markers(models, prefix)
        self.health = CameraHealth(self.image_topic, time.monotonic())
        self._info: CameraInfo | None = None
        self._looked = -np.inf
        overridable, tap = QoSOverridingOptions.with_default_policies, recorder.tap
        self.subscriptions = [
            node.create_subscription(kind, topic, tap(topic, callback), NEWEST, qos_overriding_options=overridable())
            for kind, topic, callback in (
                (CompressedImage if compressed else Image, self.image_topic, lambda msg: on_image(msg, self)),
                (CameraInfo, self.info_topic, self._on_info),
            )
        ]
        self.depth = DepthInput(node, name, self.image_topic, models) if node.value("depth") else None
        if self.depth:
            self.subscriptions.append(self.depth.subscription)

    def with_depth(self, find: Find, header: Header, camera: CameraModel) -> Find:
        """A search in an image with this header, its ranges corrected where there is depth."""
        return self.depth.correcting(find, header, camera) if self.depth else find

    def know(self, models: list[ObjectModel]) -> None:
        """Begin anew with these objects."""
        self.sight = Sight(models)
        self.markers.know(models)

    def _on_info(self, msg: CameraInfo) -> None:
        self._info = msg

    def is_due(self, max_rate: float) -> bool:
        """Whether so many images a second allow another one now, which then counts."""
        now = time.monotonic()
        if max_rate > 0 and now - self._looked < 1 / max_rate:
            return False
        self._looked = now
        return True

    def model(self, width: int, height: int) -> CameraModel:
        """The camera of an image of this size.

        Raises:
            UserError: there is no camera_info, or it cannot belong to the image.
        """
        if self._info is None:
            raise UserError(f"{self.info_topic}: no camera_info yet for {self.image_topic}; start its publisher")
        return self.sight.camera(self._info, self.info_topic, width, height, self.image_topic)
