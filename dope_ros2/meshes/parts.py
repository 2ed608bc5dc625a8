"""Parts of a mesh, each with a material of its own."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dope_ros2.geometry.bounding_box import BoundingBox

GREY = 204.0  # sRGB level of what has no colour
SAME_PLACE = 1e-7  # of the bounding box's longest edge: closer corners are one


class Part(NamedTuple):
    """Triangles with one material.

    Attributes:
        corners: (M, 3, 3) positions.
        uvs: (M, 3, 2) v up, or None.
        image: (H, W, 3) uint8 sRGB, a file with such an image, or None.
        colors: (M, 3, 3) sRGB 0 to 255 per corner, or None.
        normals: (M, 3, 3) of unit length per corner, or None.
    """

    corners: np.ndarray
    uvs: np.ndarray | None
    image: np.ndarray | Path | None
    colors: np.ndarray | None
    normals: np.ndarray | None = None


def linear_to_levels(color: np.ndarray) -> np.ndarray:
    """Encode linear light 0 to 1 as sRGB 0 to 255."""
    color = np.clip(np.asarray(color, float), 0, 1)
    return 255 * np.where(color <= 0.0031308, 12.92 * color, 1.055 * color ** (1 / 2.4) - 0.055)


def weld(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make corners (M, 3, 3) in the same place one: (N, 3) positions and (M, 3) triangles."""
    box = BoundingBox.of(corners)
    longest = max(float(box.size.max()), 1e-300)
    cells = np.round((corners.reshape(-1, 3) - box.low) / (longest * SAME_PLACE)).astype(np.int64)
    _, first, triangles = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    return corners.reshape(-1, 3)[first], triangles.reshape(-1, 3)


def same_picture(one: np.ndarray | Path, two: np.ndarray | Path) -> bool:
    """Whether two parts' images are the same file, or alike in every pixel."""
    if isinstance(one, Path) or isinstance(two, Path):
        return isinstance(one, Path) and one == two
    return one is two or (one.shape == two.shape and bool((one == two).all()))
