"""How each camera, its depth and the engine of `dope_node` fare: on /diagnostics, and in the log what lasts."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from std_msgs.msg import Header

from dope_ros2.nodes.base.fault_log import FaultLog
from dope_ros2.nodes.base.node import ManagedNode
from dope_ros2.nodes.base.qos import RESULTS
from dope_ros2.nodes.dope.camera_input import CameraInput
from dope_ros2.nodes.dope.host import Host
from dope_ros2.nodes.messages import diagnostics
from dope_ros2.pipeline.diagnostics import Condition, Level, engine_condition

PERIOD, TICK = 1.0, 0.25  # between messages, and between looks at whether a level has changed [s]


class DiagnosticsPublisher:
    """Publishes by itself, once a second, and at once when a level changes."""

    def __init__(self, node: ManagedNode, host: Host) -> None:
        self._node, self._host, self._log = node, host, FaultLog(node)
        self._levels: dict[str, Level] = {}
        self._published = self._looked = self._before = time.monotonic()
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", RESULTS)
        node.create_timer(TICK, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Say how everything fares."""
        self._send(time.monotonic(), self._conditions(time.monotonic()))

    def _on_timer(self) -> None:
        now = time.monotonic()
        self._before, self._looked = self._looked, now
        if not self._host.idle():
            for camera in self._host.cameras:
                camera.report(self._log, now, self._slack())
        conditions = self._conditions(now)
        levels = {name: condition.level for name, condition in conditions.items()}
        if levels != self._levels or now - self._published >= PERIOD:
            self._send(now, conditions)

    def _send(self, now: float, conditions: dict[str, Condition]) -> None:
        self._published, self._levels = now, {name: condition.level for name, condition in conditions.items()}
        header = Header(stamp=self._node.get_clock().now().to_msg())
        name = self._node.get_fully_qualified_name()
        named = {f"{name}: {part}": condition for part, condition in conditions.items()}
        self._publisher.publish(diagnostics.conditions_to_msg(named, header))

    def _slack(self) -> float:
        """How long an image may have waited to be handled [s].

        While one of each camera is processed, before and after it; and since the last look, after which whatever had
        waited was handled, however long the node was busy with something else.
        """
        return 2 * sum(camera.health.busy() for camera in self._host.cameras) + self._looked - self._before

    def _conditions(self, now: float) -> dict[str, Condition]:
        """Of each camera, its depth, and the engine; the names do not depend on topics."""
        cameras, estimator, idle = self._host.cameras, self._host.estimator, self._host.idle()
        conditions = {_name("camera", c, cameras): c.condition(now, self._slack(), idle) for c in cameras}
        for camera in cameras:
            if camera.depth:
                conditions[_name("depth", camera, cameras)] = camera.depth.condition(idle)
        if estimator is not None:
            return conditions | {"engine": engine_condition(estimator.engine)}
        return conditions | {"engine": Condition(Level.WARN, "not configured: the node's life cycle says when")}


def _name(part: str, camera: CameraInput, cameras: list[CameraInput]) -> str:
    return f"{part} {camera.name}" if len(cameras) > 1 else part
