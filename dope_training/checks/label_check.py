"""Whether the labels, the camera and the mask of an image speak of the same thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cv2
import numpy as np

from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Sample
from dope_datagen.inspection.label_consistency import FITS, misfit
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.objects.object_model import ObjectModel

MAX_CORNER_ERROR = 2.0  # [px]; corners and masks farther off teach something wrong
OFF_CENTRE = 0.35  # of width or height, between a principal point and the image's middle
VIEW = (3.0, 150.0)  # [deg], plausible horizontal fields of view
RIM, OUTLINE = 3, 40  # [px]; outlines are followed inside of the rim, if they are as long as that
NEXT = np.ones((3, 3), np.uint8)
MAX_DISTANCE = 30.0  # [m]; beyond it, the unit is doubtful


def label_faults(sample: Sample, models: Mapping[str, ObjectModel]) -> Iterator[str]:
    """Labels of an image that contradict their own poses, the camera, or the mask.

    Args:
        sample: the image.
        models: the store's records by name.
    """
    middles = mask_middles(sample.mask, len(sample.objects))
    for label, middle in zip(sample.objects, middles, strict=True):
        if label.name not in models:
            yield f"class {label.name!r} is not an object of this store"
        elif fault := misfit(label, models[label.name], sample.camera, MAX_CORNER_ERROR):
            yield fault + ("" if "it fits" in fault else _intrinsics(label, models[label.name], sample.camera))
        elif not _within(middle, label.keypoints):
            yield (
                f"the pixels of its mask lie around ({middle[0]:.0f}, {middle[1]:.0f}), beside its projected cuboid: "
                "were images and labels mixed up, or images resized, cropped or mirrored without their labels?"
            )


def mask_middles(mask: np.ndarray, count: int) -> np.ndarray:
    """The mean pixel (count, 2) of each id 1 to `count` of a mask (H, W); NaN where there is none."""
    ys, xs = np.nonzero(mask)
    ids = mask[ys, xs]
    pixels = np.bincount(ids, minlength=256)
    with np.errstate(invalid="ignore"):
        sums = np.column_stack([np.bincount(ids, weights=v, minlength=256) for v in (xs, ys)]) / pixels[:, None]
    return sums[1 : count + 1]


def on_edges(sample: Sample) -> bool | None:
    """Whether the outline of the largest mask lies on stronger edges of the image than the same outline elsewhere.

    Of labels that belong to their images nearly all do, of those of other images about half. None where there is
    too little to be seen of it.
    """
    pixels = np.bincount(sample.mask.ravel(), minlength=256)
    pixels[0] = 0
    seen = np.uint8(sample.mask == pixels.argmax())
    ys, xs = np.nonzero(cv2.morphologyEx(seen, cv2.MORPH_GRADIENT, NEXT))
    inside = (np.minimum(xs, ys) >= RIM) & (xs < seen.shape[1] - RIM) & (ys < seen.shape[0] - RIM)
    if pixels.max() == 0 or inside.sum() < OUTLINE:
        return None
    outline = np.column_stack([xs, ys])[inside]
    edges = cv2.morphologyEx(cv2.cvtColor(sample.rgb, cv2.COLOR_RGB2GRAY), cv2.MORPH_GRADIENT, NEXT)
    away = max(6, round(0.15 * float(np.sqrt(pixels.max()))))  # [px]
    moved = np.concatenate([outline + np.array(way) * away for way in ((1, 1), (-1, 1), (1, -1), (-1, -1))])
    moved = moved[((moved >= 0) & (moved < seen.shape[::-1])).all(1)]
    return bool(edges[outline[:, 1], outline[:, 0]].mean() > edges[moved[:, 1], moved[:, 0]].mean())


def camera_faults(camera: CameraModel) -> Iterator[str]:
    """Intrinsics that do not go with the size of the image."""
    (fx, _, cx), (_, fy, cy) = camera.K[:2]
    size = np.array([camera.width, camera.height])
    if (abs(np.array([cx, cy]) - (size - 1) / 2) > OFF_CENTRE * size).any():
        yield (
            f"the principal point ({cx:.0f}, {cy:.0f}) of images of {camera.width}x{camera.height} is far from their "
            f"middle; such intrinsics go with images of {2 * cx + 1:.0f}x{2 * cy + 1:.0f}"
        )
    view = float(np.degrees(2 * np.arctan(camera.width / (2 * fx))))
    if not VIEW[0] < view < VIEW[1]:
        yield f"a focal length of {fx:.0f} px in images {camera.width} px wide means a view of {view:.1f} degrees"
    if not 0.5 < fx / fy < 2:
        yield f"the focal lengths {fx:.1f} and {fy:.1f} px are far from each other; those of cameras are nearly equal"


def _within(point: np.ndarray, keypoints: np.ndarray) -> bool:
    """Whether a pixel lies in the box around keypoints (9, 2), or there is none."""
    low, high = keypoints.min(0) - MAX_CORNER_ERROR, keypoints.max(0) + MAX_CORNER_ERROR
    return bool(np.isnan(point).any() or ((point >= low) & (point <= high)).all())


def _intrinsics(label: Label, model: ObjectModel, camera: CameraModel) -> str:
    """Other intrinsics with which the pose would fit the corners, as the end of a sentence."""
    points = label.pose.apply(model.keypoints)
    if points[:, 2].min() <= 0:
        return ""
    fitted = np.eye(3)
    for axis in (0, 1):  # u = f x / z + c
        rays = np.column_stack([points[:, axis] / points[:, 2], np.ones(len(points))])
        fitted[axis, [axis, 2]] = np.linalg.lstsq(rays, label.keypoints[:, axis], rcond=None)[0]
    homogeneous = points @ fitted.T
    if np.linalg.norm(homogeneous[:, :2] / homogeneous[:, 2:] - label.keypoints, axis=1).max() > FITS:
        return ""
    shown = [", ".join(f"{K[i]:.1f}" for i in ((0, 0), (1, 1), (0, 2), (1, 2))) for K in (fitted, camera.K)]
    return f"; it fits the intrinsics fx, fy, cx, cy = {shown[0]} instead of {shown[1]}"
