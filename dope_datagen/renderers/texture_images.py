"""Images by the keys of `Material.texture` and `Scene.backdrop`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from dope_datagen.assets import textures
from dope_datagen.assets.library import Assets
from dope_ros2.common.errors import UserError
from dope_ros2.meshes.mesh import Mesh

MAX_CACHED_IMAGES = 200  # images; at 512 px about 0.15 GB
MAX_TEXTURE_SIZE = 512  # [px] of a texture of something seen from some distance
TARGET = 1024  # [px] of a known object's
LARGEST_FILE = 2048  # [px] of any image that is read


def load(key: str | bytes) -> np.ndarray:
    """The (H, W, 3) uint8 sRGB image of "file:<path>", "procedural:<kind>:<seed>", or of a PNG's or JPEG's bytes."""
    if isinstance(key, bytes):
        return np.ascontiguousarray(cv2.imdecode(np.frombuffer(key, np.uint8), cv2.IMREAD_COLOR)[..., ::-1])
    kind, _, rest = key.partition(":")
    if kind == "file":
        return read_picture(Path(rest))
    name, _, seed = rest.partition(":")
    return textures.procedural(name, int(seed))


def read_picture(path: Path) -> np.ndarray:
    """Read an (H, W, 3) uint8 RGB image of at most 2048 px.

    Raises:
        UserError: the file cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path}: not a readable image; give a PNG or JPEG")
    shrink = LARGEST_FILE / max(image.shape[:2])
    if shrink < 1:
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[..., ::-1])


@lru_cache(maxsize=MAX_CACHED_IMAGES)
def picture(key: str | bytes, largest: int = MAX_TEXTURE_SIZE) -> np.ndarray:
    """The image of a key, at most `largest` px; the last ones are kept."""
    image = load(key) if largest >= MAX_TEXTURE_SIZE else picture(key)
    shrink = largest / max(image.shape[:2])
    return image if shrink >= 1 else cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)


def own_texture(mesh: Mesh) -> str | bytes:
    """What `load` takes for a mesh's own texture; "none" without."""
    return f"file:{mesh.texture}" if isinstance(mesh.texture, Path) else mesh.texture or "none"


def texture(assets: Assets, key: str, mesh: str, largest: int = TARGET) -> np.ndarray | None:
    """The image of a `Material.texture` on a mesh; None for "none" and for meshes without their own."""
    if key == "own":
        key = own_texture(assets.mesh(mesh))
    if key == "none":
        return None
    return picture(key, min(largest, TARGET if mesh.startswith("object:") else MAX_TEXTURE_SIZE))
