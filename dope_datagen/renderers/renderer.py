"""Renderers: a `Scene` in, pixels, instance ids and depth out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dope_datagen.scenes.scene import Scene


@dataclass(frozen=True, eq=False)
class Rendering:
    """What a renderer makes of a scene.

    Attributes:
        rgb: (H, W, 3) uint8 sRGB.
        ids: (H, W) uint8; k + 1 where `scene.targets[k]` is seen, else 0.
        depth: (H, W) float32 along z [m], 0 where nothing is; None unless asked for.
        alone: (N, 2) pixels of each target with nothing else in the scene: all of them, and those in the frame.
    """

    rgb: np.ndarray
    ids: np.ndarray
    depth: np.ndarray | None
    alone: np.ndarray


class Renderer(Protocol):
    """Something that renders."""

    def render(self, scene: Scene, depth: bool = False) -> Rendering:
        """Render a scene with its camera."""
        ...
