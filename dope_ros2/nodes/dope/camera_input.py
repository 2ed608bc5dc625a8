"""One camera that `dope_node` listens to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.nodes.base.node import ManagedNode
from dope_ros2.nodes.base.qos import NEWEST
from dope_ros2.nodes.dope.depth_input import DepthInput
from dope_ros2.nodes.dope.recorder import Recorder
from dope_ros2.nodes.messages import markers
from dope_ros2.pipeline.camera_pipeline import CameraPipeline
from dope_ros2.pipeline.diagnostics import CameraHealth
from dope_ros2.pipeline.frame import Frame
from dope_ros2.pipeline.recording import Topics
from dope_ros2.refinement.depth_correction import DepthCorrection


class CameraInput:
    """The topics of a camera, its newest camera_info, and what its images go through.

    Attributes:
        image_topic, info_topic: resolved names.
        prefix: of its frames and markers.
        pipeline, markers: of what it sees.
        health: how its images fare.
        depth: that belongs to them; None where it is not wanted.
        subscriptions: to all its topics.
    """

    def __init__(
        self,
        node: ManagedNode,
        name: str,
        prefix: str,
        estimator: Estimator,
        on_image: Callable[[Image | CompressedImage, CameraInput], None],
        recorder: Recorder,
    ) -> None:
        topics = [node.resolve_topic_name(f"{name}/{topic}".lstrip("/")) for topic in ("image_rect", "camera_info")]
        self.image_topic, self.info_topic = topics
        compressed, wants_depth = node.value("image_transport") == "compressed", bool(node.value("depth"))
        if compressed:
            self.image_topic += "/compressed"
        self.pipeline = CameraPipeline(estimator, DepthCorrection(estimator.models if wants_depth else ()))
        self.prefix, self.markers = prefix, markers.Markers(estimator.models, prefix)
        self.health = CameraHealth(self.image_topic, time.monotonic())
        self._on_image = on_image
        self._info: CameraInfo | None = None
        self._looked = -np.inf  # when an image was looked at last [s]
        overridable, recorded = QoSOverridingOptions.with_default_policies, recorder.recorded
        self.subscriptions = [
            node.create_subscription(
                kind, topic, recorded(topic, callback), NEWEST, qos_overriding_options=overridable()
            )
            for kind, topic, callback in (
                (CompressedImage if compressed else Image, self.image_topic, self.take_image),
                (CameraInfo, self.info_topic, self.take_info),
            )
        ]
        self.depth = DepthInput(node, name, self.pipeline) if wants_depth else None
        if self.depth:
            self.subscriptions.append(self.depth.subscription)

    @property
    def topics(self) -> Topics:
        """Those that belong to the topic of its images."""
        return Topics(self.info_topic, self.depth.topic if self.depth else None)

    def restart(self, estimator: Estimator) -> None:
        """Begin anew with this estimator and its objects."""
        self.pipeline.restart(estimator)
        self.markers.know(estimator.models)

    def take_image(self, msg: Image | CompressedImage) -> None:
        """Let it be looked at."""
        self._on_image(msg, self)

    def take_info(self, msg: CameraInfo) -> None:
        """Images are of this camera from now on."""
        self._info = msg

    def is_due(self, max_rate: float, now: float) -> bool:
        """Whether so many images a second [Hz], 0 for all, allow another one now [s]."""
        return not (max_rate > 0 and now - self._looked < 1 / max_rate)

    def count_look(self, now: float) -> None:
        """One is looked at now [s], for `is_due` to count."""
        self._looked = now

    def frame(self, msg: Image | CompressedImage) -> Frame:
        """An image with its camera, and where to ask for its depth.

        Raises:
            UserError: it cannot be read, there is no camera_info, or that cannot belong to the image.
        """
        frame = Frame.read(msg, self.image_topic, self._info, self.info_topic)
        if not self.depth:
            return frame
        self.depth.take_waiting()
        return replace(frame, depth=self.depth)
