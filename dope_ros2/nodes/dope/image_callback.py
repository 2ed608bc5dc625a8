"""What happens when an image comes: it is read, processed, answered on every topic and recorded."""

from __future__ import annotations

import time
import traceback

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from dope_ros2.common.errors import UserError
from dope_ros2.io.messages import read_seconds
from dope_ros2.nodes.base.node import ManagedNode
from dope_ros2.nodes.dope import parameters
from dope_ros2.nodes.dope.camera_input import CameraInput
from dope_ros2.nodes.dope.detect_action import DetectServer
from dope_ros2.nodes.dope.host import Host
from dope_ros2.nodes.dope.publishers import Publishers
from dope_ros2.nodes.dope.recorder import Recorder
from dope_ros2.pipeline.frame import Frame


class ImageCallback:
    """Called with every image and the camera that it is of."""

    def __init__(
        self, node: ManagedNode, host: Host, publishers: Publishers, server: DetectServer, recorder: Recorder
    ) -> None:
        self._node, self._host = node, host
        self._publishers, self._server, self._recorder = publishers, server, recorder

    def __call__(self, msg: Image | CompressedImage, camera: CameraInput) -> None:
        """Look at an image, if it is wanted; whatever is wrong with it is logged and told in the diagnostics."""
        begin = time.monotonic()
        camera.health.arrived(begin)
        if not self._is_wanted(camera, begin):
            return
        age = 1e-9 * self._node.get_clock().now().nanoseconds - read_seconds(msg.header.stamp)
        try:
            self._look(msg, camera)
        except UserError as error:
            fault = str(error)
        except Exception:  # whatever an image can do to us, the next one may be better
            if self._node.is_ending():  # told to stop while it was looked at
                return
            fault = f"{camera.image_topic}: an image could not be looked at:\n{traceback.format_exc()}"
        else:
            camera.health.looked(age, time.monotonic() - begin, self._host.estimator.stages.take())
            return
        camera.health.failed(fault)
        self._node.log_error_throttled(fault)

    def _is_wanted(self, camera: CameraInput, now: float) -> bool:
        """Whether an image that comes now [s] is looked at: by a goal, or because `max_rate` allows it."""
        if self._host.not_active():
            return False
        if self._has_goals(camera):
            return True
        if self._host.idle() or not camera.is_due(self._node.value("max_rate"), now):
            return False
        camera.count_look(now)
        return True

    def _has_goals(self, camera: CameraInput) -> bool:
        """Whether a goal waits for this camera's images."""
        return bool(self._server.searches) and camera is self._host.cameras[0]

    def _look(self, msg: Image | CompressedImage, camera: CameraInput) -> None:
        """Answer the goals that wait for an image, and the image itself, unless switched off."""
        with self._host.estimator.stages("convert"):
            frame = camera.frame(msg)
        if self._has_goals(camera):
            self._server.look(frame, msg.header, camera.pipeline)
        if not self._host.idle():
            self._answer(frame, msg.header, camera)

    def _answer(self, frame: Frame, header: Header, camera: CameraInput) -> None:
        """Process an image, publish the answer and record it; afterwards what nobody waits for."""
        estimator, pipeline = self._host.estimator, camera.pipeline
        period = self._node.value("search_period")
        result = pipeline.process(frame, parameters.request(self._node, estimator.models), period)
        with estimator.stages("publish"):
            self._publishers.publish(result.detections, header, camera, frames=self._node.value("publish_tf"))
        self._recorder.answered(result, header, camera.image_topic, camera.topics, camera.prefix)
        if pipeline.survey_due(result.request, frame.stamp, period):
            pipeline.survey(frame, result.request)
        self._publishers.annotate(frame, result.detections, header)
        self._publishers.show_beliefs(estimator, frame, result.request.settings, header)
