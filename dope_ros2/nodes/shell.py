"""What the nodes share: start, end, exit status, parameters with descriptions, faults told once in a while."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidHandle, ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future

from dope_ros2.errors import UserError

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)  # a stale frame is worth nothing
RELIABLE_NEWEST = QoSProfile(depth=1)  # serves reliable and best-effort subscribers
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RESULTS = QoSProfile(depth=10)

QUIET_S = 5.0  # a fault is told again after this time [s]
USER_ERROR = 2  # exit status
Range = tuple[float, float] | None


class Shell:
    """What is common to our nodes: spinning ends when `done` gets the exit status. To be mixed with a kind of node."""

    def __init__(self, name: str, **options: object) -> None:
        super().__init__(name, **options)
        self.done = Future()
        self._told: dict[str, float] = {}

    def start(self) -> None:
        """Called once, before spinning."""

    def parameter(self, name: str, default: object, text: str, limits: Range = None, *, fixed: bool = True) -> object:
        """Declare a parameter with description and range, and return its value; `fixed`: only set at the start."""
        descriptor = ParameterDescriptor(description=text, read_only=fixed)
        if limits and isinstance(default, int):
            descriptor.integer_range = [IntegerRange(from_value=limits[0], to_value=limits[1])]
        elif limits:
            descriptor.floating_point_range = [FloatingPointRange(from_value=limits[0], to_value=limits[1])]
        return self.declare_parameter(name, default, descriptor).value

    def value(self, name: str) -> object:
        """The present value of a parameter."""
        return self.get_parameter(name).value

    def complain(self, fault: str) -> None:
        """Log a fault, each one at most every QUIET_S seconds: others are not held back by it."""
        now = time.monotonic()
        if now - self._told.get(fault, -QUIET_S) >= QUIET_S:
            self._told = {text: at for text, at in self._told.items() if now - at < QUIET_S} | {fault: now}
            self.get_logger().error(fault)


class ShellNode(Shell, Node):
    """A plain node."""


class ManagedNode(Shell, LifecycleNode):
    """A node with a life cycle: unconfigured, inactive, active."""


def parse(parser: argparse.ArgumentParser, argv: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Parse a command line except its ROS arguments (`--ros-args ...`, up to `--` or the end), which are returned."""
    own, ros = list(sys.argv[1:] if argv is None else argv), []
    while "--ros-args" in own:
        start = own.index("--ros-args")
        end = own.index("--", start) + 1 if "--" in own[start:] else len(own)
        ros += own[start:end]
        del own[start:end]
    return parser.parse_args(own), ros


def node_parser(prog: str, text: str) -> argparse.ArgumentParser:
    """A parser for a node that has parameters and no options of its own."""
    epilog = "Parameters: --ros-args -p NAME:=VALUE or --params-file FILE; `ros2 param describe` explains them."
    return argparse.ArgumentParser(prog=prog, description=text, epilog=epilog)


def run(make: Callable[[], Shell], prog: str, argv: list[str]) -> int:
    """Start ROS, make the node and spin it until it is done, interrupted (Ctrl-C) or terminated.

    Returns:
        The node's result, 0 when it was told to stop, 2 after a user's mistake, which is one line on stderr.
    """
    try:
        _init(argv)
        return _spin(make)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except UserError as error:
        print(f"{prog}: error: {error}", file=sys.stderr)
        return USER_ERROR
    except (RuntimeError, InvalidHandle):  # a signal has shut ROS down under a call that rclpy was in
        if rclpy.ok():
            raise
        return 0
    finally:
        rclpy.try_shutdown()


def _init(argv: list[str]) -> None:
    try:
        rclpy.init(args=argv)
    except RuntimeError as error:  # rcl's own, such as a missing or malformed parameter file
        reason = str(error).split("\n")[0].split(", at ")[0]
        raise UserError(f"ROS arguments {' '.join(argv)}: {reason}; see `ros2 run --help`") from error


def _spin(make: Callable[[], Shell]) -> int:
    try:
        node = make()
    except ParameterException as error:
        raise UserError(f"{error}; check -p and --params-file (a number with a point is a double)") from error
    try:
        node.start()
        rclpy.spin_until_future_complete(node, node.done)
        return node.done.result() or 0
    finally:
        node.destroy_node()


def check_running(node: Node) -> None:
    """Leave quietly when the process was told to stop while the node was still starting."""
    if not node.context.ok():
        raise ExternalShutdownException
