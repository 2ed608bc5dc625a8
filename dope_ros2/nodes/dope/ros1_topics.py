"""The topics of DOPE's ROS 1 node, for programs that were written for it."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.settings import Settings
from dope_ros2.nodes.base.qos import RESULTS
from dope_ros2.nodes.messages import detections, images
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.frame import Frame
from dope_ros2.visualization.belief_image import belief_picture


class Ros1Topics:
    """`~/pose_<object>`, `~/dimension_<object>`, `~/belief_<object>` and `~/rgb_points`.

    One pose and one dimension an instance, the best first: poses of the box's centre, as there, text in centimetres.
    """

    def __init__(self, node: LifecycleNode, models: list[ObjectModel]) -> None:
        make, self._node = node.create_lifecycle_publisher, node
        names = {m.name: m.name.replace("-", "_") for m in models}  # a topic has no "-"
        self._poses = {name: make(PoseStamped, f"~/pose_{topic}", RESULTS) for name, topic in names.items()}
        self._dimensions = {name: make(String, f"~/dimension_{topic}", RESULTS) for name, topic in names.items()}
        self._beliefs = {name: make(Image, f"~/belief_{topic}", 1) for name, topic in names.items()}
        self._drawn = make(Image, "~/rgb_points", 1)
        topics = self._poses, self._dimensions, self._beliefs
        self._all = [*(publisher for each in topics for publisher in each.values()), self._drawn]

    def destroy(self) -> None:
        """Take the topics back."""
        for publisher in self._all:
            self._node.destroy_lifecycle_publisher(publisher)

    def publish(self, found: list[Detection], header: Header) -> None:
        """Say where each instance is, and how large its kind."""
        for detection in found:
            name = detection.model.name
            if name in self._poses:
                self._poses[name].publish(detections.box_to_msg(detection, header))
                size = ", ".join(f"{100 * edge:.3f}" for edge in detection.model.size)
                self._dimensions[name].publish(String(data=f"({size})"))

    @property
    def is_watched(self) -> bool:
        """Whether someone subscribes to any of them."""
        return any(publisher.get_subscription_count() > 0 for publisher in self._all)

    @property
    def draws(self) -> bool:
        """Whether someone wants the image."""
        return self._drawn.get_subscription_count() > 0

    def draw(self, picture: np.ndarray, header: Header) -> None:
        """The image with what was found."""
        self._drawn.publish(images.array_to_image(picture, header))

    def show_beliefs(self, estimator: Estimator, frame: Frame, settings: Settings, header: Header) -> None:
        """The belief maps of the objects of which someone wants them; only then is the estimator asked for them."""
        watched = [name for name, publisher in self._beliefs.items() if publisher.get_subscription_count() > 0]
        if not watched:
            return
        image, maps = estimator.beliefs(frame.image, frame.camera, settings)
        for name in maps.keys() & watched:
            picture = belief_picture(image, maps[name])
            self._beliefs[name].publish(images.array_to_image(picture, header))
