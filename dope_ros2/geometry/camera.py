"""The pinhole camera: optical frame x right, y down, z forward; the centre of the top left pixel is (0, 0)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from dope_ros2.common.errors import UserError, one_line, short
from dope_ros2.common.yaml_files import read_yaml

LARGEST_SIDE = 65_535  # [px]
FOCAL = (1e-6, 1e9)  # shortest and longest focal length that can be reckoned with [px]
COEFFICIENTS = (0, 4, 5, 8)  # of lens distortion, as OpenCV has them


@dataclass(frozen=True, eq=False)
class CameraModel:
    """Intrinsics of an image.

    Attributes:
        K: (3, 3) camera matrix [px].
        width, height: image size [px].
        distortion: (0,), (4,), (5,) or (8,) OpenCV coefficients; empty for a rectified image.
    """

    K: np.ndarray
    width: int
    height: int
    distortion: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        K, D = np.asarray(self.K, float), np.asarray(self.distortion, float)
        if not _is_pinhole(K):
            raise UserError(
                f"camera matrix {short(K.round(3).tolist())} is not usable: it must be [[fx, s, cx], [0, fy, cy], "
                "[0, 0, 1]] with positive focal lengths fx and fy [px]; calibrate the camera or correct its camera_info"
            )
        if not (0 < self.width <= LARGEST_SIDE and 0 < self.height <= LARGEST_SIDE):
            raise UserError(f"image size {short(self.width)}x{short(self.height)} is not from 1 to {LARGEST_SIDE} px")
        if D.ndim != 1 or len(D) not in COEFFICIENTS or not np.isfinite(D).all():
            raise UserError(f"distortion {short(D.tolist())} is not usable: it must be 0, 4, 5 or 8 numbers")
        object.__setattr__(self, "K", K)
        object.__setattr__(self, "distortion", D)

    @classmethod
    def from_focal(cls, focal: float, width: int, height: int) -> CameraModel:
        """Square pixels of one focal length [px], principal point at the image's centre."""
        return cls(np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]]), width, height)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project onto the image, without distortion.

        Args:
            points: (..., 3) in the optical frame [m]; every z > 0.

        Returns:
            (..., 2) pixel coordinates, u right and v down [px].

        Raises:
            ValueError: a point lies behind the camera.
        """
        points = np.asarray(points)
        if (points[..., 2] <= 0).any():
            raise ValueError(f"{(points[..., 2] <= 0).sum()} of {points[..., 2].size} points lie behind the camera")
        homogeneous = points @ self.K.T
        return homogeneous[..., :2] / homogeneous[..., 2:]

    def unproject(self, pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Lift (..., 2) pixels at (...) depths along z [m] to (..., 3) points of the optical frame [m]."""
        pixels = np.asarray(pixels)
        homogeneous = np.concatenate([pixels, np.ones_like(pixels[..., :1])], axis=-1)
        return homogeneous @ np.linalg.inv(self.K).T * np.asarray(depth)[..., None]

    def resized(self, width: int, height: int) -> CameraModel:
        """The camera of this image resized; pixel centres are integers, so c' = s (c + 0.5) - 0.5."""
        sx, sy = width / self.width, height / self.height
        A = np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
        return replace(self, K=A @ self.K, width=width, height=height)

    def cropped(self, left: int, top: int, width: int, height: int) -> CameraModel:
        """The camera of the window whose top left pixel is (left, top)."""
        A = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])
        return replace(self, K=A @ self.K, width=width, height=height)

    def rectified(self) -> CameraModel:
        """The same camera after `rectify`: no distortion."""
        return replace(self, distortion=np.zeros(0))

    def rectify(self, image: np.ndarray) -> np.ndarray:
        """Undo the lens distortion of an (H, W, C) image; the camera matrix stays."""
        if not np.any(self.distortion):
            return image
        return cv2.undistort(image, self.K, self.distortion)


def _is_pinhole(K: np.ndarray) -> bool:
    """Whether it is a camera matrix that can be inverted."""
    if K.shape != (3, 3) or not (np.abs(K) <= FOCAL[1]).all() or (K[[1, 2, 2], [0, 0, 1]] != 0).any():
        return False
    return min(K[0, 0], K[1, 1]) >= FOCAL[0] and abs(K[2, 2] - 1) < 1e-9


def load_camera(path: Path, *, rectified: bool = False) -> CameraModel:
    """Read a camera_info YAML as written by ROS's camera_calibration (image_width, camera_matrix, ...).

    Args:
        path: the file.
        rectified: give the camera of the rectified images (P, or K where there is no P), not of those as taken (K).

    Raises:
        UserError: the file is missing, no YAML, or lacks a key.
    """
    entry = read_yaml(path, "give a camera_info YAML file")
    try:
        D = np.array(entry.get("distortion_coefficients", {}).get("data", []), float)
        if rectified and "projection_matrix" in entry:
            K = np.array(entry["projection_matrix"]["data"], float).reshape(3, 4)[:, :3]
        else:
            K = np.array(entry["camera_matrix"]["data"], float).reshape(3, 3)
        size = int(entry["image_width"]), int(entry["image_height"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(
            f"{path}: not a camera_info YAML ({one_line(error)}); needed: image_width, image_height, "
            "camera_matrix.data (9 numbers); make one with ROS's camera_calibration"
        ) from error
    model = entry.get("distortion_model", "plumb_bob")
    if not rectified and model not in ("plumb_bob", "rational_polynomial"):
        raise UserError(f"{path}: distortion_model {short(model)} is not one of plumb_bob, rational_polynomial")
    try:
        return CameraModel(K, *size, distortion=D[:0] if rectified else D)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
