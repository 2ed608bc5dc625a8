"""The service `~/record`: the last seconds of input and output as a bag, for a bug report."""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Thread

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.exceptions import InvalidHandle
from rclpy.serialization import serialize_message
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from dope_ros2.common.errors import UserError
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.io.rosbag_writer import Message, check_rosbags
from dope_ros2.network.weights import sha256
from dope_ros2.nodes.base.node import NodeBase
from dope_ros2.nodes.dope import parameters
from dope_ros2.nodes.messages import detections
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.camera_pipeline import FrameResult
from dope_ros2.pipeline.recording import Answer, Recording, Topics, write
from dope_ros2.pipeline.request import Request
from dope_ros2.pipeline.ring_buffer import BufferedMessage, RingBuffer
from dope_ros2.tracking.tracker import Memory

WRITE_PAUSE = 1e-3  # after each message that is written: new images come first [s]
SMALL, DETECTION = 4_000, 6_000  # about the bytes of a message without pixels, and of a detection with its track


@dataclass(frozen=True, eq=False)
class AnsweredImage:
    """An answer as it went out.

    Attributes:
        found, header: of which the message is made.
        camera: topic of the image.
        prefix: of the names of its frames.
        image: when it came [ns].
        depth: when the depth that served it was kept [ns].
        request: what was asked of it.
        before: what the tracker knew.
    """

    found: list[Detection]
    header: Header
    camera: str
    prefix: str
    image: int
    depth: int | None
    request: Request
    before: Memory


class Recorder:
    """Keeps what comes in and goes out, without copies, and writes it in a thread when it is asked to."""

    def __init__(self, node: NodeBase) -> None:
        self._node, self._ring = node, RingBuffer()
        self._images: dict[str, int] = {}  # when the newest one of each topic came [ns]
        self._topics: dict[str, Topics] = {}  # of each topic of images
        self._served: dict[str, tuple[Image, int]] = {}  # the newest depth for each, and when it was kept [ns]
        self._models: list[ObjectModel] = []
        self._weights, self._sha256, self._engine = Path(), "", ""
        own = MutuallyExclusiveCallbackGroup()  # so that images go on; requests come one after another
        node.create_service(Trigger, "~/record", self._on_record, callback_group=own)

    def begin(self, estimator: Estimator) -> None:
        """Forget what was done with other weights."""
        self._check_rosbags()
        self._ring.clear()
        self._models, self._topics, self._served = estimator.models, {}, {}
        self._engine = estimator.engine.name
        self._weights = parameters.weights_file(self._node.value("weights"))
        self._sha256 = sha256(self._weights) if self._weights.is_file() else ""

    def _check_rosbags(self) -> None:
        if self._node.value("record_seconds"):
            try:
                check_rosbags()
            except UserError as error:
                self._node.get_logger().warning(f"~/record will not work: {error}; or set record_seconds to 0")

    def recorded(self, topic: str, callback: Callable[[object], None]) -> Callable[[object], None]:
        """The callback of a subscription, before which the message is kept."""

        def keep(msg: object) -> None:
            size = len(msg.data) if hasattr(msg, "data") else SMALL
            self._images[topic] = self._keep(topic, msg, size)
            callback(msg)

        return keep

    def answered(self, result: FrameResult, header: Header, topic: str, topics: Topics, prefix: str) -> None:
        """What has been published of the newest image of a topic, to which other topics and a frame prefix belong."""
        self._topics[topic], found = topics, result.detections
        depth = self._keep_depth(result.depth.message, topic, topics) if result.depth else None
        said = AnsweredImage(found, header, topic, prefix, self._images[topic], depth, result.request, result.before)
        self._keep(self._topic(), said, SMALL + DETECTION * (len(found) + len(result.before.tracks)))

    def _keep_depth(self, used: Image, topic: str, topics: Topics) -> int:
        """When the depth that served the newest image was kept [ns], now if it is another one than before."""
        if topic not in self._served or self._served[topic][0] is not used:
            self._served[topic] = used, self._keep(topics.depth, used, len(used.data))
        return self._served[topic][1]

    def _topic(self) -> str:
        return self._node.resolve_topic_name("~/detections")

    def _keep(self, topic: str, message: object, size: int) -> int:
        came = self._ring.keep(topic, message, size, lasts=isinstance(message, CameraInfo))
        self._ring.trim(self._node.value("record_seconds"), 10**6 * self._node.value("record_megabytes"))
        return came

    async def _on_record(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Answer when the bag is complete; until then images are looked at as ever."""
        try:
            response.message, response.success = str(await self._written()), True
            self._node.get_logger().info(f"recorded {response.message}")
        except UserError as error:
            response.message = str(error)
        except Exception:  # whatever a disk can do to us, the node lives on
            response.message = f"a recording cannot be written:\n{traceback.format_exc()}"
        if not response.success:
            self._node.log_error_throttled(f"~/record: {response.message}")
        return response

    async def _written(self) -> Path:
        check_rosbags()  # before the messages are taken out
        kept, seconds = deque(self._ring.messages()), self._node.value("record_seconds")
        if seconds == 0:
            raise UserError("nothing is kept: set the parameter record_seconds, and wait for so long")
        if not kept:
            raise UserError(f"nothing has come in the last {seconds:g} s that record_megabytes has room for")
        weights, cameras = (str(self._weights), self._sha256), dict(self._topics)
        facts = Recording(*weights, self._models, cameras, self._topic(), answers(kept), self._engine)
        name = f"{self._node.get_name()}_{datetime.now():%Y-%m-%d_%H-%M-%S}"
        folder = Path(self._node.value("record_folder")).expanduser()
        return await self._in_thread(partial(write, folder, name, to_messages(kept), facts, self._parameters()))

    def _parameters(self) -> dict[str, object]:
        values = {name: p.value for name, p in self._node.get_parameters_by_prefix("").items()}
        return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}

    async def _in_thread(self, work: Callable[[], Path]) -> Path:
        """The result of work that would hold up the images."""
        executor = self._node.executor
        done = Future(executor=executor)

        def run() -> None:
            try:
                done.set_result(work())
            except Exception as error:
                done.set_exception(error)
            with suppress(InvalidHandle):  # the node has ended meanwhile
                executor.wake()

        Thread(target=run, name="record").start()
        return await done


def answers(kept: Iterable[BufferedMessage]) -> list[Answer]:
    """Those of images that are still there, with what the tracker knew where it cannot be told from what was before."""
    times, begun, result = {None, *(entry.time for entry in kept)}, set(), []
    for entry in kept:
        said = entry.message
        if isinstance(said, AnsweredImage) and {said.image, said.depth} <= times:
            begins = said.camera not in begun or not np.isfinite(said.before.now)
            begun.add(said.camera)
            before = said.before if begins else None
            result.append(Answer(said.camera, said.image, said.depth, entry.time, said.request, before))
    return result


def to_messages(kept: deque[BufferedMessage]) -> Iterator[Message]:
    """What is kept, as it stands in a bag; `kept` is emptied, so that written messages take no memory."""
    while kept:
        entry = kept.popleft()
        msg = entry.message
        if isinstance(msg, AnsweredImage):
            msg = detections.detections_to_msg(msg.found, msg.header, msg.prefix)
        package = type(msg).__module__.partition(".")[0]
        yield Message(entry.topic, f"{package}/msg/{type(msg).__name__}", entry.time, serialize_message(msg))
        time.sleep(WRITE_PAUSE)
