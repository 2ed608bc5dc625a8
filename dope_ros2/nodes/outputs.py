"""What `dope_node` publishes of an image."""

from __future__ import annotations

import numpy as np
from dope_msgs.msg import ObjectInfoArray
from geometry_msgs.msg import PoseArray
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from dope_ros2 import overlay
from dope_ros2.camera import CameraModel
from dope_ros2.detection import Detection
from dope_ros2.nodes import messages
from dope_ros2.nodes.camera_input import CameraInput
from dope_ros2.nodes.shell import LATCHED, RESULTS
from dope_ros2.objects import ObjectModel


class Outputs:
    """The publishers; they are silent while the node is not active."""

    def __init__(self, node: LifecycleNode) -> None:
        make, self._node = node.create_lifecycle_publisher, node
        self._detections = make(Detection3DArray, "~/detections", RESULTS)
        self._poses = make(PoseArray, "~/poses", RESULTS)
        self._markers = make(MarkerArray, "~/markers", RESULTS)
        self._annotated = make(Image, "~/image_annotated", QoSProfile(depth=1))
        self._tf = make(TFMessage, "/tf", QoSProfile(depth=100))
        self._info = make(ObjectInfoArray, "~/object_info", LATCHED)

    def destroy(self) -> None:
        """Take the topics back."""
        for publisher in (self._detections, self._poses, self._markers, self._annotated, self._tf, self._info):
            self._node.destroy_lifecycle_publisher(publisher)

    def describe(self, models: list[ObjectModel]) -> None:
        """Say what is known about the objects that are looked for."""
        self._info.publish(messages.objects_to_msg(models, Header(stamp=self._node.get_clock().now().to_msg())))

    def publish(self, found: list[Detection], header: Header, camera: CameraInput, *, frames: bool) -> None:
        """Publish on every topic; empty arrays when nothing is seen, since silence would mean "stopped"."""
        self._detections.publish(messages.detections_to_msg(found, header))
        self._poses.publish(messages.poses_to_msg(found, header))
        self._markers.publish(camera.markers(found, header))
        if frames and found:
            self._tf.publish(messages.transforms_to_msg(found, header, camera.prefix))

    def annotate(self, image: np.ndarray, model: CameraModel, found: list[Detection], header: Header) -> None:
        """The picture with what was found, when someone listens."""
        if self._annotated.get_subscription_count() > 0:
            self._annotated.publish(messages.array_to_image(overlay.draw(image, model, found), header))
