"""Arrays and cameras to images and camera_info; what reads them is `io.messages`."""

from __future__ import annotations

import cv2
import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from dope_ros2.geometry.camera import CameraModel


def array_to_image(rgb: np.ndarray, header: Header) -> Image:
    """Fill an rgb8 message from an (H, W, 3) uint8 array with a single copy."""
    height, width, channels = rgb.shape
    msg = Image(header=header, height=height, width=width, encoding="rgb8", step=width * channels)
    msg.data.frombytes(np.ascontiguousarray(rgb).data)  # assigning the array would copy it number by number
    return msg


def array_to_jpeg(rgb: np.ndarray, header: Header) -> CompressedImage:
    """The same as JPEG, for slow networks."""
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(rgb[..., ::-1]))
    return CompressedImage(header=header, format="jpeg", data=data.tobytes())


def camera_to_info(camera: CameraModel, header: Header) -> CameraInfo:
    """Describe a camera: K, distortion, R = identity, P = [K | 0]."""
    msg = CameraInfo(header=header, width=camera.width, height=camera.height)
    msg.distortion_model = "rational_polynomial" if len(camera.distortion) == 8 else "plumb_bob"
    msg.d = [float(value) for value in camera.distortion] or [0.0] * 5
    msg.k, msg.r = camera.K.ravel().tolist(), np.eye(3).ravel().tolist()
    msg.p = np.column_stack([camera.K, np.zeros(3)]).ravel().tolist()
    return msg
