"""Start, end and exit status of a node's process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import rclpy
from rclpy.exceptions import InvalidHandle, ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.signals import SignalHandlerOptions

from dope_ros2.common import stop_signals
from dope_ros2.common.errors import UserError
from dope_ros2.nodes.base.node import NodeBase

USER_ERROR = 2  # exit status


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


def run(make: Callable[[], NodeBase], prog: str, argv: list[str]) -> int:
    """Start ROS, make the node and spin it until it is done, interrupted (Ctrl-C) or terminated.

    Returns:
        The node's result, 0 when it was told to stop, 2 after a user's mistake, which is one line on stderr.
    """
    stop_signals.watch()
    try:
        return _run(make, prog, argv)
    except KeyboardInterrupt:
        return 0
    finally:
        stop_signals.stop()
        rclpy.try_shutdown()
        stop_signals.ignore()


def _run(make: Callable[[], NodeBase], prog: str, argv: list[str]) -> int:
    try:
        _init(argv)
        stop_signals.ros_is_up()
        return _spin(make)
    except ExternalShutdownException:
        return 0
    except Exception as error:
        if stop_signals.stopping() or (isinstance(error, (RuntimeError, InvalidHandle)) and not rclpy.ok()):
            return 0  # a signal has come, or shut ROS down, under a call
        if not isinstance(error, UserError):
            raise
        print(f"{prog}: error: {error}", file=sys.stderr)
        return USER_ERROR


def _init(argv: list[str]) -> None:
    try:
        rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # rcl's own, such as a missing or malformed parameter file
        reason = str(error).split("\n")[0].split(", at ")[0]
        raise UserError(f"ROS arguments {' '.join(argv)}: {reason}; see `ros2 run --help`") from error


def _spin(make: Callable[[], NodeBase]) -> int:
    try:
        node = make()
    except ParameterException as error:
        raise UserError(f"{error}; check -p and --params-file") from error
    try:
        stop_signals.call_on_signal(lambda: node.done.set_result(0))
        if not node.is_ending():
            node.start()
            node.spin()
        return node.done.result() or 0
    finally:
        node.destroy_node()
