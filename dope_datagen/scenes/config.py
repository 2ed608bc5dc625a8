"""What a dataset should contain: a YAML file, checked where it is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from dope_datagen.scenes.intrinsics import Intrinsics, draw_camera, expanded, with_camera
from dope_ros2.common.errors import UserError, closest, short
from dope_ros2.common.resources import example
from dope_ros2.common.validation_errors import refusal
from dope_ros2.common.yaml_files import read_yaml
from dope_ros2.geometry.camera import CameraModel

Range = tuple[float, float]
Count = tuple[int, int]
Mode = Literal["float", "stand", "settle", "tumble"]
Surface = Literal["table", "floor", "bin"]
RANGES = {"focal": (1, 1e6), "aspect": (0.01, 100), "size_px": (1, 1e4), "near": (0.01, 100), "far": (0.01, 100)}
EXAMPLE = example("config/datagen/quick.yaml")
MAX_BODIES = 240  # masks are bytes, and ground and walls need numbers too


class DatagenConfig(BaseModel):
    """One file under config/datagen/; sizes in pixels refer to the image."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    objects: dict[str, float] = Field(description="name in objects.yaml: how often, relative to the others")
    renderer: Literal["raster", "path"] = "raster"
    spp: int = Field(4, ge=1, le=65536, description="samples a pixel of the path tracer; below 256 it denoises")
    camera: Intrinsics | None = Field(None, description="camera_info YAML; instead of the next five keys")
    width: int = Field(640, ge=64, le=4096)
    height: int = Field(480, ge=64, le=4096)
    focal: Range = Field((450, 1150), description="focal length [px], log-uniform; twice the same number fixes it")
    aspect: Range = Field((1, 1), description="horizontal over vertical focal length, uniform")
    principal_point_shift: float = Field(0, ge=0, le=0.3, description="from the centre, at most; share of the size")
    modes: dict[Mode, float] = Field({"settle": 1.0}, description="how things come to lie: how often, relatively")
    nb_frames: int = Field(100, ge=1, description="images of one arrangement of things")
    nb_objects: Count = Field((20, 30), description="known objects in an image")
    nb_distractors: Count = Field((50, 75), description="unknown things in an image")
    empty: float = Field(0.0, ge=0, le=1, description="share of arrangements without a known object")
    # float and stand: things are placed where the camera sees them
    size_px: Range = Field((35, 380), description="length of a target's bounding-box diagonal [px], log-uniform")
    # settle
    surfaces: tuple[Surface, ...] = Field(("table", "floor", "bin"), min_length=1)
    near: Range = Field((0.4, 0.8), description="distance from the camera to what it looks at, first shell [m]")
    far: Range = Field((0.8, 1.6), description="the same, second shell [m]; tumbling things are no farther")
    near_share: float = Field(0.5, ge=0, le=1, description="share of the images taken from the first shell")
    elevation: Range = Field((15, 80), description="of the camera above the surface [deg]")
    # tumble
    box_size: float = Field(0.5, gt=0, le=10, description="half the width of the box things tumble in [m]")
    skip_frame: int = Field(100, ge=1, description="steps of 1/240 s from one image to the next")
    pybullet_meshes: bool = True
    distractor_folders: tuple[Path, ...] = ()
    hdri_folders: tuple[Path, ...] = ()
    hdri: float = Field(0.6, ge=0, le=1, description="share of images lit by a panorama of hdri_folders, if any")
    photo_folders: tuple[Path, ...] = ()
    variety: int = Field(100, ge=1, description="different procedural images of each kind, and panoramas")
    variety_from: int = Field(0, ge=0, description="number of the first; held-out images take others than training")
    jpeg_quality: int = Field(93, ge=1, le=100)
    depth: bool = Field(False, description="store depth too (0.3 MB an image)")

    @model_validator(mode="before")
    @classmethod
    def _of_camera(cls, entry: object) -> object:
        return with_camera(entry) if isinstance(entry, dict) else entry

    @field_validator("focal", "aspect", "nb_objects", "nb_distractors", "size_px", "near", "far", "elevation")
    @classmethod
    def _ordered(cls, value: tuple) -> tuple:
        if not 0 <= value[0] <= value[1]:
            raise ValueError(f"{list(value)} is not [lowest, highest]")
        return value

    @field_validator(*RANGES)
    @classmethod
    def _within(cls, value: Range, info: ValidationInfo) -> Range:
        lowest, highest = RANGES[info.field_name]
        if not lowest <= value[0] <= value[1] <= highest:
            raise ValueError(f"{list(value)} must be above 0, between {lowest:g} and {highest:g}")
        return value

    @field_validator("objects", "modes")
    @classmethod
    def _some(cls, value: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        if not value or min(value.values()) <= 0:
            example = "{carton: 1}" if info.field_name == "objects" else "{settle: 1}"
            raise ValueError(f"give at least one with a weight above 0, such as {example}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> DatagenConfig:
        if self.nb_objects[1] + self.nb_distractors[1] > MAX_BODIES:
            raise ValueError(
                f"nb_objects and nb_distractors reach {self.nb_objects[1] + self.nb_distractors[1]} things together; "
                f"at most {MAX_BODIES} fit into an image's masks"
            )
        if self.near[0] > self.far[1]:
            raise ValueError(f"near {list(self.near)} lies beyond far {list(self.far)}; near comes first")
        if self.camera is not None and (self.aspect != (1, 1) or self.principal_point_shift > 0):
            raise ValueError("aspect and principal_point_shift contradict camera, which has its own; remove them")
        return self

    def draw_camera(self, rng: np.random.Generator) -> CameraModel:
        """The calibrated camera, or one drawn for an image."""
        if self.camera is not None:
            return self.camera.camera
        return draw_camera(rng, (self.width, self.height), self.focal, self.aspect, self.principal_point_shift)

    @field_validator("distractor_folders", "hdri_folders", "photo_folders", mode="before")
    @classmethod
    def _expanded(cls, value: object) -> object:
        return [expanded(folder) for folder in value] if isinstance(value, list | tuple) else value

    @field_validator("distractor_folders", "hdri_folders", "photo_folders")
    @classmethod
    def _folders(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        for folder in value:
            if not os.path.exists(folder):  # unlike Path's, of any text
                raise ValueError(f"{folder} does not exist; give a folder or a file")
        return value


def load_config(path: Path) -> DatagenConfig:
    """Read a dataset's YAML file.

    Raises:
        UserError: the file is missing or a key or value is wrong.
    """
    hint = f"{EXAMPLE} is an example"
    entry = read_yaml(path, hint)
    if not isinstance(entry, dict):
        raise UserError(f"{path}: needs a mapping with the key `objects`; {hint}")
    return parse_config(entry, str(path))


def parse_config(entry: dict, where: str) -> DatagenConfig:
    """Check a mapping; `where` starts the error message."""
    for key in entry.keys() - DatagenConfig.model_fields.keys():
        raise UserError(f"{where}: unknown key {short(key)}{closest(str(key), DatagenConfig.model_fields)}")
    try:
        return DatagenConfig(**entry)
    except ValidationError as error:
        raise refusal(where, error) from error
