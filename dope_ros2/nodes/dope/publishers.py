"""What `dope_node` publishes of an image."""

from __future__ import annotations

from dope_msgs.msg import ObjectInfoArray
from geometry_msgs.msg import PoseArray
from rclpy.lifecycle import LifecyclePublisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
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


class Publishers:
    """The publishers; they are silent while the node is not active."""

    def __init__(self, node: ManagedNode, models: list[ObjectModel]) -> None:
        self._node, self._all = node, []
        self._detections = self._open(Detection3DArray, "~/detections", RESULTS)
        self._poses = self._open(PoseArray, "~/poses", RESULTS)
        self._markers = self._open(MarkerArray, "~/markers", RESULTS)
        self._annotated = self._open(Image, "~/image_annotated", QoSProfile(depth=1))
        self._tf = self._open(TFMessage, "/tf", QoSProfile(depth=100))
        self._info = self._open(ObjectInfoArray, "~/object_info", LATCHED)
        self._ros1 = Ros1Topics(node, models) if node.value("ros1_topics") else None

    def _open(self, kind: type, topic: str, qos: QoSProfile) -> LifecyclePublisher:
        self._all.append(self._node.create_lifecycle_publisher(kind, topic, qos))
        return self._all[-1]

    def destroy(self) -> None:
        """Take the topics back."""
        for publisher in self._all:
            self._node.destroy_lifecycle_publisher(publisher)
        if self._ros1:
            self._ros1.destroy()

    def describe(self, models: list[ObjectModel]) -> None:
        """Say what is known about the objects that are looked for."""
        self._info.publish(objects.objects_to_msg(models, Header(stamp=self._node.get_clock().now().to_msg())))

    def publish(self, found: list[Detection], header: Header, camera: CameraInput, *, frames: bool) -> None:
        """Publish on every topic; empty arrays when nothing is seen, since silence would mean "stopped"."""
        self._detections.publish(detections.detections_to_msg(found, header))
        self._poses.publish(detections.poses_to_msg(found, header))
        if self._markers.get_subscription_count() > 0:
            self._markers.publish(camera.markers(found, header))
        if frames and found:
            self._tf.publish(detections.transforms_to_msg(found, header, camera.prefix))
        if self._ros1:
            self._ros1.publish(found, header)

    def annotate(self, frame: Frame, found: list[Detection], header: Header) -> None:
        """The image with what was found, when someone listens."""
        annotated, ros1 = self._annotated.get_subscription_count() > 0, self._ros1 and self._ros1.is_watched
        if not (annotated or ros1):
            return
        picture = overlay.draw(frame.image, frame.camera, found)
        if annotated:
            self._annotated.publish(images.array_to_image(picture, header))
        if ros1:
            self._ros1.draw(picture, header)

    def show_beliefs(self, estimator: Estimator, frame: Frame, settings: Settings, header: Header) -> None:
        """What the network believes, when someone listens, see `Ros1Topics`."""
        if self._ros1:
            self._ros1.show_beliefs(estimator, frame, settings, header)
