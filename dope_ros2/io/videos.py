"""Video files, read and written one image at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from dope_ros2.common import files
from dope_ros2.common.errors import UserError

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what ffmpeg has to say is said in our own words
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


class Video:
    """The images of a video file, (H, W, 3) uint8 RGB each.

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
        """Read to the end; raises UserError when there is not even one image."""
        count = 0
        try:
            while (read := self._capture.read())[0]:
                count += 1
                yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        finally:
            self._capture.release()
        if count == 0:
            raise UserError(f"{self.path}: the video has no readable image; it may be damaged")


class VideoWriter:
    """Writes images of one size as MP4, whole or not at all; use as a context manager."""

    def __init__(self, path: Path, rate: float) -> None:
        self._path, self._rate = path, rate
        self._writer: cv2.VideoWriter | None = None
        self._file = ExitStack()

    def write(self, image: np.ndarray) -> None:
        """Append an (H, W, 3) uint8 RGB image.

        Raises:
            UserError: the file cannot be written.
        """
        if self._writer is None:
            self._writer = self._open(image.shape[1], image.shape[0])
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        temporary = self._file.enter_context(files.replacing(self._path))
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter_fourcc(*"mp4v"), self._rate, (width, height))
        self._file.callback(writer.release)
        if not writer.isOpened():
            raise UserError(f"{self._path}: no MP4 video can be written here; free the path, or use --no-images")
        return writer

    def __enter__(self) -> VideoWriter:
        """Nothing is opened before the first image."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give the file its name, or remove it after an error."""
        self._file.__exit__(*error)
