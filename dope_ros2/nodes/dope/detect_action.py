"""The action `~/detect`: look at the next images and answer once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
from dope_msgs.action import DetectObjects
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.clock import Clock, ClockType
from rclpy.task import Future
from std_msgs.msg import Header

from dope_ros2.common.errors import UserError
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.messages import read_seconds
from dope_ros2.nodes.base.node import ManagedNode
from dope_ros2.nodes.base.transforms import frames
from dope_ros2.nodes.dope import parameters
from dope_ros2.nodes.dope.host import Host
from dope_ros2.nodes.messages import detections
from dope_ros2.objects.detection import Detection
from dope_ros2.pipeline.camera_pipeline import CameraPipeline
from dope_ros2.pipeline.frame import Frame
from dope_ros2.pipeline.request import Request, Roi
from dope_ros2.tracking.tracker import Smoothing, Tracker

Result = DetectObjects.Result
PATIENCE, POLL_PAUSE = 1.0, 0.05  # how long a transform is waited for, and between two looks [s]
AT_REST = Smoothing(coast=3600.0, max_age=3600.0, at_rest=True)  # objects and camera, while images are fused


@dataclass(eq=False)
class DetectGoal:
    """A goal that is being worked on.

    Attributes:
        handle: the goal's.
        settings, roi: what is looked for, and where.
        frames: images that are still needed.
        tracker: which fuses them.
        found, header: of the newest image.
        done: how many images have been looked at.
        status, fault: one of Result.STATUS_* and what was wrong, once it has ended.
        ended: is set then.
    """

    handle: ServerGoalHandle
    settings: Settings
    roi: Roi
    frames: int
    tracker: Tracker
    found: list[Detection] = field(default_factory=list)
    header: Header = field(default_factory=Header)
    done: int = 0
    status: int = -1
    fault: str = ""
    ended: Future = field(default_factory=Future)

    def take(self, found: list[Detection], header: Header) -> None:
        """What an image shows."""
        tracked = self.tracker(found, read_seconds(header.stamp), AT_REST)
        self.found = list(filter(Request(self.settings).reports, tracked))
        self.header, self.done = header, self.done + 1
        if self.done >= self.frames:
            self.end(Result.STATUS_SUCCEEDED)

    def end(self, status: int, fault: str = "") -> None:
        """Answer with what there is."""
        if not self.ended.done():
            self.status, self.fault = status, fault
            self.ended.set_result(None)


class DetectServer:
    """Works on goals with the images of the node's first camera; any number at a time."""

    def __init__(self, node: ManagedNode, host: Host) -> None:
        self._node, self._host, self._frames = node, host, frames(node)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.searches: list[DetectGoal] = []
        self._server = ActionServer(
            node, DetectObjects, "~/detect", execute_callback=self._execute, cancel_callback=self._cancel
        )

    def end(self) -> None:
        """Answer all goals with what there is: no more images come."""
        for search in list(self.searches):
            search.end(Result.STATUS_NO_CAMERA, "the node was told to stop looking")

    def look(self, frame: Frame, header: Header, pipeline: CameraPipeline) -> None:
        """Let all goals have an image of the pipeline's camera, which is searched for what each asks for."""
        for search in list(self.searches):
            try:
                search.roi.within(frame.camera.width, frame.camera.height, frame.topic)
            except UserError as error:
                search.end(Result.STATUS_INVALID_ROI, str(error))
                continue
            try:
                search.take(pipeline.observe(frame, search.settings, search.roi).detections, header)
            except UserError as error:
                search.end(Result.STATUS_NO_CAMERA, str(error))
            search.handle.publish_feedback(DetectObjects.Feedback(frames_done=search.done))

    def _cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        for search in self.searches:
            if search.handle.goal_id == handle.goal_id:
                search.end(Result.STATUS_CANCELED)
        return CancelResponse.ACCEPT

    async def _execute(self, handle: ServerGoalHandle) -> Result:
        if idle := self._host.not_active():
            handle.abort()
            return Result(status=Result.STATUS_NO_CAMERA, message=idle)
        timer, seconds = None, read_seconds(handle.request.timeout)
        if fault := _fault(handle.request.min_score, seconds):
            handle.abort()
            return Result(status=Result.STATUS_INVALID_GOAL, message=fault)
        try:
            search = self._search(handle)
        except UserError as error:
            handle.abort()
            return Result(status=Result.STATUS_UNKNOWN_CLASS, message=str(error))
        if seconds > 0:
            timer = self._node.create_timer(seconds, lambda: search.end(Result.STATUS_TIMEOUT), clock=self._steady)
        self.searches.append(search)
        try:
            await search.ended
        finally:
            self.searches.remove(search)
            if timer is not None:
                self._node.destroy_timer(timer)
        return await self._answer(search)

    def _search(self, handle: ServerGoalHandle) -> DetectGoal:
        """What a goal asks for; everything where it is empty."""
        goal: DetectObjects.Goal = handle.request
        models = self._host.estimator.models
        settings = parameters.settings(self._node, models)
        names = parameters.chosen(goal.class_ids, models, "class_ids")
        settings = replace(settings, objects=tuple(names), min_score=float(goal.min_score) or settings.min_score)
        roi = Roi(goal.roi.x_offset, goal.roi.y_offset, goal.roi.width, goal.roi.height)
        return DetectGoal(handle, settings, roi, max(1, goal.num_frames), Tracker(models))

    def _prefix(self) -> str:
        """What the names of frames begin with."""
        return self._host.cameras[0].prefix if self._host.cameras else ""

    async def _answer(self, search: DetectGoal) -> Result:
        handle, done = search.handle, f"{search.done} of {search.frames} images looked at"
        prefix = self._prefix()
        if unseen := [name for each, name in detections.named(search.found, prefix) if each.unseen_for > 0]:
            done += f"; not detected in the newest: {', '.join(unseen)}"
        result = Result(status=search.status, message=search.fault or done)
        if search.status == Result.STATUS_TIMEOUT and search.done == 0:
            camera, seconds = self._host.cameras[0], read_seconds(handle.request.timeout)
            condition = camera.health.condition(time.monotonic())
            result.status = Result.STATUS_NO_CAMERA
            result.message = f"no image of {camera.image_topic} in {seconds:g} s; {condition.message}"
        header, found = search.header, search.found
        target = handle.request.target_frame
        if search.done and target:
            try:
                T_target_camera = await self._transform(target, header)
                found = [seen_from(detection, T_target_camera) for detection in found]
                header = Header(stamp=header.stamp, frame_id=target)
            except UserError as error:
                found, result.status, result.message = [], Result.STATUS_NO_TRANSFORM, str(error)
        result.detections = detections.detections_to_msg(found, header, prefix)
        ending = {Result.STATUS_SUCCEEDED: handle.succeed, Result.STATUS_CANCELED: handle.canceled}
        ending.get(result.status, handle.abort)()
        return result

    async def _transform(self, target: str, header: Header) -> Pose:
        """T_target_camera at an image's stamp; the transforms of that moment may come after the image.

        Raises:
            UserError: they did not come in time.
        """
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self._frames.find(target, header.frame_id, header.stamp)
            except UserError:
                if time.monotonic() > end:
                    raise
            over = Future()
            timer = self._node.create_timer(POLL_PAUSE, lambda over=over: over.set_result(None), clock=self._steady)
            await over
            self._node.destroy_timer(timer)


def _fault(min_score: float, timeout: float) -> str:
    """What is wrong with a goal's numbers; empty where nothing is."""
    if not 0 <= min_score <= 1:
        return f"min_score: {min_score:g} is not within 0 and 1; 0 means the node's own"
    return f"timeout: {timeout:g} s is negative; zero means no limit" if timeout < 0 else ""


def seen_from(detection: Detection, T_target_camera: Pose) -> Detection:
    """A detection in another frame than the camera's."""
    turn = np.kron(np.eye(2), T_target_camera.rotation)
    covariance = turn @ np.asarray(detection.covariance, float) @ turn.T
    return replace(detection, pose=T_target_camera @ detection.pose, covariance=covariance)
