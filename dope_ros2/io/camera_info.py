"""sensor_msgs/CameraInfo as a camera, from ROS or from a bag: any object with the message's fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from dope_ros2.common.errors import UserError, short
from dope_ros2.geometry.camera import CameraModel


class InfoRoi(Protocol):
    """sensor_msgs/RegionOfInterest."""

    x_offset: int
    y_offset: int
    width: int
    height: int


class CameraInfo(Protocol):
    """What is used of sensor_msgs/CameraInfo."""

    width: int
    height: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    p: Sequence[float]
    roi: InfoRoi


LENS_MODELS = {"": 0, "plumb_bob": 5, "rational_polynomial": 8}  # coefficients of each distortion model


def read(msg: CameraInfo, topic: str = "camera_info", *, rectified: bool = True) -> CameraModel:
    """The camera of a rectified image (P), or of a raw one (K and its distortion).

    A region of interest is cut out; binning is left to whoever resizes the camera to the image.

    Raises:
        UserError: the message cannot describe a camera, such as the zeros of an uncalibrated driver.
    """
    K = np.array(msg.p, float).reshape(3, 4)[:, :3] if rectified else np.array(msg.k, float).reshape(3, 3)
    name = "P" if rectified else "K"
    if not (np.isfinite(K).all() and min(K[0, 0], K[1, 1], K[2, 2]) > 0):
        raise UserError(
            f"{topic}: {name} has focal lengths {K[0, 0]:g} and {K[1, 1]:g}, which must be positive pixels; "
            "calibrate the camera, or give its driver the calibration file"
        )
    if msg.width < 1 or msg.height < 1:
        raise UserError(f"{topic}: the image size is {msg.width}x{msg.height}; it must be that of the calibration")
    distortion = np.zeros(0) if rectified else _distortion(msg, topic)
    roi = msg.roi
    try:
        camera = CameraModel(K / K[2, 2], int(msg.width), int(msg.height), distortion)
        if roi.width and roi.height and (roi.width, roi.height) != (msg.width, msg.height):
            return camera.cropped(int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height))
    except UserError as error:
        raise UserError(f"{topic}: {error}") from error
    return camera


def _distortion(msg: CameraInfo, topic: str) -> np.ndarray:
    if msg.distortion_model not in LENS_MODELS:
        allowed = ", ".join(filter(None, LENS_MODELS))
        raise UserError(
            f"{topic}: distortion_model {short(msg.distortion_model)} is not one of {allowed}; rectify first"
        )
    return np.array(msg.d, float)


def fitted(camera: CameraModel, width: int, height: int, image_topic: str, info_topic: str) -> CameraModel:
    """The camera of an image of this size.

    Raises:
        UserError: it has other proportions than the camera.
    """
    if abs(width * camera.height - height * camera.width) > max(width, height, camera.width, camera.height):
        raise UserError(
            f"{image_topic}: an image of {width}x{height} does not fit {info_topic}, which is of "
            f"{camera.width}x{camera.height}: other proportions; give both from one camera"
        )
    return camera.resized(width, height)
