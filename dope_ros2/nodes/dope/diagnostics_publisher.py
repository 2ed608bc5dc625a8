"""How `dope_node` fares, on /diagnostics: each camera, its depth, and what runs the network."""

from __future__ import annotations

import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from std_msgs.msg import Header

from dope_ros2.nodes.base.node import ManagedNode
from dope_ros2.nodes.base.qos import RESULTS
from dope_ros2.nodes.dope.host import Host
from dope_ros2.nodes.messages import diagnostics
from dope_ros2.pipeline.diagnostics import Condition, Level, engine_condition

PERIOD = 0.25  # between messages [s]


class DiagnosticsPublisher:
    """Publishes by itself, now and then."""

    def __init__(self, node: ManagedNode, host: Host) -> None:
        self._node, self._host = node, host
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", RESULTS)
        node.create_timer(PERIOD, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        """Say how everything fares."""
        name = self._node.get_fully_qualified_name()
        conditions = {f"{name}: {part}": condition for part, condition in self._conditions().items()}
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self._publisher.publish(diagnostics.conditions_to_msg(conditions, header, name))

    def _conditions(self) -> dict[str, Condition]:
        """By topic of the images or the depth, and `engine`."""
        now, idle, cameras, estimator = time.monotonic(), self._host.idle(), self._host.cameras, self._host.estimator
        conditions = {camera.image_topic: camera.health.condition(now, idle) for camera in cameras}
        conditions |= {c.depth.topic: c.pipeline.depth_health.condition(idle) for c in cameras if c.depth}
        if estimator is not None:
            return conditions | {"engine": engine_condition(estimator.engine)}
        return conditions | {"engine": Condition(Level.WARN, "not configured: the node's life cycle says when")}
