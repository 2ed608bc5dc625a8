"""What `dope predict` is given: images, folders of them, videos, bags, BOP scenes; read one picture at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.io.bop import IMAGE_SUFFIXES, Frame, read_scene, scenes
from dope_ros2.io.rosbag import Bag, is_bag

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what ffmpeg has to say is said in our own words


@dataclass(frozen=True, eq=False)
class Source:
    """A file to read.

    Attributes:
        name: relative path without suffix for what is written about it; no two sources share one.
        frame: camera and truth when the file belongs to a BOP scene.
    """

    path: Path
    name: str
    frame: Frame | None = None

    @property
    def is_video(self) -> bool:
        """Whether the file holds many pictures."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES

    @property
    def is_bag(self) -> bool:
        """Whether it is a ROS 2 bag."""
        return is_bag(self.path)

    @property
    def knows_camera(self) -> bool:
        """Whether it says which camera its pictures were taken with."""
        return self.frame is not None or (self.is_bag and Bag(self.path).info_topic is not None)


def find(inputs: Iterable[Path]) -> tuple[list[Source], list[str]]:
    """List the files behind files and folders, and what is wrong with those that cannot be used, one line each."""
    sources: list[Source] = []
    problems: list[str] = []
    for path in inputs:
        try:
            sources += _sources(path, problems)
        except UserError as error:
            problems.append(str(error))
    return _with_unique_names(sources), problems


def _sources(path: Path, problems: list[str]) -> list[Source]:
    if path.is_file() or is_bag(path):
        return [Source(path, path.stem)]
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder; give images, videos, bags, folders of them or BOP scenes")
    if folders := scenes(path):
        return [source for folder in folders for source in _scene(folder, problems)]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES)
    if not files:
        raise UserError(
            f"{path}: holds no images ({', '.join(IMAGE_SUFFIXES)}), videos ({', '.join(VIDEO_SUFFIXES)}) or BOP scenes"
        )
    return [Source(file, file.stem) for file in files]


def _scene(folder: Path, problems: list[str]) -> list[Source]:
    try:
        frames = read_scene(folder)
    except UserError as error:
        problems.append(str(error))
        return []
    return [Source(frame.path, f"{folder.name}_{frame.im_id:06d}", frame) for frame in frames]


def _with_unique_names(sources: list[Source]) -> list[Source]:
    seen: dict[str, int] = {}
    unique = []
    for source in sources:
        seen[source.name] = count = seen.get(source.name, 0) + 1
        name = source.name if count == 1 else f"{source.name}-{count}"
        unique.append(Source(source.path, name, source.frame))
    return unique


def read_image(path: Path) -> np.ndarray:
    """Read an image as (H, W, 3) uint8 RGB.

    Raises:
        UserError: there is no such file or it is not an image.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such image")
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise UserError(f"{path}: not a readable image; it may be damaged (allowed: {', '.join(IMAGE_SUFFIXES)})")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


class Video:
    """The pictures of a video file, (H, W, 3) uint8 RGB each.

    Attributes:
        rate: frames per second, 30 where the file does not say.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise UserError(f"{path}: not a readable video; it may be damaged or cut short, or its codec is not known")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if np.isfinite(rate) and 0 < rate <= 1000 else 30.0

    def __iter__(self) -> Iterator[np.ndarray]:
        """Read to the end; raises UserError when there is not even one picture."""
        count = 0
        try:
            while (read := self._capture.read())[0]:
                count += 1
                yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        finally:
            self._capture.release()
        if count == 0:
            raise UserError(f"{self.path}: the video has no readable picture; it may be damaged")


class VideoWriter:
    """Writes pictures of one size as MP4, to a temporary name first; use as a context manager."""

    def __init__(self, path: Path, rate: float) -> None:
        self._path, self._rate = path, rate
        self._partial = path.with_name(f".{path.name}")
        self._writer: cv2.VideoWriter | None = None

    def write(self, image: np.ndarray) -> None:
        """Append an (H, W, 3) uint8 RGB picture."""
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            size = image.shape[1], image.shape[0]
            self._writer = cv2.VideoWriter(str(self._partial), cv2.VideoWriter_fourcc(*"mp4v"), self._rate, size)
            if not self._writer.isOpened():
                raise UserError(f"{self._path}: no MP4 video can be written here; free the path, or use --no-images")
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def __enter__(self) -> VideoWriter:
        """Nothing is opened before the first picture."""
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        """Give the file its name, or remove it after an error."""
        if self._writer is None:
            return
        self._writer.release()
        if kind is None:
            os.replace(self._partial, self._path)
        else:
            self._partial.unlink(missing_ok=True)
