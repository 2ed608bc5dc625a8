"""ROS 2 bags (sqlite3 or mcap) as images with their cameras, without ROS: through `rosbags`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dope_ros2.common.errors import UserError, one_line
from dope_ros2.common.python_packages import pip_install
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io import camera_info
from dope_ros2.io.camera_info import CameraInfo
from dope_ros2.io.image_encodings import DEPTHS
from dope_ros2.io.messages import CompressedImageMessage, ImageMessage, read_image, read_seconds

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader

IMAGE, COMPRESSED, INFO = (f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage", "CameraInfo"))
STORAGE = (".mcap", ".db3")


@dataclass(frozen=True, eq=False)
class Shot:
    """An image of a bag.

    Attributes:
        rgb: (H, W, 3) uint8.
        camera: it was taken with; None where the bag does not say.
        stamp: seconds.
    """

    rgb: np.ndarray
    camera: CameraModel | None
    stamp: float


def is_bag(path: Path) -> bool:
    """Whether this is the folder of a bag, or one of its files."""
    return (path / "metadata.yaml").is_file() or (path.is_file() and path.suffix.lower() in STORAGE)


class Bag:
    """The images of one camera of a bag.

    Attributes:
        topic: of its colour images: a rectified one with camera_info where there is one.
        info_topic: of its camera_info; None where there is none.
        count: of the images.
        rate: of the images, in the mean [Hz].
    """

    def __init__(self, path: Path) -> None:
        """Look into a bag.

        Raises:
            UserError: it cannot be read, or has no colour images.
        """
        self.path = path
        with _told(path), _open(path) as reader:
            kinds = {c.topic: c.msgtype for c in reader.connections}
            counts = {topic: info.msgcount for topic, info in reader.topics.items()}
            seconds = 1e-9 * (reader.duration or 0)
        images = [topic for topic, kind in kinds.items() if kind in (IMAGE, COMPRESSED) and counts[topic]]
        if not images:
            raise UserError(f"{path}: has no images; its topics: {', '.join(sorted(kinds)) or 'none'}")
        infos = {topic: _info_topic(topic, kinds) for topic in images}
        ranked = sorted(images, key=lambda topic: (infos[topic] is None, not _is_rectified(topic), topic))
        colour = (topic for topic in ranked if not _is_depth(path, topic))
        if (topic := next(colour, None)) is None:
            raise UserError(f"{path}: its images are depth alone: {', '.join(ranked)}; record those of colour, too")
        self.topic = topic
        self.info_topic, self.count = infos[self.topic], counts[self.topic]
        self.rate = float(np.clip((self.count - 1) / seconds, 0.1, 1000)) if seconds > 0 and self.count > 1 else 10.0

    def __iter__(self) -> Iterator[Shot]:
        """Read from the beginning; a camera_info holds for the images after it, the first one also for those before."""
        info = next((msg for _, _, msg in messages(self.path, [self.info_topic])), None)
        for topic, _, msg in messages(self.path, [self.topic, self.info_topic]):
            if topic == self.info_topic:
                info = msg
            else:
                yield self._shot(msg, info)

    def _shot(self, msg: ImageMessage | CompressedImageMessage, info: CameraInfo | None) -> Shot:
        rgb = read_image(msg, self.topic)
        camera = None
        if info is not None:
            height, width = rgb.shape[:2]
            camera = camera_info.read(info, self.info_topic, rectified=_is_rectified(self.topic))
            camera = camera_info.fitted(camera, width, height, self.topic, self.info_topic)
        return Shot(rgb, camera, read_seconds(msg.header.stamp))


def messages(path: Path, topics: Collection[str | None]) -> Iterator[tuple[str, int, object]]:
    """Topic, time in the bag [ns] and content of the messages of some topics, in the bag's order.

    Raises:
        UserError: it cannot be read.
    """
    with _told(path), _open(path) as reader:
        connections = [c for c in reader.connections if c.topic in topics]
        for connection, time, raw in reader.messages(connections=connections) if connections else ():
            yield connection.topic, time, reader.deserialize(raw, connection.msgtype)


def _open(path: Path) -> closing[AnyReader]:
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise UserError(f"{path}: bags are read with rosbags; {pip_install('rosbags')}") from error
    reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY))
    reader.open()
    return closing(reader)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell in one line whatever a damaged bag makes of its reader.

    Raises:
        UserError: naming the bag.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # sqlite's, zstd's, those of five parsers
        reason = one_line(error) or type(error).__name__
        raise UserError(f"{path}: not a readable bag: {reason}; copy or record it again") from error


def _is_rectified(topic: str) -> bool:
    return re.search(r"(?<![a-z])(rect|undistort)", topic.lower()) is not None


def _is_depth(path: Path, topic: str) -> bool:
    """By the first message: also 16-bit millimetres, which would pass for a dark grey image."""
    msg = next(messages(path, [topic]))[2]
    if "compressedDepth" in getattr(msg, "format", ""):
        return True
    encoding = getattr(msg, "encoding", "")
    return encoding in DEPTHS and (encoding != "mono16" or "depth" in topic)


def _info_topic(topic: str, kinds: dict[str, str]) -> str | None:
    """The camera_info beside an image, or beside the image that this one is a compressed form of."""
    folder = topic.rpartition("/")[0]
    for place in (folder, folder.rpartition("/")[0]):
        if kinds.get(f"{place}/camera_info") == INFO:
            return f"{place}/camera_info"
    return None
