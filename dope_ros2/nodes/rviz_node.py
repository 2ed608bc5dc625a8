"""`dope rviz`: RViz with the topics of one node, in the frame of its camera."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn

from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo

from dope_ros2.common import files, stop_signals
from dope_ros2.common.command_runner import guarded
from dope_ros2.common.errors import UserError
from dope_ros2.common.resources import share
from dope_ros2.nodes.base.node import PlainNode
from dope_ros2.nodes.base.qos import BEST_EFFORT
from dope_ros2.nodes.base.run import parse, run
from dope_ros2.visualization.rviz_config import rviz_config

REMIND_AFTER = 5.0  # [s] without camera_info, again and again
ANY = QoSProfile(depth=1, reliability=BEST_EFFORT)  # matches every publisher


class FrameNode(PlainNode):
    """Done when the first camera_info has come."""

    def __init__(self) -> None:
        """Listen to camera_info."""
        super().__init__("rviz")
        self.frame = ""
        self._subscription = self.create_subscription(CameraInfo, "camera_info", self._on_camera_info, ANY)
        self.create_timer(REMIND_AFTER, self._on_timer)

    def _on_camera_info(self, msg: CameraInfo) -> None:
        if msg.header.frame_id and not self.frame:
            self.frame = msg.header.frame_id
            self.done.set_result(0)

    def _on_timer(self) -> None:
        topic = self._subscription.topic_name
        self.get_logger().warning(
            f"no camera_info with a frame_id on {topic} yet, which has {self.count_publishers(topic)} publishers; "
            "RViz starts when one comes, or at once with fixed_frame (--fixed-frame)"
        )


def _executable() -> str:
    """Where rviz2 is.

    Raises:
        UserError: it is not installed.
    """
    if found := shutil.which("rviz2"):
        return found
    distribution = os.environ.get("ROS_DISTRO", "jazzy")
    raise UserError(f"RViz is not installed: sudo apt install ros-{distribution}-rviz2; or use `dope view`")


def _wait_for_frame(ros: list[str]) -> tuple[int, str]:
    """The exit status, and the frame of the first camera_info; empty when told to stop before."""
    frames = []

    def make() -> FrameNode:
        frames.append(FrameNode())
        return frames[0]

    status = run(make, "dope rviz", ros)
    return status, frames[0].frame if frames else ""


def _write_config(node: str, frame: str) -> Path:
    """Write the configuration for a node and a frame where ROS keeps its files."""
    text = rviz_config((share() / "config" / "dope.rviz").read_text(), node, frame)
    home = Path(os.environ.get("ROS_HOME") or Path.home() / ".ros")
    path = home / "dope_rviz" / f"{node.strip('/').replace('/', '_')}.rviz"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, text)
    return path


def _become(command: list[str]) -> NoReturn:
    for number in stop_signals.SIGNALS:
        signal.signal(number, signal.SIG_DFL)  # RViz has its own way
    sys.stdout.flush()
    os.execv(command[0], command)


def _show(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dope rviz", description="Start RViz with the topics of a node.")
    parser.add_argument("--node", default="/dope", help="full name of the node (default: %(default)s)")
    parser.add_argument("--fixed-frame", help="default: that of the first message on camera_info")
    options, ros = parse(parser, argv)
    rviz = _executable()
    status, frame = (0, options.fixed_frame) if options.fixed_frame else _wait_for_frame(ros)
    if frame:
        _become([rviz, "-d", str(_write_config(options.node, frame)), *ros])
    return status


def main(argv: list[str] | None = None) -> int:
    """Run `dope rviz`; returns the exit status."""
    return guarded(_show, sys.argv[1:] if argv is None else argv, "dope rviz")


if __name__ == "__main__":
    sys.exit(main())
