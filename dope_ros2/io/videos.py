"""Video files, read and written one image at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from dope_ros2.common.errors import UserError

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


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
