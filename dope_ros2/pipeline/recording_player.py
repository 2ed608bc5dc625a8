"""The images of a recording go the node's way again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dope_ros2.common.errors import UserError
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.io import rosbag
from dope_ros2.io.camera_info import CameraInfo
from dope_ros2.io.messages import CompressedImageMessage, ImageMessage, read_seconds
from dope_ros2.objects.detection import Detection
from dope_ros2.pipeline.camera_pipeline import CameraPipeline
from dope_ros2.pipeline.frame import DepthImage, Frame
from dope_ros2.pipeline.recording import Answer, Recording
from dope_ros2.refinement.depth_correction import DepthCorrection


class ReplayedImage(NamedTuple):
    """An image of the recording: its topic, stamp [s], what is found now, and the vision_msgs/Detection3DArray."""

    camera: str
    stamp: float
    found: list[Detection]
    recorded: object


class Player:
    """Does what the node did."""

    def __init__(self, recording: Recording, estimator: Estimator) -> None:
        self._topics, correction = recording.cameras, DepthCorrection()
        self._pipelines = {topic: CameraPipeline(estimator, correction) for topic in recording.cameras}

    def process(
        self,
        answer: Answer,
        msg: ImageMessage | CompressedImageMessage,
        info: CameraInfo,
        depth: ImageMessage | None,
    ) -> list[Detection]:
        """The answer to an image, by the messages of it, of its camera_info and of the depth that served.

        Raises:
            UserError: a message cannot be read.
        """
        topics, pipeline = self._topics[answer.camera], self._pipelines[answer.camera]
        frame = Frame.read(msg, answer.camera, info, topics.info)
        if depth is not None:
            frame = replace(frame, depth=DepthImage.read(depth, topics.depth, frame))
        if answer.before is not None:
            pipeline.tracker.recall(answer.before)
        return pipeline.process(frame, answer.request).detections


def play(path: Path, recording: Recording, estimator: Estimator) -> Iterator[ReplayedImage]:
    """Look at every image that was answered, in their order.

    Raises:
        UserError: the bag cannot be read, or lacks something.
    """
    player, answers = Player(recording, estimator), {answer.answer: answer for answer in recording.answers}
    wanted, played = {answer.image for answer in recording.answers}, 0
    newest: dict[str | None, tuple[int | None, object]] = {None: (None, None)}  # time and message of a topic
    images: dict[int, tuple[object, object]] = {}  # and the camera_info of their time
    for topic, time, msg in rosbag.messages(path, recording.topics):
        if topic in recording.cameras:
            if time in wanted:
                images[time] = msg, newest.get(recording.cameras[topic].info, (None, None))[1]
        elif topic != recording.detections:
            newest[topic] = time, msg
        elif answer := answers.get(time):
            image, info = images.pop(answer.image, (None, None))
            depth_topic = recording.cameras[answer.camera].depth if answer.depth else None
            served, depth = newest.get(depth_topic, (None, None))
            if info is not None and served == answer.depth:
                played += 1
                found = player.process(answer, image, info, depth)
                yield ReplayedImage(answer.camera, read_seconds(image.header.stamp), found, msg)
    if played < len(answers):
        raise UserError(f"{path}: {len(answers) - played} of {len(answers)} answers are missing; get the bag again")
