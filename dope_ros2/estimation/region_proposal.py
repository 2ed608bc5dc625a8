"""Where in an image objects may be, for a closer look: from a look at the whole of it, or from what is known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from scipy import ndimage

from dope_ros2.estimation.map_decoder import KeypointInstance
from dope_ros2.estimation.object_crops import DUPLICATE_REGION_DISTANCE, ObjectRegion
from dope_ros2.estimation.pnp.surface_coordinates import MIN_VISIBLE_PROBABILITY
from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel

MIN_REGION_BELIEF = 0.2  # mean belief of its nine keypoints, from which on an instance is looked at
MAX_REGIONS = 64  # in an image, the best first
MIN_ARMS = 3  # corners that say how large an object is


def propose_regions(
    instances: Iterable[KeypointInstance], names: Sequence[str], surface: np.ndarray | None, stride: int
) -> list[ObjectRegion]:
    """Where a look at a whole image shows objects, the most promising first, in pixels of that image.

    Args:
        instances: that were decoded from its maps.
        names: of the objects that the maps are of.
        surface: (C, 4, h, w) maps of their surfaces; None where the network has none.
        stride: pixels per cell.
    """
    promising = [instance for instance in instances if instance.scores.mean() >= MIN_REGION_BELIEF]
    best = sorted(promising, key=lambda instance: -instance.scores.sum())[:MAX_REGIONS]
    regions = []
    for instance in best:
        visible = None if surface is None else surface[instance.class_index, 0] > MIN_VISIBLE_PROBABILITY
        regions.append(instance_region(names[instance.class_index], instance, visible, stride))
    return regions


def expected_regions(
    expected: Iterable[tuple[ObjectModel, Pose]],
    others: Iterable[ObjectRegion],
    names: Collection[str],
    camera: CameraModel,
) -> list[ObjectRegion]:
    """Where objects with these names are expected in an image, at T_camera_object, and the other regions with one."""
    known = (pose_region(model, pose, camera) for model, pose in expected if model.name in names)
    regions = [region for region in known if region is not None]
    for other in others:
        if other.name in names and is_new(other, regions):
            regions.append(other)
    return regions


def is_new(region: ObjectRegion, regions: list[ObjectRegion]) -> bool:
    """Whether none of these regions is of the same object."""
    return not any(
        known.name == region.name
        and np.linalg.norm(known.centre - region.centre) < DUPLICATE_REGION_DISTANCE * max(known.extent, region.extent)
        for known in regions
    )


def instance_region(name: str, instance: KeypointInstance, visible: np.ndarray | None, stride: int) -> ObjectRegion:
    """Where an instance is, without a pose: its extent is twice its longest arm, or as far as its surface reaches.

    Args:
        name: of the object.
        instance: as decoded; its centroid is there, corners may be missing.
        visible: (h, w) cells that show objects of its class; None where that is not known.
        stride: pixels per cell.
    """
    centre = instance.keypoints[cuboid.CENTRE]
    arms = np.abs(instance.keypoints[: cuboid.CENTRE] - centre)
    known = np.isfinite(arms).all(1)
    reach = 0.0
    if known.sum() >= MIN_ARMS:
        reach = float(arms[known].max())
    elif visible is not None and visible.any():
        reach = _surface_reach(centre, visible, stride)
    return ObjectRegion(name, *map(float, centre), max(float(stride), 2 * reach))


def _surface_reach(centre: np.ndarray, visible: np.ndarray, stride: int) -> float:
    """How far the patch of cells that is nearest to a centre (2,) reaches from it, along x or y [px]."""
    patches, _ = ndimage.label(visible)
    rows, columns = np.nonzero(visible)
    cells = np.column_stack([columns, rows]) * stride + (stride - 1) / 2
    nearest = np.linalg.norm(cells - centre, axis=1).argmin()
    own = patches[rows, columns] == patches[rows[nearest], columns[nearest]]
    return float(np.abs(cells[own] - centre).max())


def pose_region(model: ObjectModel, pose: Pose, camera: CameraModel) -> ObjectRegion | None:
    """Where an object at T_camera_object is in the image; None when it is not, or reaches behind the camera."""
    points = pose.apply(model.keypoints)
    if (points[:, 2] <= 0).any():
        return None
    region = ObjectRegion.around(model.name, camera.project(points))
    return region if 0 < region.x < camera.width and 0 < region.y < camera.height else None
