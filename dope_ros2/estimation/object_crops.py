"""A closer look: the surroundings of an object at the size in which the network has seen objects in training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from scipy import ndimage

from dope_ros2.estimation.map_decoder import KeypointInstance
from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel

CROP_FILL = 0.7  # of the picture's side, that the object spans
MAX_MAGNIFICATION = 1.8  # magnification, as in training; more shows nothing new
BORDER_COLOR = (124, 116, 104)  # beyond the image's border
MIN_ARMS = 3  # corners that say how large an object is
DUPLICATE_REGION_DISTANCE = 0.25  # of their extent: what is nearer to another object of its class is that one
MAX_CENTRE_OFFSET = 0.25  # of the picture's side: what is found farther from where the object was is another one


def warp(image: np.ndarray, A: np.ndarray, size: int, border: tuple[int, ...] = BORDER_COLOR) -> np.ndarray:
    """Apply the affine map (2, 3) to an image, (size, size, 3); halved as often as it shrinks, against aliasing."""
    scale = float(np.sqrt(np.linalg.det(A[:, :2])))
    halvings = min(max(0, int(-np.log2(scale) + 0.4)), int(np.log2(min(image.shape[:2]))))
    if halvings:
        factor = 0.5**halvings
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        offset = A[:, :2] @ np.full(2, 0.5 / factor - 0.5) + A[:, 2]  # pixel centres move by half a pixel
        A = np.column_stack([A[:, :2] / factor, offset])
    return cv2.warpAffine(image, A, (size, size), flags=cv2.INTER_LINEAR, borderValue=border)


@dataclass(frozen=True, eq=False)
class Region:
    """Where an object may be.

    Attributes:
        index: of the object among those that were looked for.
        centre: (2,) of its box [px].
        extent: about the longer side of its bounding rectangle [px].
    """

    index: int
    centre: np.ndarray
    extent: float


class Place(NamedTuple):
    """The same for the next image, in plain numbers: name of the object, centre and extent [px]."""

    object: str
    x: float
    y: float
    extent: float


def new_region(regions: list[Region], index: int, place: Place) -> Region | None:
    """A place as a region of the object with this index; None when it is one of those regions."""
    centre = np.array([place.x, place.y])
    own = (r for r in regions if r.index == index)
    known = any(
        np.linalg.norm(r.centre - centre) < DUPLICATE_REGION_DISTANCE * max(r.extent, place.extent) for r in own
    )
    return None if known else Region(index, centre, place.extent)


def region(instance: KeypointInstance, seen: np.ndarray | None, stride: int) -> Region:
    """How large an instance is, without a pose: twice its longest arm, or as far as its surface reaches.

    Args:
        instance: as decoded; its centroid is there, corners may be missing.
        seen: (h, w) cells that show objects of its class; None where that is not known.
        stride: pixels per cell.
    """
    centre = instance.keypoints[cuboid.CENTRE]
    arms = np.abs(instance.keypoints[: cuboid.CENTRE] - centre)
    known = np.isfinite(arms).all(1)
    extents = [float(stride)]
    if known.sum() >= MIN_ARMS:
        extents.append(2 * float(arms[known].max()))
    elif seen is not None:
        patches, _ = ndimage.label(seen)
        rows, columns = np.nonzero(seen)
        if len(rows):
            cells = np.column_stack([columns, rows]) * stride + (stride - 1) / 2
            nearest = np.linalg.norm(cells - centre, axis=1).argmin()
            own = patches[rows, columns] == patches[rows[nearest], columns[nearest]]
            extents.append(2 * float(np.abs(cells[own] - centre).max()))
    return Region(instance.class_index, centre, max(extents))


def region_at(index: int, model: ObjectModel, pose: Pose, camera: CameraModel) -> Region | None:
    """Where an object at T_camera_object is in the image; None when it is not, or reaches behind the camera."""
    placed = pose.apply(model.keypoints)
    if (placed[:, 2] <= 0).any():
        return None
    pixels = camera.project(placed)
    centre = pixels[cuboid.CENTRE]
    inside = (centre > 0).all() and centre[0] < camera.width and centre[1] < camera.height
    return Region(index, centre, float(np.ptp(pixels, axis=0).max())) if inside else None


def magnification(extent: float, side: int, size: np.ndarray) -> float:
    """How much a picture (its `size` is (2,)) is enlarged for a window of `side` px; `extent` is its object's [px]."""
    return max(min(CROP_FILL * side / max(extent, 1.0), MAX_MAGNIFICATION), side / size.max())


def crop_and_scale(image: np.ndarray, camera: CameraModel, place: Region, side: int) -> tuple[np.ndarray, CameraModel]:
    """The part of an image around an object, and its camera: cut and scaled, it is still a pinhole camera's.

    The window stays within the image where it fits; it is never larger than the image, however near the object is.

    Args:
        image: (H, W, 3) uint8.
        camera: of the image.
        place: where the object is, in pixels of the image.
        side: of the picture that is wanted [px].
    """
    size = np.array([camera.width, camera.height])
    scale = magnification(place.extent, side, size)
    half = np.minimum(side / (2 * scale), size / 2)
    middle = np.clip(place.centre + 0.5, half, size - half) - 0.5
    A = np.column_stack([scale * np.eye(2), (side - 1) / 2 - scale * middle])
    K = np.vstack([A, [0, 0, 1]]) @ camera.K
    return warp(image, A, side), replace(camera, K=K, width=side, height=side)


def pixel_transform(camera: CameraModel, other: CameraModel) -> np.ndarray:
    """The affine map (2, 3) from pixels of a scaled or cut image to those of another one of the same view."""
    return (other.K @ np.linalg.inv(camera.K))[:2]


def in_image(detection: Detection, seen_by: CameraModel, camera: CameraModel) -> Detection:
    """A detection in a scaled or cut image, with its keypoints in pixels of the image itself.

    Args:
        detection: as it was found.
        seen_by: the camera of the scaled or cut image.
        camera: that of the image.
    """
    A = pixel_transform(seen_by, camera)
    return replace(
        detection,
        keypoints=detection.keypoints @ A[:, :2].T + A[:, 2],
        reprojection_error=detection.reprojection_error * float(np.sqrt(np.linalg.det(A[:, :2]))),
    )


def is_near(place: np.ndarray, centre: np.ndarray, camera: CameraModel) -> bool:
    """Whether something at a place (2,) in a closer look may be the object that it is about, at `centre` (2,) [px]."""
    return bool(np.linalg.norm(place - centre) < MAX_CENTRE_OFFSET * camera.width)


def best_near(centre: np.ndarray, seen: list[Detection], camera: CameraModel) -> Detection | None:
    """Of detections in a closer look, the best one whose box's centre is near the one looked for (2,) [px]."""
    near = [d for d in seen if is_near(camera.project(d.pose.apply(d.model.centre)), centre, camera)]
    return max(near, key=lambda d: d.score, default=None)
