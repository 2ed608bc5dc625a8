"""Targets drawn alone, each in a tile of its own on a page: where the tiles lie, and how much of a target one shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dope_datagen.assets.library import Assets
from dope_datagen.scenes.scene import Body, Scene
from dope_ros2.geometry import cuboid

PAGE = 1024  # [px], edge of a page
MAX_TILE_SIZE = 256  # [px], edge of a tile; larger targets are drawn smaller


@dataclass(frozen=True)
class Tile:
    """A tile and the window of the image that it shows.

    Attributes:
        x, y, width, height: of the tile on its page [px].
        left, top: of the window [px of the image]; scale: tile's pixels in one of the image's, at most 1.
    """

    x: int
    y: int
    width: int
    height: int
    left: int
    top: int
    scale: float

    @property
    def offset(self) -> np.ndarray:
        """What to add to `scale` times a pixel (2,) of the image, for its place in the tile."""
        return (self.scale - 1) / 2 - self.scale * np.array([self.left, self.top])

    def count(self, page: np.ndarray, number: int, scene: Scene) -> tuple[float, float]:
        """Pixels of a number in the tile, in units of the image's pixels: all, and those in the image's frame."""
        shown = page[self.y : self.y + self.height, self.x : self.x + self.width] == number
        steps = (np.arange(MAX_TILE_SIZE) + 0.5) / self.scale - 0.5
        rows, columns = self.top + steps[: self.height], self.left + steps[: self.width]  # of the image
        inside = shown[_within(rows, scene.height), _within(columns, scene.width)]
        return np.count_nonzero(shown) / self.scale**2, np.count_nonzero(inside) / self.scale**2


def pages(scene: Scene, assets: Assets) -> Iterator[list[tuple[int, Tile]]]:
    """Tiles of all targets, page by page, each with its target's number; the lowest rows of a page may stay empty."""
    windows = [_window(scene, body, assets) for body in scene.targets]
    page: list[tuple[int, Tile]] = []
    x = y = shelf = 0
    for number in sorted(range(len(windows)), key=lambda k: -windows[k][1]):  # the highest first, in shelves
        width, height, left, top, scale = windows[number]
        if x + width > PAGE:
            x, y, shelf = 0, y + shelf, 0
        if y + height > PAGE:
            yield page
            page, x, y, shelf = [], 0, 0, 0
        page.append((number, Tile(x, y, width, height, left, top, scale)))
        x, shelf = x + width, max(shelf, height)
    if page:
        yield page


def _window(scene: Scene, body: Body, assets: Assets) -> tuple[int, int, int, int, float]:
    """Width and height of a body's tile, and left, top and scale of its window."""
    box = assets.mesh(body.mesh).box
    corners = cuboid.keypoints(box.size * body.scale, box.centre * body.scale)
    pixels = scene.camera.project(body.pose.apply(corners))
    low, high = pixels.min(0), pixels.max(0)
    left, top = np.floor(low - 1).astype(int)
    scale = min(1.0, (MAX_TILE_SIZE - 2) / float((high - low).max() + 3))
    width, height = np.minimum(np.ceil((high - [left, top] + 2) * scale).astype(int), MAX_TILE_SIZE)
    return int(width), int(height), int(left), int(top), scale


def _within(places: np.ndarray, end: int) -> slice:
    """The part of increasing places whose pixels lie in [0, end)."""
    return slice(int(np.searchsorted(places, -0.5, side="right")), int(np.searchsorted(places, end - 0.5)))
