"""The camera of a configuration: one that was calibrated, or one drawn for each image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dope_ros2.geometry.camera import CameraModel, load_camera


class Intrinsics(BaseModel):
    """A camera whose images are rectified, in pixels; a dataset stores these numbers, not the path of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int
    height: int
    fx: float = Field(gt=0)
    fy: float = Field(gt=0)
    cx: float
    cy: float

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a camera_info YAML: P, that of the rectified images, or K where there is no P.

        Raises:
            UserError: it cannot be read, or describes no camera.
        """
        camera = load_camera(path, rectified=True)
        (fx, _, cx), (_, fy, cy) = camera.K[:2].tolist()
        return cls(width=camera.width, height=camera.height, fx=fx, fy=fy, cx=cx, cy=cy)

    @property
    def camera(self) -> CameraModel:
        """As the rest of the project has cameras."""
        K = np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])
        return CameraModel(K, self.width, self.height)


def expanded(path: object) -> str:
    """A path with ~ and $VARIABLES replaced."""
    return os.path.expanduser(os.path.expandvars(str(path)))


def with_camera(entry: Mapping) -> dict:
    """A configuration's entries with those that follow from its `camera`, a path or the numbers themselves.

    Raises:
        ValueError: `width`, `height` or `focal` is there too and says something else.
    """
    camera = entry.get("camera")
    if isinstance(camera, str | Path):
        camera = Intrinsics.load(Path(expanded(camera))).model_dump()
    elif isinstance(camera, Intrinsics):
        camera = camera.model_dump()
    if not isinstance(camera, Mapping) or not camera.keys() >= {"width", "height", "fx"}:
        return dict(entry)
    implied = {"width": camera["width"], "height": camera["height"], "focal": [camera["fx"]] * 2}
    for key, value in implied.items():
        given = entry.get(key, value)
        if (list(given) if isinstance(given, tuple) else given) != value:
            raise ValueError(f"{key}: {given} contradicts camera, which has {value}; remove one of the two")
    return {**entry, **implied, "camera": camera}


def draw_camera(
    rng: np.random.Generator,
    size: tuple[int, int],
    focal: tuple[float, float],
    aspect: tuple[float, float],
    shift: float,
) -> CameraModel:
    """Draw a camera.

    Args:
        rng: draws once; aspect and shift come from a child of it, so that what it draws next is independent of them.
        size: width and height [px].
        focal: lowest and highest horizontal focal length [px], log-uniform.
        aspect: lowest and highest ratio of the horizontal and the vertical one, uniform.
        shift: largest offset of the principal point from the centre, as share of width and height.
    """
    fx = float(np.exp(rng.uniform(*np.log(focal))))
    [child] = rng.spawn(1)
    fy = fx / child.uniform(*aspect)
    cx, cy = (np.array(size) - 1) / 2 + shift * np.array(size) * child.uniform(-1, 1, 2)
    return CameraModel(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), *size)
