"""What the nodes share: start, end, exit status, parameters with descriptions, faults told once in a while."""

from __future__ import annotations

import time
import traceback
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import iscoroutinefunction

import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.task import Future

from dope_ros2.common import stop_signals
from dope_ros2.common.errors import UserError, one_line

REPEAT_AFTER, MAX_FAULTS = 5.0, 10  # a fault is told again after this time [s]; so many different ones meanwhile
Range = tuple[float, float] | None


class NodeBase:
    """What is common to our nodes: spinning ends when `done` gets the exit status. To be mixed with a kind of node."""

    def __init__(self, name: str, **options: object) -> None:
        super().__init__(name, **options)
        self.add_pre_set_parameters_callback(self._as_declared)
        self.done = Future()
        self._told: dict[str, float] = {}

    def start(self) -> None:
        """Called once, before spinning."""

    def spin(self) -> None:
        """Handle what comes until it is done."""
        rclpy.spin_until_future_complete(self, self.done)

    def parameter(
        self, name: str, default: object, text: str, limits: Range = None, *, fixed: bool = True, when: str = ""
    ) -> object:
        """Declare a parameter and return its value.

        Args:
            name: of the parameter.
            default: value where none is given; others have its type.
            text: description.
            limits: lowest and highest value.
            fixed: only set at the start.
            when: when it may be set, in words, if not always; the node's own callback refuses it at other times.
        """
        descriptor = ParameterDescriptor(description=text, read_only=fixed, additional_constraints=when)
        if limits and isinstance(default, int):
            descriptor.integer_range = [IntegerRange(from_value=limits[0], to_value=limits[1])]
        elif limits:
            descriptor.floating_point_range = [FloatingPointRange(from_value=limits[0], to_value=limits[1])]
        given = self.declare_parameter(name, default, ParameterDescriptor(dynamic_typing=True)).value
        self.undeclare_parameter(name)  # it was declared only to see what was given, of whatever type
        if is_array(default) and given is None:  # what a file or command line has as [], which says no type
            descriptor.type = self.declare_parameter(name, default, ignore_override=True).type_.value
            self.set_parameters([Parameter(name, value=[])])
            self.set_descriptor(name, descriptor)
            return self.value(name)
        value = coerce_parameter(given, default)
        if type(value) is type(default):
            return self.declare_parameter(name, value, descriptor, ignore_override=True).value
        return self.declare_parameter(name, default, descriptor).value  # which refuses it

    def _as_declared(self, parameters: list[Parameter]) -> list[Parameter]:
        return [self._coerced(p) if self.has_parameter(p.name) else p for p in parameters]

    def _coerced(self, given: Parameter) -> Parameter:
        now = self.get_parameter(given.name)
        if is_array(given.value) and not len(given.value) and is_array(now.value):
            return Parameter(given.name, now.type_, [])  # ros2cli sends [] as bytes, whatever the parameter's type
        return Parameter(given.name, value=coerce_parameter(given.value, now.value))

    def is_ending(self) -> bool:
        """Whether it is done, or a signal has come, which may have interrupted anything."""
        return self.done.done() or stop_signals.stopping() or not self.context.ok()

    def value(self, name: str) -> object:
        """The present value of a parameter."""
        return self.get_parameter(name).value

    def log_error_throttled(self, fault: str) -> None:
        """Log a fault, each one at most every REPEAT_AFTER seconds, and MAX_FAULTS different ones in that time."""
        now = time.monotonic()
        self._told = {text: at for text, at in self._told.items() if now - at < REPEAT_AFTER}
        if fault not in self._told and len(self._told) < MAX_FAULTS:
            self._told[fault] = now
            self.get_logger().error(fault)


def is_array(value: object) -> bool:
    """Whether it is the value of a parameter that is an array, of whatever type."""
    return isinstance(value, list | tuple | array)


def coerce_parameter(value: object, like: object) -> object:
    """A parameter's value as the type of another one: fps:=30 means 30.0, source:=0 means "0", height:=320.0 means 320.

    What else is of another type is left as it is, for ROS to refuse.
    """
    if type(value) is int and type(like) in (float, str):
        return type(like)(value)
    if type(value) is float and type(like) is int and value.is_integer():
        return int(value)
    return value


class PlainNode(NodeBase, Node):
    """A plain node."""


class ManagedNode(NodeBase, LifecycleNode):
    """A node with a life cycle: unconfigured, inactive, active. No message and no call of a service ends it."""

    def spin(self) -> None:
        """Handle what comes, and go on after what cannot be handled."""
        for service in self.services:
            if iscoroutinefunction(service.callback):  # which minds its own faults
                continue
            service.callback = partial(self._answer, service.service_name, service.callback)
        while not self.is_ending():
            try:
                super().spin()
            except UserError:
                raise
            except Exception:
                if self.is_ending():
                    raise
                self.log_error_throttled(f"something that came could not be handled:\n{traceback.format_exc()}")

    def _answer(self, name: str, callback: Callable, request: object, response: object) -> object:
        """Call a service's callback; where that fails, as for a transition that is not possible now, answer no."""
        try:
            return callback(request, response)
        except Exception as error:
            if self.is_ending():
                raise
            self.log_error_throttled(f"{name}: cannot be done: {one_line(error) or type(error).__name__}")
            return response


@contextmanager
def opening() -> Iterator[None]:
    """Open topics: what their names or qualities are wrong with is a user's mistake.

    Raises:
        UserError: a topic cannot be opened.
    """
    try:
        yield
    except Exception as error:  # of many kinds, one a wrong name and one a wrong quality
        reason = one_line(error)
        raise UserError(
            f"a topic cannot be opened ({reason}); check the parameters cameras and qos_overrides"
        ) from error
