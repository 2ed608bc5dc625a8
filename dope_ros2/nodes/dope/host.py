"""What the parts of `dope_node` ask of the node that they are parts of, besides what every node has."""

from __future__ import annotations

from typing import Protocol

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.nodes.dope.camera_input import CameraInput


class Host(Protocol):
    """The node as its parts see it.

    Attributes:
        estimator: of the weights that it has; None while it is not configured.
        cameras: that it listens to, the first one being that of goals; none while it is not configured.
    """

    estimator: Estimator | None
    cameras: list[CameraInput]

    def not_active(self) -> str:
        """Why no image is looked at, even for a goal; empty when they are."""

    def idle(self) -> str:
        """Why images are not looked at; empty when they are."""

    def use(self, estimator: Estimator) -> None:
        """Begin anew with other weights."""

    def describe(self) -> None:
        """Say what is looked for."""
