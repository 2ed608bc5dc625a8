"""Pictures by key, for the renderer that wants them in memory."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from dope_datagen import textures
from dope_datagen.assets import Assets
from dope_datagen.renderers.gpu import read_picture

KEPT = 600  # pictures; at 512 px about 0.5 GB
LARGEST = 512  # [px] of a texture of something seen from some distance
TARGET = 1024  # [px] of a known object's


@lru_cache(maxsize=KEPT)
def picture(key: str, largest: int = LARGEST) -> np.ndarray:
    """The (H, W, 3) uint8 sRGB picture of "file:<path>" or "procedural:<kind>:<seed>", at most `largest` px."""
    kind, _, rest = key.partition(":")
    if kind == "file":
        image = read_picture(Path(rest))
    else:
        name, _, seed = rest.partition(":")
        image = textures.procedural(name, int(seed))
    shrink = largest / max(image.shape[:2])
    return image if shrink >= 1 else cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)


def texture(assets: Assets, key: str, mesh: str) -> np.ndarray | None:
    """The picture of a `Material.texture` on a mesh; None for "none" and for meshes without their own."""
    if key == "own":
        own = assets.mesh(mesh).texture
        key = f"file:{own}" if own else "none"
    if key == "none":
        return None
    return picture(key, TARGET if mesh.startswith("object:") else LARGEST)
