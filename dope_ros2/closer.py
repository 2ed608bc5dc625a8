"""A closer look: the surroundings of an object at the size in which the network has seen objects in training."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from dope_ros2 import cuboid
from dope_ros2.camera import CameraModel
from dope_ros2.detection import Detection

EXTENT = 0.7  # of the picture's side, that the object spans
LARGEST = 1.8  # magnification, as in training; more shows nothing new
GREY = (124, 116, 104)  # beyond the image's border
NEAR = 0.25  # of the picture's side: what is found farther from where the object was is another one


def warp(image: np.ndarray, A: np.ndarray, size: int, border: tuple[int, ...] = GREY) -> np.ndarray:
    """Apply the affine map (2, 3) to an image, (size, size, 3); halved as often as it shrinks, against aliasing."""
    scale = float(np.sqrt(np.linalg.det(A[:, :2])))
    halvings = max(0, int(-np.log2(scale) + 0.4))
    if halvings:
        factor = 0.5**halvings
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        offset = A[:, :2] @ np.full(2, 0.5 / factor - 0.5) + A[:, 2]  # pixel centres move by half a pixel
        A = np.column_stack([A[:, :2] / factor, offset])
    return cv2.warpAffine(image, A, (size, size), flags=cv2.INTER_LINEAR, borderValue=border)


def view(image: np.ndarray, camera: CameraModel, keypoints: np.ndarray, side: int) -> tuple[np.ndarray, CameraModel]:
    """The part of an image around an object, and its camera: cut and scaled, it is still a pinhole camera's.

    The window stays within the image where it fits; it is never larger than the image, however near the object is.

    Args:
        image: (H, W, 3) uint8.
        camera: of the image.
        keypoints: (9, 2) of the object, centre last [px].
        side: of the picture that is wanted [px].
    """
    extent = max(float(np.ptp(keypoints, axis=0).max()), 1.0)
    scale = max(min(EXTENT * side / extent, LARGEST), side / max(camera.width, camera.height))
    half = np.minimum(side / (2 * scale), np.array([camera.width, camera.height]) / 2)
    size = np.array([camera.width, camera.height])
    middle = np.clip(keypoints[cuboid.CENTRE] + 0.5, half, size - half) - 0.5
    A = np.column_stack([scale * np.eye(2), (side - 1) / 2 - scale * middle])
    K = np.vstack([A, [0, 0, 1]]) @ camera.K
    return warp(image, A, side), replace(camera, K=K, width=side, height=side)


def in_image(detection: Detection, seen_by: CameraModel, camera: CameraModel) -> Detection:
    """A detection in a scaled or cut image, with its keypoints in pixels of the image itself.

    Args:
        detection: as it was found.
        seen_by: the camera of the scaled or cut image.
        camera: that of the image.
    """
    A = camera.K @ np.linalg.inv(seen_by.K)
    return replace(
        detection,
        keypoints=detection.keypoints @ A[:2, :2].T + A[:2, 2],
        reprojection_error=detection.reprojection_error * float(np.sqrt(np.linalg.det(A[:2, :2]))),
    )


def found_again(candidate: Detection, seen: list[Detection], camera: CameraModel) -> Detection | None:
    """Of detections of the candidate's class in the camera of its closer look, the best one that is where it was."""
    centre = camera.project(candidate.pose.apply(candidate.model.centre))
    near = [
        d for d in seen if np.linalg.norm(camera.project(d.pose.apply(d.model.centre)) - centre) < NEAR * camera.width
    ]
    return max(near, key=lambda d: d.score, default=None)
