"""`dope_node`: rectified images and camera_info in, poses of every known object out."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from dope_ros2.common.errors import UserError
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.settings import Settings
from dope_ros2.nodes.base.node import ManagedNode, opening
from dope_ros2.nodes.base.qos import RESULTS
from dope_ros2.nodes.base.run import check_running, node_parser, parse, run
from dope_ros2.nodes.dope import parameters
from dope_ros2.nodes.dope.camera_input import CameraInput
from dope_ros2.nodes.dope.detect_action import DetectServer
from dope_ros2.nodes.dope.publishers import Publishers
from dope_ros2.nodes.dope.recorder import Recorder
from dope_ros2.nodes.messages import diagnostics, geometry, images
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.camera_pipeline import find, survey
from dope_ros2.pipeline.diagnostics import Condition, Level, engine_condition
from dope_ros2.pipeline.request import Roi

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
DIAGNOSED = 0.25  # seconds between messages on /diagnostics
Load = Callable[[str, str, str, str], Estimator]


class DopeNode(ManagedNode):
    """Publishes the poses of the objects in each image, with the image's stamp and frame.

    Configured, it has its weights and topics; active, it looks at images, unless `~/enable` has switched it off.
    """

    def __init__(self, load: Load = parameters.load_estimator, **options: object) -> None:
        """Declare everything; `load` makes the estimator of weights, objects_file, device and engine."""
        super().__init__("dope", **options)
        parameters.declare(self)
        self._load, self._enabled, self._active = load, True, False
        self._estimator: Estimator | None = None
        self._next: Estimator | None = None  # of weights that are just being set
        self._fault: UserError | None = None
        self._outputs: Publishers | None = None
        self._cameras: list[CameraInput] = []
        self._server, self._recorder = DetectServer(self), Recorder(self)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", RESULTS)
        self.create_timer(DIAGNOSED, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.add_on_set_parameters_callback(self._check)
        self.add_post_set_parameters_callback(self._take_over)

    def start(self) -> None:
        """Configure and activate, unless someone else is to do that.

        Raises:
            UserError: weights, objects or device are not usable.
        """
        check_running(self)
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
            parameters.check_transport(self.value("image_transport"))
            estimator = self._load(*map(self.value, parameters.ESTIMATOR))
            parameters.chosen(self.value("objects"), _names(estimator))
            with opening():
                self._open(estimator)
        except UserError as error:
            self._fault = error
            self._close()
            if not self.value("autostart"):
                self.get_logger().error(f"cannot be configured: {error}")
            return FAILURE
        return super().on_configure(state)

    def _open(self, estimator: Estimator) -> None:
        self._estimator, self._outputs = estimator, Publishers(self, estimator.models)
        self._recorder.begin(estimator)
        names = [name.strip("/") for name in self.value("cameras") or [""]]
        for name in names:
            prefix = f"{name.replace('/', '_')}_" if len(names) > 1 else ""
            camera = CameraInput(self, name, prefix, estimator.models, self._on_image, self._recorder)
            self._cameras.append(camera)

    def _close(self) -> None:
        for camera in self._cameras:
            for subscription in camera.subscriptions:
                self.destroy_subscription(subscription)
        if self._outputs is not None:
            self._outputs.destroy()
        self._estimator, self._outputs, self._cameras = None, None, []

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to look."""
        result = super().on_activate(state)
        self._active = True
        self._describe()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Look no more; what was seen is forgotten."""
        self._active = False
        self._forget()
        self._server.end()
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Look no more, for good."""
        self._active = False
        self._server.end()
        return super().on_shutdown(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the topics and let go of the weights."""
        result = super().on_cleanup(state)
        self._close()
        return result

    def _check(self, changes: list[Parameter]) -> SetParametersResult:
        """Refuse what cannot work; new weights are read here, so that the old ones stay when they are no good."""
        values = {change.name: change.value for change in changes}
        try:
            if "roi" in values:
                Roi.of(values["roi"])
            estimator = self._estimator
            if estimator is not None and "weights" in values:
                others = map(self.value, parameters.ESTIMATOR[1:])
                estimator = self._next = self._load(values["weights"], *others)
            if estimator is not None and values.keys() & {"weights", "objects"}:
                parameters.chosen(values.get("objects", self.value("objects")), _names(estimator))
        except UserError as error:
            self._next = None
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _take_over(self, changes: list[Parameter]) -> None:
        if self._next is not None:
            self._estimator, self._next = self._next, None
            for camera in self._cameras:
                camera.know(self._estimator.models)
            self._recorder.begin(self._estimator)
            self.get_logger().info(f"new weights, which know {', '.join(self.names())}")
        if self._active and {change.name for change in changes} & {"weights", "objects"}:
            self._describe()

    def _describe(self) -> None:
        names = parameters.chosen(self.value("objects"), self.names())
        self._outputs.describe([model for model in self._estimator.models if model.name in names])
        topics = ", ".join(camera.image_topic for camera in self._cameras)
        self.get_logger().info(f"looking for {', '.join(names)} in {topics}")

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = request.data
        if not request.data:
            self._forget()
        response.success = True
        response.message = "looking at images" if request.data else "not looking at images"
        if self._idle() and request.data:
            response.message = self._idle()
        return response

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._forget()
        response.success, response.message = True, "all tracks are forgotten"
        return response

    def _forget(self) -> None:
        for camera in self._cameras:
            camera.sight.tracker.reset()

    def _on_image(self, msg: Image | CompressedImage, camera: CameraInput) -> None:
        begin = time.monotonic()
        camera.health.arrived(begin)
        if self.not_active() or not (self._asked(camera) or camera.is_due(self.value("max_rate"))):
            return
        age = 1e-9 * self.get_clock().now().nanoseconds - geometry.seconds(msg.header.stamp)
        try:
            self._look(msg, camera)
        except UserError as error:
            fault = str(error)
        except Exception:  # whatever an image can do to us, the next one may be better
            if not self.context.ok():  # told to stop while it was looked at
                return
            fault = f"{camera.image_topic}: an image could not be looked at:\n{traceback.format_exc()}"
        else:
            camera.health.looked(age, time.monotonic() - begin, self._estimator.stages.take())
            return
        camera.health.failed(fault)
        self.complain(fault)

    def models(self) -> list[ObjectModel]:
        """The objects that the weights know."""
        return self._estimator.models if self._estimator else []

    def names(self) -> list[str]:
        """Their names."""
        return [model.name for model in self.models()]

    def settings(self) -> Settings:
        """What the estimator is asked for now."""
        return parameters.settings(self, self.names())

    def condition(self) -> str:
        """How the first camera fares, in words."""
        return self._cameras[0].health.condition(time.monotonic()).message

    def not_active(self) -> str:
        """Why no image is looked at, even for a goal; empty when they are."""
        return "" if self._active else "not active: the node's life cycle says when"

    def _idle(self) -> str:
        """Why images are not looked at; empty when they are."""
        return self.not_active() or ("" if self._enabled else "switched off by ~/enable")

    def _diagnose(self) -> None:
        """Say how every camera fares."""
        name, now = self.get_fully_qualified_name(), time.monotonic()
        conditions = {f"{name}: {c.image_topic}": c.health.condition(now, self._idle()) for c in self._cameras}
        conditions |= {f"{name}: {c.depth.topic}": c.depth.condition(self._idle()) for c in self._cameras if c.depth}
        if self._estimator is not None:
            conditions[f"{name}: engine"] = engine_condition(self._estimator.engine)
        else:
            conditions[f"{name}: engine"] = Condition(Level.WARN, "not configured: the node's life cycle says when")
        header = Header(stamp=self.get_clock().now().to_msg())
        self._diagnostics.publish(diagnostics.conditions_to_msg(conditions, header, name))

    def _asked(self, camera: CameraInput) -> bool:
        """Whether a goal waits for this camera's images."""
        return bool(self._server.searches) and camera is self._cameras[0]

    def _look(self, msg: Image | CompressedImage, camera: CameraInput) -> None:
        """Answer an image on every topic, unless switched off, and the goals that wait for it."""
        stages, stamp = self._estimator.stages, geometry.seconds(msg.header.stamp)
        with stages("convert"):
            image = images.image_to_array(msg, camera.image_topic)
        model = camera.model(image.shape[1], image.shape[0])
        see = partial(find, self._estimator, image, model, camera.image_topic)
        see = camera.with_depth(see, msg.header, model)
        if self._asked(camera):
            self._server.look(msg.header, see)
        if not self._enabled:
            return
        request = parameters.request(self, self.names())
        if self._estimator.can_follow and request.settings.closer_look:
            request = camera.sight.asked(request, stamp, self.value("search_period"))
        found = camera.sight.look(see, stamp, request, stages)
        with stages("publish"):
            self._outputs.publish(found, msg.header, camera, frames=self.value("publish_tf"))
        self._recorder.answered(found, msg.header, camera, request)
        if camera.sight.is_due(request, stamp, self.value("search_period")):
            places = survey(self._estimator, image, model, camera.image_topic, request.settings, request.roi)
            camera.sight.surveyed(stamp, places)
        self._outputs.annotate(image, model, found, msg.header)
        self._outputs.show_beliefs(lambda: self._estimator.beliefs(image, model, self.settings()), msg.header)


def _names(estimator: Estimator) -> list[str]:
    return [model.name for model in estimator.models]


def main(argv: list[str] | None = None) -> int:
    """Run the node; returns the exit status."""
    _, ros = parse(node_parser("dope_node", "Publish the poses of known objects in rectified images."), argv)
    return run(DopeNode, "dope_node", ros)


if __name__ == "__main__":
    sys.exit(main())
