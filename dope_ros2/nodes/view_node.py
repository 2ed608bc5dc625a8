"""The node behind `dope view`: listens to a camera and to dope_node, and shows both in the viewer rerun."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import ModuleType

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from dope_msgs.msg import ObjectInfoArray
from rclpy.clock import Clock, ClockType
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dope_ros2.common.errors import UserError
from dope_ros2.io.messages import read_seconds
from dope_ros2.meshes.mesh import Mesh
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.nodes.base.node import PlainNode
from dope_ros2.nodes.base.qos import LATCHED, RESULTS
from dope_ros2.nodes.base.run import run
from dope_ros2.nodes.messages import detections, diagnostics, objects
from dope_ros2.nodes.view.viewed_camera import ViewedCamera
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.visualization.viewer import rerun_process
from dope_ros2.visualization.viewer.blueprint import APPLICATION, blueprint
from dope_ros2.visualization.viewer.live_view import INITIAL_DISTANCE, LiveView
from dope_ros2.visualization.viewer.meshes import Recording
from dope_ros2.visualization.viewer.rerun_file import saving

INSTEAD = "`ros2 launch dope_ros2 dope.launch.py rviz:=true` shows much of it in RViz"
TRIANGLES = 20_000  # of a mesh; one of more is decimated
LOOK_AGAIN, TICK = 1.0, 0.1  # between two looks for the camera, and between two for news [s]
UNANSWERED = 3.0  # after so long without an answer images are shown without [s]


class ViewNode(PlainNode):
    """Shows each image together with its answer, so that boxes sit on the objects also when these move."""

    def __init__(self, options: argparse.Namespace, view: LiveView, ended: Callable[[], bool]) -> None:
        """Listen; done when `ended`, which is asked now and then."""
        super().__init__("dope_view")
        self._view, self._ended, self._period = view, ended, 1 / options.rate
        self._name = "/" + options.node.strip("/")
        self._camera = ViewedCamera(self, self._name, options.camera)
        self._models: dict[str, ObjectModel] = {}
        self._answered, self._shown = time.monotonic(), 0.0
        self._stamp: Time | None = None  # of what is shown
        self._late: Detection3DArray | None = None  # which waits for its image
        self.create_subscription(ObjectInfoArray, f"{self._name}/object_info", self._on_objects, LATCHED)
        self.create_subscription(Detection3DArray, f"{self._name}/detections", self._on_detections, RESULTS)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RESULTS)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(LOOK_AGAIN, self._camera.look_for, clock=steady)
        self.create_timer(TICK, self._on_timer, clock=steady)

    def _on_objects(self, msg: ObjectInfoArray) -> None:
        try:
            self._models = {model.name: model for model in objects.msg_to_models(msg)}
        except UserError as error:
            self.log_error_throttled(f"{self._name}/object_info: {error}")

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        self._view.diagnosed(self._now(), diagnostics.msg_to_conditions(msg, self._name))

    def _now(self) -> float:
        return 1e-9 * self.get_clock().now().nanoseconds

    def _on_detections(self, msg: Detection3DArray) -> None:
        if self._camera.frame_id not in ("", msg.header.frame_id):
            return  # of another camera
        self._answered = time.monotonic()
        stamp = read_seconds(msg.header.stamp)
        self._view.answered(stamp, self._now() - stamp)
        if self._is_due():
            self._late = msg  # its image may come right after it
            if self._camera.find(msg.header):
                self._show(msg.header, msg)

    def _is_due(self) -> bool:
        return time.monotonic() - self._shown >= self._period

    def _show(self, header: Header, answer: Detection3DArray | None) -> None:
        """Show the image of a header, as far as it has come, and what was found in it."""
        self._shown, self._stamp, self._late = time.monotonic(), header.stamp, None
        try:
            msg = self._camera.find(header)
            picture, camera = self._camera.decode(msg) if msg else (None, None)
            found = detections.msg_to_detections(answer, self._models) if answer else []
            self._view.show(read_seconds(header.stamp), found, picture, camera)
        except ValueError as error:  # a user's mistake, or numbers that are no pose
            self.log_error_throttled(str(error))

    def _on_timer(self) -> None:
        if self._ended():
            self.done.set_result(0)
        picture = self._camera.newest()
        if self._late:
            self._show(self._late.header, self._late)
        elif picture and self._is_unanswered() and self._is_due() and picture.header.stamp != self._stamp:
            self._show(picture.header, None)

    def _is_unanswered(self) -> bool:
        return time.monotonic() - self._answered > UNANSWERED


def _read_mesh(model: ObjectModel) -> Mesh:
    """The mesh of a model, decimated."""
    return read_mesh(model.mesh_path, TRIANGLES)


def _to_viewer(rr: ModuleType, url: str) -> Recording:
    recording = rr.RecordingStream(APPLICATION)
    recording.connect_grpc(url, default_blueprint=blueprint(rr, INITIAL_DISTANCE))
    return recording


@contextmanager
def _to_file(rr: ModuleType, out: Path) -> Iterator[Recording]:
    """A recording that is a file when the block has ended well."""
    recording = rr.RecordingStream(APPLICATION)
    with saving(recording, out, default_blueprint=blueprint(rr, INITIAL_DISTANCE)):
        yield recording


def _make(rr: ModuleType, options: argparse.Namespace, stack: ExitStack) -> ViewNode:
    """The node with what it shows in; `stack` closes both."""
    if options.save:
        recording = stack.enter_context(_to_file(rr, options.save))
        view, ended = LiveView(rr, lambda: recording, _read_mesh), lambda: False
        stack.enter_context(closing(view))
        print(f"recording to {options.save}; Ctrl-C ends", flush=True)
    else:
        page = stack.enter_context(rerun_process.running(options.address, options.port, window=options.native))
        view, ended = LiveView(rr, partial(_to_viewer, rr, page.url), _read_mesh), page.ended
        stack.enter_context(suppress(UserError))  # what a viewer that has ended does not take is not missed
        stack.enter_context(closing(view))
        print(f"{page.page or 'the window is open'}; Ctrl-C ends", flush=True)
    return ViewNode(options, view, ended)


def show(options: argparse.Namespace, ros: list[str]) -> int:
    """Show what the node of these options sees, until Ctrl-C; returns the exit status."""
    rr = rerun_process.load(INSTEAD)
    with ExitStack() as stack:
        return run(partial(_make, rr, options, stack), "dope view", ros)
