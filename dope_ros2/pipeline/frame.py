"""An image with all that belongs to it: its camera, its stamp, and where its depth is to be had."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io import camera_info
from dope_ros2.io.camera_info import CameraInfo
from dope_ros2.io.messages import CompressedImageMessage, ImageMessage, read_depth, read_image, read_seconds
from dope_ros2.pipeline.request import Roi


class DepthSource(Protocol):
    """Where the depth of a frame is to be had."""

    def nearest(self, frame: Frame) -> DepthImage | None:
        """The depth image that belongs to a frame; None where there is none."""


@dataclass(frozen=True, eq=False)
class Frame:
    """An image as it is looked at.

    Attributes:
        image: (H, W, 3) uint8 RGB, rectified.
        camera: that took it, of the same size; poses are in its optical frame.
        stamp: when it was taken [s].
        topic: where it comes from, for messages of errors.
        frame_id: name of the camera's optical frame.
        depth: asked only after the image has been searched, so that depth may come meanwhile; None: do without.
    """

    image: np.ndarray
    camera: CameraModel
    stamp: float
    topic: str = "image"
    frame_id: str = ""
    depth: DepthSource | None = None

    @classmethod
    def read(
        cls, msg: ImageMessage | CompressedImageMessage, topic: str, info: CameraInfo | None, info_topic: str
    ) -> Frame:
        """A rectified image and the camera_info that was the newest then, without depth.

        Raises:
            UserError: it cannot be read, there is no camera_info, or the two cannot belong together.
        """
        image = read_image(msg, topic)
        if info is None:
            raise UserError(f"{info_topic}: no camera_info yet for {topic}; start its publisher")
        height, width = image.shape[:2]
        camera = camera_info.fitted(camera_info.read(info, info_topic), width, height, topic, info_topic)
        return cls(image, camera, read_seconds(msg.header.stamp), topic, msg.header.frame_id)

    def cropped(self, part: Roi) -> Frame:
        """A part of it, given in its pixels; itself when that is all of it."""
        if part == Roi(0, 0, self.camera.width, self.camera.height):
            return self
        image = self.image[part.y : part.y + part.height, part.x : part.x + part.width]
        camera = self.camera.cropped(part.x, part.y, part.width, part.height)
        return replace(self, image=np.ascontiguousarray(image), camera=camera)


@dataclass(frozen=True, eq=False)
class DepthImage:
    """A depth image that is registered to the colour camera; it is its own source, for any frame.

    Attributes:
        metres: (H, W) float32 along the optical axis [m]; NaN, infinite or not above 0 where nothing was measured.
        camera: of its pixels: the colour camera at its size.
        stamp: when it was taken [s].
        message: that it was read from.
    """

    metres: np.ndarray
    camera: CameraModel
    stamp: float
    message: ImageMessage | None = None

    @classmethod
    def read(cls, msg: ImageMessage, topic: str, frame: Frame) -> DepthImage:
        """A message's depth image beside a frame.

        Raises:
            UserError: it cannot be read, or has other proportions than the frame.
        """
        metres = read_depth(msg, topic)
        height, width = metres.shape
        camera = camera_info.fitted(frame.camera, width, height, topic, frame.topic)
        return cls(metres, camera, read_seconds(msg.header.stamp), msg)

    def nearest(self, frame: Frame) -> DepthImage:
        """It serves any frame."""
        return self
