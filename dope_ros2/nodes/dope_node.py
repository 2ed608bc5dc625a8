"""`dope_node`: rectified images and camera_info in, poses of every known object out."""

from __future__ import annotations

import sys

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from dope_ros2.common import stop_signals
from dope_ros2.common.errors import UserError
from dope_ros2.engines.registry import advice
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.nodes.base.node import ManagedNode, opening
from dope_ros2.nodes.base.run import node_parser, parse, run
from dope_ros2.nodes.dope import parameters
from dope_ros2.nodes.dope.camera_input import CameraInput
from dope_ros2.nodes.dope.detect_action import DetectServer
from dope_ros2.nodes.dope.diagnostics_publisher import DiagnosticsPublisher
from dope_ros2.nodes.dope.image_callback import ImageCallback
from dope_ros2.nodes.dope.parameter_changes import ParameterChanges
from dope_ros2.nodes.dope.publishers import Publishers
from dope_ros2.nodes.dope.recorder import Recorder

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class DopeNode(ManagedNode):
    """Publishes the poses of the objects in each image, with the image's stamp and frame.

    Configured, it has its weights and topics; active, it looks at images, unless `~/enable` has switched it off.
    Here are its life cycle and its switches; `ImageCallback` has what happens to an image. Its parts see a `Host`.
    """

    def __init__(self, load: parameters.Load = parameters.load_estimator, **options: object) -> None:
        """Declare everything; `load` makes the estimator of weights, objects_file, device and engine."""
        super().__init__("dope", **options)
        parameters.declare(self)
        self._load, self._enabled, self._active = load, True, False
        self.estimator: Estimator | None = None
        self.cameras: list[CameraInput] = []
        self._fault: UserError | None = None
        self._outputs: Publishers | None = None
        self._server, self._recorder = DetectServer(self, self), Recorder(self)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self._diagnostics = DiagnosticsPublisher(self, self)
        self._changes = ParameterChanges(self, self, load)

    def start(self) -> None:
        """Configure and activate, unless someone else is to do that.

        Raises:
            UserError: weights, objects or device are not usable.
        """
        if not self.value("autostart"):
            return
        self.trigger_configure()
        if self._fault is not None:
            raise self._fault
        self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the weights and open the topics."""
        self._fault = None
        try:
            parameters.check_choices(self.value)
            prefixes = parameters.frame_prefixes(self)
            estimator = self._load(*map(self.value, parameters.ESTIMATOR))
            parameters.chosen(self.value("objects"), estimator.models)
            with opening():
                self._open(estimator, prefixes)
        except UserError as error:
            self._fault = error
            self._close()
            if not self.value("autostart"):
                self.get_logger().error(f"cannot be configured: {error}")
            return FAILURE
        return super().on_configure(state)

    def _open(self, estimator: Estimator, prefixes: dict[str, str]) -> None:
        self.estimator, self._outputs = estimator, Publishers(self, estimator.models)
        self._recorder.begin(estimator)
        if slow := advice(self.value("engine"), estimator.engine, self.value("device")):
            self.get_logger().warning(slow)
        for note in estimator.appearances.notes:
            self.get_logger().info(f"poses are not compared with the image: {note}")
        callback = ImageCallback(self, self, self._outputs, self._server, self._recorder)
        for name, prefix in prefixes.items():
            self.cameras.append(CameraInput(self, name, prefix, estimator, callback, self._recorder))

    def _close(self) -> None:
        for camera in self.cameras:
            for subscription in camera.subscriptions:
                subscription.destroy()
        if self._outputs is not None:
            self._outputs.destroy()
        self.estimator, self._outputs, self.cameras = None, None, []

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to look."""
        result = super().on_activate(state)
        self._active = True
        self.describe()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Look no more; what was seen is forgotten."""
        self._active = False
        self._forget()
        self._delete_markers()
        self._server.end()
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Look no more, for good."""
        self._active = False
        self._delete_markers()
        self._server.end()
        return super().on_shutdown(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the topics and let go of the weights."""
        result = super().on_cleanup(state)
        self._close()
        return result

    def use(self, estimator: Estimator) -> None:
        """Begin anew with other weights."""
        self.estimator = estimator
        for camera in self.cameras:
            camera.restart(estimator)
        self._recorder.begin(estimator)

    def describe(self) -> None:
        """Say what is looked for, on `~/object_info` and in the log."""
        models = self.estimator.models
        names = parameters.chosen(self.value("objects"), models)
        self._outputs.describe([model for model in models if model.name in names])
        topics = ", ".join(camera.image_topic for camera in self.cameras)
        self.get_logger().info(f"looking for {', '.join(names)} in {topics}")

    def not_active(self) -> str:
        """Why no image is looked at, even for a goal; empty when they are."""
        return "" if self._active else "not active: the node's life cycle says when"

    def idle(self) -> str:
        """Why images are not looked at; empty when they are."""
        if why := self.not_active():
            return why
        if not self._enabled:
            return "switched off by ~/enable"
        lazy = self.value("lazy") and not self._outputs.is_watched()
        return "nobody subscribes to the results, and the parameter lazy is set" if lazy else ""

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = request.data
        if not request.data:
            self._forget()
            self._delete_markers()
        response.success = True
        response.message = "looking at images" if request.data else "not looking at images"
        if self.idle() and request.data:
            response.message = self.idle()
        return response

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._forget()
        response.success, response.message = True, "all tracks are forgotten"
        return response

    def _forget(self) -> None:
        for camera in self.cameras:
            camera.pipeline.tracker.reset()

    def _delete_markers(self) -> None:
        if self._outputs is not None:
            self._outputs.delete_markers(self.cameras)

    def destroy_node(self) -> None:
        """End; viewers are told while that can be said."""
        if self._outputs is not None and self.context.ok():
            self._outputs.end(self.cameras)
        super().destroy_node()


def main(argv: list[str] | None = None) -> int:
    """Run the node; returns the exit status."""
    _, ros = parse(node_parser("dope_node", "Publish the poses of known objects in rectified images."), argv)
    return stop_signals.without_destructors(run(DopeNode, "dope_node", ros))


if __name__ == "__main__":
    sys.exit(main())
