"""`monitor_node`: compares a node's poses with the truth, live, and judges them at the end."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from dope_msgs.msg import ObjectInfoArray
from vision_msgs.msg import Detection3DArray

from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.evaluation.live_statistics import HEADING, LiveStatistics, line
from dope_ros2.evaluation.matching import MIN_VISIBILITY, LabelledPose
from dope_ros2.nodes.base.matched_subscription import MatchedSubscription
from dope_ros2.nodes.base.node import PlainNode
from dope_ros2.nodes.base.qos import LATCHED
from dope_ros2.nodes.base.run import parse, run
from dope_ros2.nodes.messages import detections, objects
from dope_ros2.objects.object_model import ObjectModel, load_objects

QUEUE = 100  # messages
SECOND = 1.0  # between two lines of the table [s]
TICK = 0.1  # how often the end is looked for [s]


class MonitorNode(PlainNode):
    """Prints a line a second; done after so many images of truth, or when nothing comes any more.

    The objects' symmetries and centres are those of a file, else those that the node under test publishes, else an
    object has none and its centre is that of its message's box.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        """Listen.

        Raises:
            UserError: the file of the objects cannot be used.
        """
        super().__init__("monitor")
        self._options = options
        self._tally = LiveStatistics(options.min_visibility)
        self._last_truth = self._started = time.monotonic()
        self._last_line = 0.0
        for topic, callback in ((options.truth, self._on_truth), (options.detections, self._on_detections)):
            MatchedSubscription(self, Detection3DArray, topic, callback, depth=QUEUE)
        self._node, self._figures = options.detections.rpartition("/")[0], {}
        self._models: dict[str, ObjectModel] = load_objects(options.objects_file) if options.objects_file else {}
        if options.objects_file is None:
            self.create_subscription(ObjectInfoArray, f"{self._node}/object_info", self._on_objects, LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, QUEUE)
        self.create_timer(TICK, self._on_timer)
        print(HEADING, flush=True)

    def _on_objects(self, msg: ObjectInfoArray) -> None:
        try:
            self._models |= {model.name: model for model in objects.msg_to_models(msg)}
        except UserError as error:
            self.log_error_throttled(f"{self._node}/object_info: {error}")
        self._tally.know(self._models)

    def _poses(self, msg: Detection3DArray) -> list[LabelledPose]:
        """What a message says; what cannot be an object is told and left out."""
        poses = []
        for detection in msg.detections:
            try:
                found = detections.msg_to_detections(Detection3DArray(detections=[detection]), self._models)
                poses += [LabelledPose.of_detection(each) for each in found]
            except UserError as error:
                self.log_error_throttled(f"left out: {error}")
        return poses

    def _on_truth(self, msg: Detection3DArray) -> None:
        if not self._has_enough():
            self._last_truth = time.monotonic()
            self._tally.add_truth(_nanoseconds(msg.header.stamp), self._poses(msg))

    def _has_enough(self) -> bool:
        return bool(self._options.frames) and self._tally.frames >= self._options.frames

    def _on_detections(self, msg: Detection3DArray) -> None:
        arrival = self.get_clock().now().nanoseconds * 1e-9
        self._tally.add_detections(_nanoseconds(msg.header.stamp), self._poses(msg), arrival)

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name.startswith(f"{self._node}: ") and self._tally.frames and not self._has_enough():
                self._figures[status.name] = {entry.key: entry.value for entry in status.values}

    def _on_timer(self) -> None:
        now = time.monotonic()
        if now - self._last_line >= SECOND and self._tally.frames:
            self._last_line = now
            print(line(self._tally.summary()), flush=True)
        if self._is_over(now) and not self.done.done():
            self.done.set_result(self._judge())

    def _is_over(self, now: float) -> bool:
        """Enough images and their answers; or no more of them for the grace time; or the time is up."""
        if self._has_enough() and self._tally.answered == self._tally.frames:
            return True
        silent = now - self._last_truth > self._options.grace
        return (silent and self._tally.frames > 0) or now - self._started > self._options.timeout

    def _judge(self) -> int:
        summary = self._tally.summary()
        print(line(summary), flush=True)
        if self._options.json:
            files.write_json(self._options.json, summary | {"node": self._figures})
        recall = summary["recall"]
        passed = recall is not None and recall >= self._options.min_recall
        if not passed:
            text = "nothing to count" if recall is None else f"recall {recall:.2f}"
            print(f"monitor_node: {text}; at least {self._options.min_recall:g} is asked for", file=sys.stderr)
        return 0 if passed else 1


def _nanoseconds(stamp: Time) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def _parser() -> argparse.ArgumentParser:
    text = "Compare a node's poses with the truth; the exit status is 1 when recall is too low."
    parser = argparse.ArgumentParser(prog="monitor_node", description=text)
    add = parser.add_argument
    add("--truth", default="/camera/ground_truth", help="topic of the truth")
    add("--detections", default="/dope/detections", help="topic of the node's detections")
    add("--objects-file", type=Path, help="objects.yaml with symmetries; without: as the node's object_info says")
    add("--frames", type=int, default=0, help="end after so many images; 0: when no more come")
    add("--grace", type=float, default=5.0, help="how long to wait for detections after the last image [s]")
    add("--timeout", type=float, default=600.0, help="end after this time in any case [s]")
    add("--min-recall", type=float, default=0.0, help="recall below this gives exit status 1")
    add("--min-visibility", type=float, default=MIN_VISIBILITY, help="objects less visible do not count")
    add("--json", type=Path, help="write the figures to this file")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the monitor; returns 0, 1 when recall is too low, 2 after a wrong option."""
    options, ros = parse(_parser(), argv)
    return run(partial(MonitorNode, options), "monitor_node", ros)


if __name__ == "__main__":
    sys.exit(main())
