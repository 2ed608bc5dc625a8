"""One camera that `dope_node` listens to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.nodes.base.fault_log import FaultLog, why_nothing_comes
from dope_ros2.nodes.base.matched_subscription import MatchedSubscription
from dope_ros2.nodes.base.node import ManagedNode
from dope_ros2.nodes.dope.depth_input import DepthInput
from dope_ros2.nodes.dope.recorder import Recorder
from dope_ros2.nodes.messages import markers
from dope_ros2.pipeline.camera_pipeline import CameraPipeline
from dope_ros2.pipeline.diagnostics import MAX_LOSS, CameraHealth, Condition
from dope_ros2.pipeline.frame import Frame
from dope_ros2.pipeline.recording import Topics
from dope_ros2.refinement.depth_correction import DepthCorrection

IMAGES, INFO = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"), "sensor_msgs/msg/CameraInfo"


class CameraInput:
    """The topics of a camera, its newest camera_info, and what its images go through.

    Attributes:
        image_topic, info_topic: resolved names.
        name: the namespace of its topics, without slashes around it; empty: the node's.
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
        self.name, self.prefix, self.markers = name, prefix, markers.Markers(estimator.models, prefix)
        self._on_image = on_image
        self._info: CameraInfo | None = None
        self._looked = -np.inf  # when an image was looked at last [s]
        self.subscriptions = [
            MatchedSubscription(node, kind, topic, recorder.recorded(topic, callback), node.value("qos"))
            for kind, topic, callback in (
                (CompressedImage if compressed else Image, self.image_topic, self.take_image),
                (CameraInfo, self.info_topic, self.take_info),
            )
        ]
        self._kinds = IMAGES[::-1] if compressed else IMAGES
        self._node, self._images = node, self.subscriptions[0]
        self.health = CameraHealth(self.image_topic, time.monotonic(), self._images.deliveries)
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

    def condition(self, now: float, slack: float, idle: str) -> Condition:
        """How its images fare now [s]; arguments as those of `CameraHealth.condition`."""
        remedy = self._images.remedy() if self.health.deliveries.loss() > MAX_LOSS else ""
        condition = self.health.condition(now, idle, slack, remedy)
        qos = "reliable" if self._images.is_reliable else "best_effort"
        return replace(condition, values=condition.values | {"camera_info": self.info_topic, "qos": qos})

    def report(self, log: FaultLog, now: float, slack: float) -> None:
        """Log what does not come, and why that may be, and when it comes again; arguments as those of `condition`."""
        topic, loss = self.image_topic, self.health.deliveries.loss()
        silent = self.health.silence(now, slack) is not None
        log.update(f"{topic}: images", now, self._why_no_images if silent else None, f"{topic}: images come")
        missing = self._why_no_info if self._info is None else None
        log.update(f"{topic}: info", now, missing, f"{self.info_topic}: camera_info has come")
        lossy = (lambda: self.health.loss_told(self._images.remedy())) if loss > MAX_LOSS else None
        log.update(f"{topic}: loss", now, lossy, f"{topic}: images are no longer lost")

    def _why_no_images(self) -> str:
        why = why_nothing_comes(self._node, self.image_topic, self._kinds, self._images.is_reliable)
        return f"{self.image_topic}: no image {'comes any more' if self.health.has_come() else 'has come'}: {why}"

    def _why_no_info(self) -> str:
        why = why_nothing_comes(self._node, self.info_topic, [INFO], self.subscriptions[1].is_reliable)
        return f"{self.info_topic}: no camera_info has come: {why}"

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
