"""`camera_node`: a webcam, a video, a folder of images, a bag or a BOP scene as image_rect and camera_info."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.publisher import Publisher
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel, load_camera
from dope_ros2.io.assumed_camera import AssumedCamera
from dope_ros2.io.bop import Truth
from dope_ros2.io.image_sources import SourceImage, endless, open_source
from dope_ros2.nodes.base.node import PlainNode
from dope_ros2.nodes.base.qos import RELIABLE_NEWEST, RESULTS
from dope_ros2.nodes.base.run import node_parser, parse, run
from dope_ros2.nodes.messages import detections, images
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel, load_objects

DELIVERY = Duration(seconds=2.0)  # longest wait for subscribers to get the last image
SETTLING = 0.5  # between finding the last subscriber and the first image [s]


class CameraNode(PlainNode):
    """Publishes images with their camera, and the truth where the source knows it."""

    def __init__(self, **options: object) -> None:
        """Open the source as the parameters say.

        Raises:
            UserError: source, calibration or objects_file are not usable.
        """
        super().__init__("camera", **options)
        self._declare()
        self._source = open_source(self.value("source"))
        self._pictures = endless(self._source) if self.value("loop") else self._source.pictures()
        self._lens = self._make_lens()
        overridable = QoSOverridingOptions.with_default_policies()
        quality = {"qos_profile": RELIABLE_NEWEST, "qos_overriding_options": overridable}
        self._rect = self.create_publisher(Image, "image_rect", **quality)
        self._info = self.create_publisher(CameraInfo, "camera_info", **quality)
        self._raw = self.create_publisher(Image, "image_raw", **quality) if self.value("publish_raw") else None
        self._truth, self._models = None, {}
        if self._source.has_truth:
            self._truth = self.create_publisher(Detection3DArray, "~/ground_truth", RESULTS)
            objects = load_objects(Path(path) if (path := self.value("objects_file")) else None)
            self._models = {model.class_id: model for model in objects.values()}
        fps = self.value("fps") or self._source.rate or 1000.0  # a webcam's read waits for the image
        self._start = None if self.value("wait_for_subscribers") > 0 else time.monotonic()
        self.create_timer(1 / fps, self._on_timer)
        self.get_logger().info(f"publishing {self._source.name} on {self._rect.topic_name}")

    def _declare(self) -> None:
        add = self.parameter
        add("source", "0", "Webcam (0, /dev/video0), video file, image, folder of images, ROS 2 bag or BOP scene.")
        add("calibration", "", "camera_info YAML of the camera; empty: the scene's own, or an estimate from hfov.")
        add("hfov", 60.0, "Horizontal field of view where nothing better is known [degrees].", (5.0, 150.0))
        add("frame_id", "camera_optical_frame", "Frame of the messages: x right, y down, z forward.")
        add("fps", 0.0, "Images per second; 0: as the source has it (10 for images).", (0.0, 1000.0))
        add("loop", False, "Start again at the end; else the node ends there.")
        add("publish_raw", False, "Publish image_raw, before rectification, too.")
        add("objects_file", "", "objects.yaml that names the objects of a BOP scene; empty: the package's.")
        add("wait_for_subscribers", 0, "Subscribers of image_rect and camera_info to wait for.", (0, 100))

    def _make_lens(self) -> AssumedCamera:
        if path := self.value("calibration"):
            return AssumedCamera(calibration=load_camera(Path(path)), source=path)
        return AssumedCamera()

    def _camera(self, picture: SourceImage) -> CameraModel:
        height, width = picture.rgb.shape[:2]
        if self._lens.calibration is None and picture.K is not None:
            return CameraModel(picture.K, width, height)
        if self._lens.calibration is not None:
            return self._lens.camera(width, height)
        hfov = self.value("hfov")
        if self._lens.focal is None:
            self._lens.focal = width / 2 / math.tan(math.radians(hfov) / 2)
            self.get_logger().warning(
                f"{self._source.name}: not calibrated; a horizontal field of view of {hfov:g} degrees is assumed, so "
                "distances are only as good as that guess: give the parameter calibration, or hfov"
            )
        return self._lens.camera(width, height)

    def _on_timer(self) -> None:
        if not self._started():
            return
        picture = next(self._pictures, None)
        if picture is not None:
            self._publish(picture)
            return
        if self._source.live:
            raise UserError(f"{self._source.name}: no more images; is it still connected?")
        if self.context.ok():
            self._rect.wait_for_all_acked(DELIVERY)
        self.done.set_result(0)

    def _started(self) -> bool:
        """Whether the subscribers to wait for are there, and had the time to find us, too."""
        fewest = min(map(_subscribers, (self._rect, self._info)))
        if self._start is None and fewest >= self.value("wait_for_subscribers"):
            self._start = time.monotonic() + SETTLING
        return self._start is not None and time.monotonic() >= self._start

    def _publish(self, picture: SourceImage) -> None:
        camera = self._camera(picture)
        header = Header(stamp=self._stamp(), frame_id=self.value("frame_id"))
        if self._truth is not None:
            truths = [self._known(truth) for truth in picture.truth or () if truth.obj_id in self._models]
            self._truth.publish(detections.detections_to_msg(truths, header))
        self._info.publish(images.camera_to_info(camera, header))
        self._rect.publish(images.array_to_image(camera.rectify(picture.rgb), header))
        if self._raw is not None:
            self._raw.publish(images.array_to_image(picture.rgb, header))

    def _stamp(self) -> Time:
        return self.get_clock().now().to_msg()

    def _known(self, truth: Truth) -> Detection:
        """The truth as a detection whose score is the visible fraction, 1 where the scene does not say."""
        model: ObjectModel = self._models[truth.obj_id]
        visible = 1.0 if truth.visibility is None else truth.visibility
        return Detection(model, visible, truth.pose, np.zeros((6, 6)), reprojection_error=0.0)


def _subscribers(publisher: Publisher) -> int:
    return publisher.get_subscription_count()


def main(argv: list[str] | None = None) -> int:
    """Run the node; returns the exit status."""
    text = "Publish a webcam, a video, a folder of images, a bag or a BOP scene, rectified, with camera_info."
    _, ros = parse(node_parser("camera_node", text), argv)
    return run(CameraNode, "camera_node", ros)


if __name__ == "__main__":
    sys.exit(main())
