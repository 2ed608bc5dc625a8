"""A closer look: the surroundings of an object at the size in which the network has seen objects in training."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.image_warp import warp
from dope_ros2.objects.detection import Detection

CROP_FILL = 0.7  # of the image's side, that the object spans
MAX_MAGNIFICATION = 1.8  # magnification, as in training; more shows nothing new
DUPLICATE_REGION_DISTANCE = 0.25  # of their extent: what is nearer to another object of its class is that one
MAX_CENTRE_OFFSET = 0.25  # of the image's side: what is found farther from where the object was is another one


class ObjectRegion(NamedTuple):
    """Where in an image an object may be, in plain numbers.

    Attributes:
        name: of the object.
        x, y: centre of its box [px].
        extent: about the longer side of its bounding rectangle [px].
    """

    name: str
    x: float
    y: float
    extent: float

    @classmethod
    def around(cls, name: str, keypoints: np.ndarray) -> ObjectRegion:
        """Of an object all of whose keypoints (9, 2) are known [px]."""
        return cls(name, *map(float, keypoints[cuboid.CENTRE]), float(np.ptp(keypoints, axis=0).max()))

    @property
    def centre(self) -> np.ndarray:
        """(2,) [px]."""
        return np.array([self.x, self.y])

    def mapped(self, A: np.ndarray) -> ObjectRegion:
        """The same in another image of the view, to whose pixels the affine map (2, 3) leads."""
        x, y = A[:, :2] @ self.centre + A[:, 2]
        return ObjectRegion(self.name, float(x), float(y), self.extent * float(np.sqrt(np.linalg.det(A[:, :2]))))


def magnification(extent: float, side: int, size: np.ndarray) -> float:
    """How much an image (its `size` is (2,)) is enlarged for a window of `side` px; `extent` is its object's [px]."""
    return max(min(CROP_FILL * side / max(extent, 1.0), MAX_MAGNIFICATION), side / size.max())


def crop_and_scale(
    image: np.ndarray, camera: CameraModel, region: ObjectRegion, side: int
) -> tuple[np.ndarray, CameraModel]:
    """The part of an image around an object, and its camera: cut and scaled, it is still a pinhole camera's.

    The window stays within the image where it fits; it is never larger than the image, however near the object is.

    Args:
        image: (H, W, 3) uint8.
        camera: of the image.
        region: where the object is, in pixels of the image.
        side: of the image that is wanted [px].
    """
    size = np.array([camera.width, camera.height])
    scale = magnification(region.extent, side, size)
    half = np.minimum(side / (2 * scale), size / 2)
    middle = np.clip(region.centre + 0.5, half, size - half) - 0.5
    A = np.column_stack([scale * np.eye(2), (side - 1) / 2 - scale * middle])
    K = np.vstack([A, [0, 0, 1]]) @ camera.K
    return warp(image, A, side), replace(camera, K=K, width=side, height=side)


def pixel_transform(camera: CameraModel, other: CameraModel) -> np.ndarray:
    """The affine map (2, 3) from pixels of a scaled or cut image to those of another one of the same view."""
    return (other.K @ np.linalg.inv(camera.K))[:2]


def in_image(detection: Detection, crop_camera: CameraModel, camera: CameraModel) -> Detection:
    """A detection in a scaled or cut image, with its keypoints in pixels of the image itself.

    Args:
        detection: as it was found.
        crop_camera: the camera of the scaled or cut image.
        camera: that of the image.
    """
    A = pixel_transform(crop_camera, camera)
    return replace(
        detection,
        keypoints=detection.keypoints @ A[:, :2].T + A[:, 2],
        reprojection_error=detection.reprojection_error * float(np.sqrt(np.linalg.det(A[:, :2]))),
    )


def is_near(pixel: np.ndarray, centre: np.ndarray, camera: CameraModel) -> bool:
    """Whether something at a pixel (2,) of a closer look may be the object that it is about, at `centre` (2,) [px]."""
    return bool(np.linalg.norm(pixel - centre) < MAX_CENTRE_OFFSET * camera.width)


def best_near(centre: np.ndarray, detections: list[Detection], camera: CameraModel) -> Detection | None:
    """Of detections in a closer look, the best one whose box's centre is near the one looked for (2,) [px]."""
    near = [d for d in detections if is_near(camera.project(d.pose.apply(d.model.centre)), centre, camera)]
    return max(near, key=lambda d: d.score, default=None)
