"""`soak_node`: a camera and an operator in trouble, who measure how a node bears it."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from rclpy.client import Client
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dope_ros2.common import files
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io.image_sources import open_source
from dope_ros2.nodes.base.node import PlainNode
from dope_ros2.nodes.base.qos import RELIABLE_NEWEST, RESULTS
from dope_ros2.nodes.base.run import parse, run
from dope_ros2.nodes.messages import images
from dope_ros2.nodes.soak.faults import FAULTS, Call, Fault

FAULT_SECONDS, HEALTHY_SECONDS = 1.5, 2.5  # how long a fault lasts, and how long none does [s]
FOCAL = 600.0  # of images that do not say it [px]
NO_FAULT = Fault()


def pictures(source: str) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """(H, W, 3) images and their camera matrices (3, 3), where they are known; without a source a ramp."""
    if source:
        return [(picture.rgb, picture.K) for picture in open_source(source).pictures()]
    ramp = np.add.outer(np.arange(480), np.arange(640)) // 8 + 2
    return [(np.repeat(ramp[..., None], 3, 2).astype(np.uint8), None)]


def frames(source: str) -> list[tuple[Image, CameraInfo]]:
    """The same as messages."""
    result = []
    for rgb, K in pictures(source):
        height, width = rgb.shape[:2]
        camera = CameraModel.from_focal(FOCAL, width, height) if K is None else CameraModel(K, width, height)
        header = Header(frame_id="camera")
        result.append((images.array_to_image(rgb, header), images.camera_to_info(camera, header)))
    return result


class SoakNode(PlainNode):
    """Publishes images, good ones and bad ones in turn, calls services, and notes when answers come."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__("soak")
        self._options, self._frames = options, itertools.cycle(frames(options.source))
        self._image = self.create_publisher(Image, "/image_rect", RELIABLE_NEWEST)
        self._info = self.create_publisher(CameraInfo, "/camera_info", RELIABLE_NEWEST)
        self.create_subscription(Detection3DArray, f"{options.node}/detections", self._on_answer, RESULTS)
        self._callers: dict[str, Client] = {}
        self._begin = time.monotonic()
        self._until = self._begin + HEALTHY_SECONDS
        self._troubles, self._name, self._trouble = itertools.cycle(FAULTS.items()), "", NO_FAULT
        self._sent: dict[tuple[int, int], float] = {}  # when good images were published, by their stamps
        # The last trouble that no answer has come after, and when it ended; infinity: when a service says so.
        self._over: tuple[str, float] | None = None
        self._record: dict[str, object] = {"images": 0, "latencies": [], "asked": 0, "calls": []}
        self._record["recoveries"] = {name: [] for name in FAULTS}
        self.create_timer(1 / options.rate, self._on_timer)

    def _on_timer(self) -> None:
        now = time.monotonic()
        if now - self._begin > self._options.seconds:
            self._finish()
            return
        if now >= self._until:
            self._turn(now)
        image, info = next(self._frames)
        image.header.stamp = info.header.stamp = self.get_clock().now().to_msg()
        if (changed := self._trouble.info(info)) is not None:
            self._info.publish(changed)
        if (changed := self._trouble.image(image)) is not None:
            self._image.publish(changed)
        self._record["images"] += 1
        if self._trouble is NO_FAULT:
            self._sent[(image.header.stamp.sec, image.header.stamp.nanosec)] = now

    def _turn(self, now: float) -> None:
        """From trouble to peace, or on to the next trouble."""
        calls, self._sent = self._trouble.after, {}
        if self._trouble is NO_FAULT:
            if self._over is not None and np.isfinite(self._over[1]):
                self._note(HEALTHY_SECONDS)  # no answer has come after the last one
            self._over = None
            self._name, self._trouble = next(self._troubles)
            calls, self._until = self._trouble.before, now + FAULT_SECONDS
        else:
            self._trouble, self._until = NO_FAULT, now + HEALTHY_SECONDS
            self._over = self._name, np.inf if calls else now
        for call in calls:
            self._call(call)

    def _call(self, call: Call) -> None:
        """Call a service without waiting."""
        name = f"{self._options.node}/{call.service}"
        if name not in self._callers:
            self._callers[name] = self.create_client(call.kind, name)
        begin, over = time.monotonic(), self._over
        self._record["asked"] += 1
        self._callers[name].call_async(call.request).add_done_callback(lambda _: self._on_called(begin, over))

    def _on_called(self, begin: float, over: tuple[str, float] | None) -> None:
        """A service has answered; a trouble that it was to end is over now."""
        now = time.monotonic()
        self._record["calls"].append(round(now - begin, 3))
        if over is not None and self._over is over:
            self._over = over[0], now

    def _note(self, seconds: float) -> None:
        """How long it took after the last trouble, once."""
        if self._over is not None:
            self._record["recoveries"][self._over[0]].append(seconds)
            self._over = None

    def _on_answer(self, msg: Detection3DArray) -> None:
        sent = self._sent.pop((msg.header.stamp.sec, msg.header.stamp.nanosec), None)
        if sent is None:
            return
        now = time.monotonic()
        if self._over is not None:
            self._note(max(0.0, now - self._over[1]))
        self._record["latencies"].append((round(now - self._begin, 3), round(now - sent, 4)))

    def _finish(self) -> None:
        if not self.done.done():
            files.write_json(self._options.out, self._record, indent=None)
            self.done.set_result(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="soak_node", description="Bring a node into trouble, and measure how it fares."
    )
    add = parser.add_argument
    add("--seconds", type=float, required=True, help="duration [s]")
    add("--rate", type=float, default=30.0, help="images a second")
    add("--source", default="", help="images, as for camera_node; a ramp without them")
    add("--node", default="/dope", help="the node's name")
    add("--out", type=Path, required=True, help="JSON with what was measured")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run it; returns the exit status."""
    options, ros = parse(_parser(), argv)
    return run(partial(SoakNode, options), "soak_node", ros)


if __name__ == "__main__":
    sys.exit(main())
