"""Targets drawn alone, each in a square tile of its own: where the tile lies, and how much of the target it shows."""

from __future__ import annotations

import numpy as np

from dope_datagen.meshes import Mesh
from dope_datagen.scene import Body, Scene
from dope_ros2 import cuboid

Window = tuple[int, int, float]  # left and top [px of the picture], scale (1 unless the body is larger than the tile)


def window(scene: Scene, body: Body, mesh: Mesh, tile: int) -> Window:
    """The window around a body that a tile of so many pixels shows."""
    corners = cuboid.keypoints((mesh.high - mesh.low) * body.scale, (mesh.high + mesh.low) / 2 * body.scale)
    pixels = scene.camera.project(body.pose.apply(corners))
    low, high = pixels.min(0), pixels.max(0)
    left, top = np.floor(low - 1).astype(int)
    return int(left), int(top), min(1.0, (tile - 2) / float((high - low).max() + 3))


def count(tile: np.ndarray, place: Window, scene: Scene) -> tuple[float, float]:
    """Pixels of a target in a square tile, in units of the picture's pixels: all, and those in its frame."""
    left, top, scale = place
    steps = (np.arange(len(tile)) + 0.5) / scale - 0.5
    rows, columns = top + steps, left + steps  # of the picture
    inside = tile[np.ix_((rows > -0.5) & (rows < scene.height - 0.5), (columns > -0.5) & (columns < scene.width - 0.5))]
    return np.count_nonzero(tile) / scale**2, np.count_nonzero(inside) / scale**2
