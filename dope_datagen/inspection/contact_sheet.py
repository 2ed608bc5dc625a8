"""Labels drawn over their images, and many of them on one sheet."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping

import cv2
import numpy as np

from dope_datagen.dataset.store import Sample
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.visualization import overlay

TILE = 480  # [px], width of an image on the sheet
TEXT = 0.4  # size of the letters
GOLDEN = 0.618034  # of the colour circle, between one instance and the next


def instance_color(index: int) -> tuple[int, int, int]:
    """The colour of label `index` on its mask and in tables, RGB; neighbours differ clearly."""
    red, green, blue = colorsys.hsv_to_rgb(index * GOLDEN % 1.0, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def annotated(sample: Sample, models: Mapping[str, ObjectModel]) -> np.ndarray:
    """Draw masks, cuboids with axes, the stored corners and names; (H, W, 3) uint8 RGB.

    The cuboid is drawn from the pose and the dots are the stored `projected_cuboid`, so a disagreement can be seen.
    """
    image = np.ascontiguousarray(sample.rgb).copy()
    for k in range(len(sample.objects)):
        _draw_mask(image, sample.mask == k + 1, instance_color(k))
    for label in sorted(sample.objects, key=lambda label: -label.pose.translation[2]):
        color = (200, 200, 200)
        if model := models.get(label.name):
            color = model.color
            overlay.draw_cuboid(image, sample.camera, model, label.pose)
        overlay.draw_keypoints(image, label.keypoints, color)
    taken: list[np.ndarray] = []
    for k, label in enumerate(sample.objects):
        if label.px_visible:
            _write(image, f"{k} {label.name} {label.visibility:.0%}", label.keypoints[:8], taken)
    return image


def sheet(images: list[np.ndarray], columns: int) -> np.ndarray:
    """Put images side by side in rows; all get the first one's shape."""
    height = round(TILE * images[0].shape[0] / images[0].shape[1])
    tiles = [cv2.resize(image, (TILE, height), interpolation=cv2.INTER_AREA) for image in images]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)])


def _draw_mask(image: np.ndarray, seen: np.ndarray, color: tuple[int, int, int]) -> None:
    """Tint the pixels `seen` (H, W) and draw their outline."""
    image[seen] = (0.65 * image[seen] + 0.35 * np.array(color)).astype(np.uint8)
    outlines, _ = cv2.findContours(seen.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outlines, -1, color, 1)


def _write(image: np.ndarray, text: str, corners: np.ndarray, taken: list[np.ndarray]) -> None:
    """Write a label's text in a dark box above its cuboid, within the image and below what is `taken` there.

    Args:
        image: (H, W, 3), drawn into.
        text: the label's.
        corners: (8, 2) of its cuboid [px].
        taken: boxes (left, top, right, bottom) [px] of the texts before; this one's is added.
    """
    height, width = image.shape[:2]
    (wide, high), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, TEXT, 1)
    left = int(np.clip(corners[:, 0].min(), 0, max(0, width - wide - 4)))
    top = int(np.clip(corners[:, 1].min() - high - base - 6, 0, max(0, height - high - base - 4)))
    box = np.array([left, top, left + wide + 4, top + high + base + 4])
    while box[3] < height and any((box[:2] < other[2:]).all() and (other[:2] < box[2:]).all() for other in taken):
        box += [0, 2, 0, 2]
    taken.append(box)
    image[box[1] : box[3], box[0] : box[2]] //= 4
    at = int(box[0]) + 2, int(box[3]) - base - 1
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, TEXT, (255, 255, 255), 1, cv2.LINE_AA)
