"""`dope_node`: rectified images and camera_info in, poses of every known object out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dope_msgs.msg import ObjectInfoArray
from geometry_msgs.msg import PoseArray
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from dope_ros2 import overlay
from dope_ros2.camera import CameraModel
from dope_ros2.detection import Detection
from dope_ros2.errors import UserError, closest
from dope_ros2.estimator import Estimator, Settings
from dope_ros2.nodes import messages
from dope_ros2.nodes.shell import LATCHED, NEWEST, RESULTS, ShellNode, check_running, node_parser, parse, run
from dope_ros2.objects import load_objects
from dope_ros2.resources import resolve, share
from dope_ros2.tracking import Smoothing, Tracker


@dataclass
class _Camera:
    """A subscribed camera: its topics, the latest camera_info, and the prefix of its frames and markers."""

    image_topic: str
    info_topic: str
    prefix: str
    markers: messages.Markers
    tracker: Tracker
    info: CameraInfo | None = None
    seen_by: CameraModel | None = None

    def model(self, width: int, height: int) -> CameraModel:
        """The camera of an image of this size; another one than before has seen nothing yet.

        Raises:
            UserError: there is no camera_info, or it cannot belong to the image.
        """
        if self.info is None:
            raise UserError(f"{self.info_topic}: no camera_info yet for {self.image_topic}; start its publisher")
        camera = messages.camera_info_to_camera(self.info, self.info_topic)
        if abs(width * camera.height - height * camera.width) > max(width, height, camera.width, camera.height):
            raise UserError(
                f"{self.image_topic}: an image of {width}x{height} does not fit {self.info_topic}, which is of "
                f"{camera.width}x{camera.height}: other proportions; give both from one camera"
            )
        camera = camera.resized(width, height)
        if self.seen_by is None or not np.array_equal(camera.K, self.seen_by.K):
            self.tracker.reset()
        self.seen_by = camera
        return camera


class DopeNode(ShellNode):
    """Publishes the poses of the objects in each image, with the image's stamp and frame."""

    def __init__(self, estimator: Estimator | None = None, **options: object) -> None:
        """Start; the estimator is loaded as the parameters say when none is given.

        Raises:
            UserError: weights, objects or device are not usable.
        """
        super().__init__("dope", **options)
        self._declare()
        self._estimator = estimator or self._load()
        check_running(self)
        self._names = self._chosen()
        self._detections = self.create_publisher(Detection3DArray, "~/detections", RESULTS)
        self._poses = self.create_publisher(PoseArray, "~/poses", RESULTS)
        self._markers = self.create_publisher(MarkerArray, "~/markers", RESULTS)
        self._annotated = self.create_publisher(Image, "~/image_annotated", QoSProfile(depth=1))
        self._tf = self.create_publisher(TFMessage, "/tf", QoSProfile(depth=100)) if self.value("publish_tf") else None
        self._info = self.create_publisher(ObjectInfoArray, "~/object_info", LATCHED)
        models = [model for model in self._estimator.models if model.name in self._names]
        self._info.publish(messages.objects_to_msg(models, Header(stamp=self.get_clock().now().to_msg())))
        cameras = self.value("cameras") or [""]
        self._cameras = [self._subscribe(name.strip("/"), len(cameras) > 1) for name in cameras]
        topics = ", ".join(camera.image_topic for camera in self._cameras)
        self.get_logger().info(f"looking for {', '.join(self._names)} in {topics}")

    def _declare(self) -> None:
        add = self.parameter
        add("weights", "", "Weights file; empty: the package's dope-lite.safetensors.")
        add("objects_file", "", "objects.yaml; empty: the package's.")
        add("objects", [""], "Names of the objects to look for; empty: all that the weights know.")
        add("device", "auto", "auto, cpu or cuda.")
        add("cameras", [""], "Namespaces of image_rect and camera_info, one per camera; empty: the node's own.")
        add("publish_tf", True, "Publish a frame <class>_<n> for each detection.")
        text = "Scale images to this height before detection [px]; 0: their own, -1: what the weights were trained for."
        add("input_height", -1, text, (-1, 4096))
        start = Settings()
        text = "Look again at each object that is found, larger: more exact poses, for a fifth more time each."
        add("closer_look", start.closer_look, text, fixed=False)
        add("min_score", start.min_score, "Detections below are not published.", (0.0, 1.0), fixed=False)
        text = "Lowest belief that counts as a keypoint."
        add("peak_threshold", start.peak_threshold, text, (0.01, 1.0), fixed=False)
        text = "Largest root mean square error of a pose's keypoints [px at the network's scale]."
        add("max_reprojection_error", start.max_reprojection_error, text, (0.1, 100.0), fixed=False)
        add("tracking", True, "Give instances a name that lasts, and filter their poses.", fixed=False)
        begin = Smoothing()
        text = "Of tracked poses: 0 leaves them as measured, 1 suits what mostly lies still, 2 expects half the motion."
        add("smoothing", begin.strength, text, (0.0, 10.0), fixed=False)
        text = "An object that is not seen is still reported for so long [s]."
        add("coast", begin.coast, text, (0.0, 10.0), fixed=False)
        text = "After so long without being seen an object is forgotten, and its number is free [s]."
        add("max_age", begin.max_age, text, (0.0, 3600.0), fixed=False)

    def _load(self) -> Estimator:
        weights, objects_file = self.value("weights"), self.value("objects_file")
        path = resolve(weights, Path.cwd()) if weights else share() / "weights" / "dope-lite.safetensors"
        objects = load_objects(resolve(objects_file, Path.cwd()) if objects_file else None)
        return Estimator.load(path, objects, self.value("device"))

    def _chosen(self) -> list[str]:
        known = [model.name for model in self._estimator.models]
        names = [name for name in self.value("objects") if name]
        for name in names:
            if name not in known:
                raise UserError(f"parameter objects: the weights know no {name!r}{closest(name, known)}")
        return names or known

    def _subscribe(self, name: str, several: bool) -> _Camera:
        topics = [self.resolve_topic_name(f"{name}/{topic}".lstrip("/")) for topic in ("image_rect", "camera_info")]
        prefix = f"{name.replace('/', '_')}_" if several else ""
        models = self._estimator.models
        camera = _Camera(*topics, prefix, messages.Markers(models, prefix), Tracker(models))
        kinds = (Image, lambda msg: self._on_image(msg, camera)), (CameraInfo, lambda msg: setattr(camera, "info", msg))
        for topic, (kind, callback) in zip(topics, kinds, strict=True):
            overridable = QoSOverridingOptions.with_default_policies()
            self.create_subscription(kind, topic, callback, NEWEST, qos_overriding_options=overridable)
        return camera

    def _settings(self) -> Settings:
        names = ("min_score", "peak_threshold", "max_reprojection_error", "input_height", "closer_look")
        return Settings(objects=tuple(self._names), **{name: self.value(name) for name in names})

    def _smoothing(self) -> Smoothing:
        return Smoothing(self.value("smoothing"), self.value("coast"), self.value("max_age"))

    def _on_image(self, msg: Image, camera: _Camera) -> None:
        try:
            image = messages.image_to_array(msg, camera.image_topic)
            model = camera.model(msg.width, msg.height)
        except UserError as error:
            self.complain(str(error))
            return
        found = self._estimator(image, model, self._settings())
        if self.value("tracking"):
            found = camera.tracker(found, messages.seconds(msg.header.stamp), self._smoothing())
        self._publish(found, msg.header, camera)
        if self._annotated.get_subscription_count() > 0:
            self._annotated.publish(messages.array_to_image(overlay.draw(image, model, found), msg.header))

    def _publish(self, found: list[Detection], header: Header, camera: _Camera) -> None:
        """Publish on every topic; empty arrays when nothing is seen, since silence would mean "stopped"."""
        self._detections.publish(messages.detections_to_msg(found, header))
        self._poses.publish(messages.poses_to_msg(found, header))
        self._markers.publish(camera.markers(found, header))
        if self._tf and found:
            self._tf.publish(messages.transforms_to_msg(found, header, camera.prefix))


def main(argv: list[str] | None = None) -> int:
    """Run the node; returns the exit status."""
    _, ros = parse(node_parser("dope_node", "Publish the poses of known objects in rectified images."), argv)
    return run(DopeNode, "dope_node", ros)


if __name__ == "__main__":
    sys.exit(main())
