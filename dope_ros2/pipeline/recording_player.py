"""The images of a recording go the node's way again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from dope_ros2.common.errors import UserError
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io import camera_info, rosbag
from dope_ros2.objects.detection import Detection
from dope_ros2.pipeline.camera_pipeline import Sight, find
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
        self._estimator, self._topics, self._correct = estimator, recording.cameras, DepthCorrection()
        self._sights = {topic: Sight(recording.models) for topic in recording.cameras}

    def look(self, answer: Answer, msg: object, info: object, depth: object | None) -> list[Detection]:
        """The answer to an image, by the messages of it, of its camera_info and of the depth that served."""
        topic, image = answer.camera, rosbag.picture(msg, answer.camera)
        sight, info_topic, (height, width) = self._sights[topic], self._topics[topic].info, image.shape[:2]
        camera = sight.camera(info, info_topic, width, height, topic)
        if answer.before is not None:
            sight.tracker.recall(answer.before)
        see = partial(find, self._estimator, image, camera, topic)
        if depth is not None:
            see = self._with_depth(see, msg, camera, topic, depth)
        return sight.look(see, rosbag.stamp(msg), answer.request)

    def _with_depth(
        self, see: Callable[..., list[Detection]], msg: object, camera: CameraModel, topic: str, depth: object
    ) -> Callable[..., list[Detection]]:
        """A search in an image, with its ranges corrected."""
        depth_topic = self._topics[topic].depth
        metres = rosbag.depth(depth, depth_topic)
        seen_by = camera_info.fitted(camera, metres.shape[1], metres.shape[0], depth_topic, topic)
        apart = abs(rosbag.stamp(depth) - rosbag.stamp(msg))
        return lambda *wanted: [self._correct(found, metres, seen_by, apart) for found in see(*wanted)]


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
                yield ReplayedImage(answer.camera, rosbag.stamp(image), player.look(answer, image, info, depth), msg)
    if played < len(answers):
        raise UserError(f"{path}: {len(answers) - played} of {len(answers)} answers are missing; get the bag again")
