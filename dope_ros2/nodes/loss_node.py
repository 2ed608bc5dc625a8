"""`loss_node`: a camera that counts what a node makes of its images, and whether it is called silent."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dope_ros2.common import files
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.nodes.base.node import PlainNode
from dope_ros2.nodes.base.qos import CHOICES, RELIABLE_NEWEST, RESULTS
from dope_ros2.nodes.base.run import parse, run
from dope_ros2.nodes.messages import images

FOCAL = 600.0  # [px]
CORNER = (1, 0, 7)  # of the images, from which the estimator of the tests takes its answer: one object after 70 ms
SETTLING = 2.0  # from the first answer to the first image that counts, and from the last one to the last answer [s]
COUNTED = ("images", "looked_at", "displaced", "lost")  # values of the diagnostics


class LossNode(PlainNode):
    """Publishes until some seconds after the first answer; done when the answers to that have come."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Publish images of this size, at this rate and reliability."""
        super().__init__("loss")
        self._options = options
        self._message, self._info = frame(options.width, options.height, options.compressed)
        quality = QoSProfile(depth=options.depth, reliability=CHOICES[options.qos])
        topic = "/image_rect/compressed" if options.compressed else "/image_rect"
        self._images = self.create_publisher(type(self._message), topic, quality)
        self._infos = self.create_publisher(CameraInfo, "/camera_info", RELIABLE_NEWEST)
        self.create_subscription(Detection3DArray, "/dope/detections", self._on_answer, RESULTS)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RESULTS)
        self._began: float | None = None  # when the first answer came
        self._sent: set[tuple[int, int]] = set()  # stamps of the images that count
        self._answered: set[tuple[int, int]] = set()
        self._silences: list[str] = []
        self._levels: set[int] = set()
        self._values: dict[str, str] = {}
        self._before: dict[str, str] = {}
        self.create_timer(1 / options.rate, self._on_timer)

    def _on_timer(self) -> None:
        elapsed, seconds = self._elapsed(), self._options.seconds
        if elapsed > seconds + SETTLING and not self.done.done():
            self._finish()
        if elapsed > seconds:
            return
        stamp = self.get_clock().now().to_msg()
        self._message.header.stamp = self._info.header.stamp = stamp
        self._infos.publish(self._info)
        self._images.publish(self._message)
        if elapsed >= 0:
            self._before = self._before or dict(self._values)
            self._sent.add((stamp.sec, stamp.nanosec))

    def _elapsed(self) -> float:
        """Since the first image that counts [s]; negative before it."""
        return -1.0 if self._began is None else time.monotonic() - self._began - SETTLING

    def _on_answer(self, msg: Detection3DArray) -> None:
        self._began = self._began or time.monotonic()
        self._answered.add((msg.header.stamp.sec, msg.header.stamp.nanosec))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        cameras = [s for s in msg.status if s.name.startswith("/dope: ") and "looked_at" in (v.key for v in s.values)]
        for status in cameras:
            self._values = {entry.key: entry.value for entry in status.values}
            if 0 <= self._elapsed() <= self._options.seconds:
                self._levels.add(status.level[0])
                if status.level == DiagnosticStatus.ERROR and "no image" in status.message:
                    self._silences.append(status.message)

    def _finish(self) -> None:
        counts = {k: int(self._values[k]) - int(self._before.get(k, 0)) for k in COUNTED if k in self._values}
        looked = len(self._sent & self._answered)
        figures = {"published": len(self._sent), "answered": looked, "silences": self._silences, "counts": counts}
        files.write_json(self._options.out, figures | {"levels": sorted(self._levels), "values": self._values})
        self.done.set_result(0)


def frame(width: int, height: int, compressed: bool) -> tuple[Image | CompressedImage, CameraInfo]:
    """An image of noise, rgb8 or JPEG, and its camera_info."""
    header = Header(frame_id="camera")
    rgb = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    rgb[0, 0] = CORNER
    rgb = np.repeat(np.repeat(rgb, 8, 0), 8, 1)
    info = images.camera_to_info(CameraModel.from_focal(FOCAL, width, height), header)
    if not compressed:
        return images.array_to_image(rgb, header), info
    return images.array_to_jpeg(rgb, header), info


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="loss_node", description="Count what /dope makes of the images published.")
    add = parser.add_argument
    add("--width", type=int, default=640)
    add("--height", type=int, default=480)
    add("--rate", type=float, default=15.0, help="images a second")
    add("--seconds", type=float, default=10.0, help="how long images count")
    add("--qos", choices=["reliable", "best_effort"], default="reliable", help="of the images")
    add("--depth", type=int, default=1, help="queue of the images' publisher")
    add("--compressed", action="store_true", help="publish JPEG")
    add("--out", type=Path, required=True, help="JSON")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run it; returns the exit status."""
    options, ros = parse(_parser(), argv)
    return run(partial(LossNode, options), "loss_node", ros)


if __name__ == "__main__":
    sys.exit(main())
