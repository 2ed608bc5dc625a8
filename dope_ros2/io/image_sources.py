"""Where a live camera's images come from: a webcam, a video file, a folder of images, a bag, a BOP scene."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.io.bop import IMAGE_SUFFIXES, BopFrame, Truth, is_scene, read_scene
from dope_ros2.io.images import read_image
from dope_ros2.io.rosbag import Bag, Shot, is_bag
from dope_ros2.io.videos import VIDEO_SUFFIXES, Video

FOLDER_RATE = 10.0  # [Hz], of images that have no rate of their own
ERRORS_ONLY = 2  # of OpenCV's log, whose warnings are given in our own words


@dataclass(frozen=True, eq=False)
class SourceImage:
    """One image.

    Attributes:
        rgb: (H, W, 3) uint8.
        K: (3, 3) camera matrix [px], where the source knows it.
        truth: what is in it, where the source knows it.
    """

    rgb: np.ndarray
    K: np.ndarray | None = None
    truth: tuple[Truth, ...] | None = None


@dataclass(frozen=True, eq=False)
class ImageSource:
    """Something to read images from.

    Attributes:
        name: for the messages.
        pictures: starts reading from the beginning.
        rate: of the images [Hz]; None when reading waits for the next one, as of a webcam.
        live: it has no end, so that an end is a fault.
        has_truth: the images say what is in them.
    """

    name: str
    pictures: Callable[[], Iterator[SourceImage]]
    rate: float | None
    live: bool = False
    has_truth: bool = False


def open_source(text: str) -> ImageSource:
    """Open a webcam (its number or /dev/video*), a video file, an image, a folder of them, a ROS 2 bag or a BOP scene.

    Raises:
        UserError: there is no such thing, or it cannot be read.
    """
    if text.isdigit() or text.startswith("/dev/"):
        return _webcam(int(text) if text.isdigit() else text)
    path = Path(text).expanduser()
    if text and is_bag(path):
        return _bag(path)
    if text and path.is_dir():
        return _scene(path) if is_scene(path) else _folder(path)
    if not path.is_file():
        raise UserError(
            f"camera source {text!r}: no such file or folder; give a webcam (0 or /dev/video0), a video, "
            "an image, a folder of images, a ROS 2 bag or a BOP scene"
        )
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return _video(path)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        allowed = ", ".join(VIDEO_SUFFIXES + IMAGE_SUFFIXES)
        raise UserError(f"{path}: neither a video nor an image; allowed: {allowed}")
    return _images(str(path), [path])


def endless(source: ImageSource) -> Iterator[SourceImage]:
    """The images again and again."""
    return chain.from_iterable(iter(source.pictures, None))


def _images(name: str, files: list[Path]) -> ImageSource:
    return ImageSource(name, lambda: (SourceImage(read_image(file)) for file in files), FOLDER_RATE)


def _folder(path: Path) -> ImageSource:
    files = [file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise UserError(f"{path}: the folder has no images ({', '.join(IMAGE_SUFFIXES)}) and is no BOP scene")
    return _images(str(path), sorted(files, key=lambda file: natural(file.name)))


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts frame2 before frame10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _scene(path: Path) -> ImageSource:
    frames = read_scene(path)
    truth = any(frame.truth is not None for frame in frames)
    return ImageSource(str(path), lambda: map(_picture, frames), FOLDER_RATE, has_truth=truth)


def _picture(frame: BopFrame) -> SourceImage:
    return SourceImage(read_image(frame.path), frame.K, frame.truth)


def _video(path: Path) -> ImageSource:
    rate = Video(path).rate  # raises when it cannot be read
    return ImageSource(str(path), lambda: (SourceImage(rgb) for rgb in Video(path)), rate)


def _bag(path: Path) -> ImageSource:
    bag = Bag(path)
    return ImageSource(str(path), lambda: map(_shot, bag), bag.rate)


def _shot(shot: Shot) -> SourceImage:
    """An image of a bag, rectified where its camera is known."""
    return SourceImage(shot.camera.rectify(shot.rgb), shot.camera.K) if shot.camera else SourceImage(shot.rgb)


def _set_log_level(level: int) -> None:
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel  # of OpenCV 4, of OpenCV 5
    set_level(level)


def _webcam(device: int | str) -> ImageSource:
    name = f"camera {device}"
    _set_log_level(ERRORS_ONLY)
    capture = cv2.VideoCapture(device)
    if not capture.isOpened():
        raise UserError(f"{name}: cannot be opened; `ls /dev/video*` lists cameras, and no other program may use it")
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def pictures() -> Iterator[SourceImage]:
        while (read := capture.read())[0]:
            yield SourceImage(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))

    return ImageSource(name, pictures, None, live=True)
