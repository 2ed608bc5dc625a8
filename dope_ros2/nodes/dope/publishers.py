"""What `dope_node` publishes of an image."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
from dope_msgs.msg import ObjectInfoArray, TrackArray
from geometry_msgs.msg import PoseArray
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.settings import Settings
from dope_ros2.nodes.base.node import ManagedNode
from dope_ros2.nodes.base.qos import LATCHED, RESULTS
from dope_ros2.nodes.dope.camera_input import CameraInput
from dope_ros2.nodes.dope.ros1_topics import Ros1Topics
from dope_ros2.nodes.messages import detections, images, objects
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.frame import Frame
from dope_ros2.visualization import overlay

DELIVERY = Duration(seconds=0.5)
EXPIRY_PERIOD = 0.25  # how often markers that have outlived their image are looked for [s]


class Publishers:
    """The publishers; they are silent while the node is not active."""

    def __init__(self, node: ManagedNode, models: list[ObjectModel]) -> None:
        self._node, self._all = node, []
        self._detections = self._open(Detection3DArray, "~/detections", RESULTS)
        self._tracks = self._open(TrackArray, "~/tracks", RESULTS)
        self._poses = self._open(PoseArray, "~/poses", RESULTS)
        self._markers = self._open(MarkerArray, "~/markers", RESULTS)
        self._annotated = self._open(Image, "~/image_annotated", QoSProfile(depth=1))
        self._jpeg = self._open(CompressedImage, "~/image_annotated/compressed", QoSProfile(depth=1))
        self._tf = self._open(TFMessage, "/tf", QoSProfile(depth=100))
        self._info = self._open(ObjectInfoArray, "~/object_info", LATCHED)
        self._ros1 = Ros1Topics(node, models) if node.value("ros1_topics") else None
        self._expiry: dict[CameraInput, float] = {}  # when the markers of each have outlived their image [s]
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(EXPIRY_PERIOD, self._delete_expired, clock=steady)

    def _open(self, kind: type, topic: str, qos: QoSProfile) -> LifecyclePublisher:
        self._all.append(self._node.create_lifecycle_publisher(kind, topic, qos))
        return self._all[-1]

    def destroy(self) -> None:
        """Take the topics back."""
        self._node.destroy_timer(self._timer)
        for publisher in self._all:
            self._node.destroy_lifecycle_publisher(publisher)
        if self._ros1:
            self._ros1.destroy()

    def describe(self, models: list[ObjectModel]) -> None:
        """Say what is known about the objects that are looked for."""
        self._info.publish(objects.objects_to_msg(models, Header(stamp=self._node.get_clock().now().to_msg())))

    def is_watched(self) -> bool:
        """Whether another node subscribes to results; transforms are some where they are published."""
        topics = [self._detections, self._tracks, self._poses, self._markers, self._annotated, self._jpeg]
        if any(topic.get_subscription_count() > 0 for topic in topics) or (self._ros1 and self._ros1.is_watched):
            return True
        own = sum(subscription.topic_name == self._tf.topic_name for subscription in self._node.subscriptions)
        return self._node.value("publish_tf") and self._tf.get_subscription_count() > own

    def publish(self, found: list[Detection], header: Header, camera: CameraInput, *, frames: bool) -> None:
        """Publish on every topic; empty arrays when nothing is seen, since silence would mean "stopped"."""
        self._detections.publish(detections.detections_to_msg(found, header, camera.prefix))
        self._tracks.publish(detections.tracks_to_msg(found, header, camera.prefix))
        self._poses.publish(detections.poses_to_msg(found, header))
        if self._markers.get_subscription_count() > 0:
            self._publish_markers(found, header, camera)
        if frames and found:
            self._tf.publish(detections.transforms_to_msg(found, header, camera.prefix))
        if self._ros1:
            self._ros1.publish(found, header)

    def _publish_markers(self, found: list[Detection], header: Header, camera: CameraInput) -> None:
        lifetime, max_rate = self._node.value("marker_lifetime"), self._node.value("max_rate")
        if lifetime and max_rate:
            lifetime = max(lifetime, 2 / max_rate)
        self._markers.publish(camera.markers(found, header, lifetime))
        self._expiry[camera] = time.monotonic() + (lifetime or np.inf)

    def delete_markers(self, cameras: Iterable[CameraInput]) -> None:
        """Remove what these cameras have shown from the viewers; where several nodes share the topic, nothing else."""
        for camera in cameras:
            self._expiry.pop(camera, None)
            if (msg := camera.markers.delete()).markers:
                self._markers.publish(msg)

    def end(self, cameras: Iterable[CameraInput]) -> None:
        """Remove what has been shown, and wait until viewers have heard it, for `DELIVERY` at most."""
        self.delete_markers(cameras)
        self._markers.wait_for_all_acked(DELIVERY)

    def _delete_expired(self) -> None:
        now = time.monotonic()
        self.delete_markers([camera for camera, end in self._expiry.items() if end < now])

    def annotate(self, frame: Frame, found: list[Detection], header: Header) -> None:
        """The image with what was found, when someone listens."""
        annotated, jpeg = (topic.get_subscription_count() > 0 for topic in (self._annotated, self._jpeg))
        ros1 = self._ros1 and self._ros1.draws
        if not (annotated or jpeg or ros1):
            return
        picture = overlay.draw(frame.image, frame.camera, found)
        if annotated:
            self._annotated.publish(images.array_to_image(picture, header))
        if jpeg:
            self._jpeg.publish(images.array_to_jpeg(picture, header))
        if ros1:
            self._ros1.draw(picture, header)

    def show_beliefs(self, estimator: Estimator, frame: Frame, settings: Settings, header: Header) -> None:
        """What the network believes, when someone listens, see `Ros1Topics`."""
        if self._ros1:
            self._ros1.show_beliefs(estimator, frame, settings, header)
