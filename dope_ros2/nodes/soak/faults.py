"""What goes wrong around a node: cameras, clocks, cables, and people who change their minds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import SetBool, Trigger

from dope_ros2.io.messages import read_image
from dope_ros2.nodes.messages import images

LATE = 5  # of old stamps [s]


class Call(NamedTuple):
    """A call of one of the node's services, by its name below the node's."""

    kind: type
    service: str
    request: object


def settings(**values: object) -> Call:
    """Set parameters."""
    parameters = [Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
    return Call(SetParameters, "set_parameters", SetParameters.Request(parameters=parameters))


def transition(number: int) -> Call:
    """Change the state of the life cycle."""
    return Call(ChangeState, "change_state", ChangeState.Request(transition=Transition(id=number)))


def enabled(value: bool) -> Call:
    """Switch it on or off."""
    return Call(SetBool, "enable", SetBool.Request(data=value))


def changed(**values: object) -> Callable[[object], object]:
    """A message with some of its fields changed."""

    def change(msg: object) -> object:
        other = copy.copy(msg)
        for name, value in values.items():
            setattr(other, name, value)
        return other

    return change


def cut(msg: Image) -> Image:
    """The first half of an image."""
    return changed(data=msg.data[: len(msg.data) // 2])(msg)


def smaller(msg: Image) -> Image:
    """An image of half the resolution."""
    return images.array_to_image(np.ascontiguousarray(read_image(msg)[::2, ::2]), msg.header)


def late(msg: Image) -> Image:
    """An image with an old stamp."""
    other = copy.deepcopy(msg.header)
    other.stamp.sec -= LATE
    return changed(header=other)(msg)


@dataclass(frozen=True)
class Fault:
    """A fault that lasts for a while.

    Attributes:
        image, info: what is published instead of a good message; None for nothing.
        before, after: calls of services when it begins and when it is over.
    """

    image: Callable[[Image], Image | None] = lambda msg: msg
    info: Callable[[CameraInfo], CameraInfo | None] = lambda msg: msg
    before: tuple[Call, ...] = ()
    after: tuple[Call, ...] = ()


FAULTS = {
    "unknown encoding": Fault(image=changed(encoding="rgb9")),
    "half an image": Fault(image=cut),
    "camera unplugged": Fault(image=lambda _: None, info=lambda _: None),
    "another resolution": Fault(image=smaller),
    "old stamps": Fault(image=late),
    "camera_info of another camera": Fault(info=changed(width=100, height=100)),
    "camera_info of zeros": Fault(info=changed(p=[0.0] * 12)),
    "other settings": Fault(
        before=(settings(min_score=0.9, tracking=False, roi=[10, 10, 200, 100]),),
        after=(settings(min_score=0.3, tracking=True, roi=[0, 0, 0, 0]),),
    ),
    "settings that are refused": Fault(before=(settings(min_score=7.0, roi=[-1, 0, 0, 0], objects=["nothing"]),)),
    "weights read again": Fault(before=(settings(weights=""),)),
    "switched off": Fault(before=(enabled(False),), after=(enabled(True),)),
    "deactivated": Fault(
        before=(transition(Transition.TRANSITION_DEACTIVATE),), after=(transition(Transition.TRANSITION_ACTIVATE),)
    ),
    "an impossible transition": Fault(before=(transition(Transition.TRANSITION_ACTIVATE),)),
    "reset": Fault(before=(Call(Trigger, "reset", Trigger.Request()),)),
}
