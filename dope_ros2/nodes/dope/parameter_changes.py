"""Parameters that are set while `dope_node` runs: refused when they cannot work, taken over when they can."""

from __future__ import annotations

from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter

from dope_ros2.common.errors import UserError
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.nodes.base.node import ManagedNode
from dope_ros2.nodes.dope import parameters
from dope_ros2.nodes.dope.host import Host
from dope_ros2.pipeline.request import Roi


class ParameterChanges:
    """Minds region, weights and objects; what else is set is looked at with the next image."""

    def __init__(self, node: ManagedNode, host: Host, load: parameters.Load) -> None:
        self._node, self._host, self._load = node, host, load
        self._next: Estimator | None = None  # of weights that are just being set
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._take_over)

    def _check(self, changes: list[Parameter]) -> SetParametersResult:
        """Refuse what cannot work; new weights are read here, so that the old ones stay when they are no good."""
        values = {change.name: change.value for change in changes}
        try:
            if "roi" in values:
                Roi.of(values["roi"])
            estimator = self._host.estimator
            if estimator is not None and "weights" in values:
                others = map(self._node.value, parameters.ESTIMATOR[1:])
                estimator = self._next = self._load(values["weights"], *others)
            if estimator is not None and values.keys() & {"weights", "objects"}:
                parameters.chosen(values.get("objects", self._node.value("objects")), estimator.models)
        except UserError as error:
            self._next = None
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _take_over(self, changes: list[Parameter]) -> None:
        if self._next is not None:
            estimator, self._next = self._next, None
            self._host.use(estimator)
            names = ", ".join(model.name for model in estimator.models)
            self._node.get_logger().info(f"new weights, which know {names}")
        if not self._host.not_active() and {change.name for change in changes} & {"weights", "objects"}:
            self._host.describe()
