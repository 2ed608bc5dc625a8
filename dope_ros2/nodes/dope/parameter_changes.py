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
    """Minds region, weights, objects and what is read by configure; what else is set holds for the next image."""

    def __init__(self, node: ManagedNode, host: Host, load: parameters.Load) -> None:
        self._node, self._host, self._load = node, host, load
        self._next: Estimator | None = None  # of weights that are just being set
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._take_over)

    def _check(self, changes: list[Parameter]) -> SetParametersResult:
        """Refuse what cannot work; new weights are read here, so that the old ones stay when they are no good."""
        values = {change.name: change.value for change in changes}
        try:
            self._check_configured(values)
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

    def _check_configured(self, values: dict[str, object]) -> None:
        """Refuse what is read when the node is configured, while it is; the same value again does no harm.

        Raises:
            UserError: saying what comes first.
        """
        if self._host.estimator is None:
            return
        for name, value in values.items():
            if not self._node.has_parameter(name) or value == self._node.value(name):
                continue  # it is just being declared, or stays
            if self._node.describe_parameter(name).additional_constraints == parameters.AT_CONFIGURE:
                node = self._node.get_fully_qualified_name()
                raise UserError(
                    f"parameter {name}: is read when the node is configured; first `ros2 lifecycle set {node} cleanup` "
                    "(and deactivate before that), then set it, configure and activate"
                )

    def _take_over(self, changes: list[Parameter]) -> None:
        if self._next is not None:
            estimator, self._next = self._next, None
            self._host.use(estimator)
            names = ", ".join(model.name for model in estimator.models)
            self._node.get_logger().info(f"new weights, which know {names}")
        if not self._host.not_active() and {change.name for change in changes} & {"weights", "objects"}:
            self._host.describe()
