"""What a dataset should contain: a YAML file, checked where it is read."""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dope_ros2.errors import UserError, closest

Range = tuple[float, float]


class DatagenConfig(BaseModel):
    """One file under config/datagen/; sizes in pixels refer to the picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objects: dict[str, float] = Field(description="name in objects.yaml: how often, relative to the others")
    width: int = Field(640, ge=64, le=4096)
    height: int = Field(480, ge=64, le=4096)
    focal: Range = Field((450, 1150), description="focal length [px], log-uniform")
    targets: tuple[int, int] = Field((1, 6), description="instances of known objects in a picture")
    empty: float = Field(0.05, ge=0, le=1, description="share of pictures without a target")
    size_px: Range = Field((35, 380), description="length of a target's bounding-box diagonal [px], log-uniform")
    table: float = Field(0.4, ge=0, le=1, description="share of pictures with things standing on a table")
    distractors: tuple[int, int] = (3, 18)
    pybullet_meshes: bool = True
    distractor_folders: tuple[Path, ...] = ()
    hdri_folders: tuple[Path, ...] = ()
    hdri: float = Field(0.6, ge=0, le=1, description="share of pictures lit by a panorama of hdri_folders, if any")
    photo_folders: tuple[Path, ...] = ()
    variety: int = Field(100, ge=1, description="different procedural pictures of each kind, and panoramas")
    jpeg_quality: int = Field(93, ge=1, le=100)
    depth: bool = Field(False, description="store depth too (0.3 MB a picture)")

    @field_validator("focal", "targets", "size_px", "distractors")
    @classmethod
    def _ordered(cls, value: tuple) -> tuple:
        if not 0 <= value[0] <= value[1]:
            raise ValueError(f"{list(value)} is not [lowest, highest]")
        return value

    @field_validator("focal", "size_px")
    @classmethod
    def _positive(cls, value: Range) -> Range:
        if value[0] <= 0:
            raise ValueError(f"{list(value)} must be above 0")
        return value

    @field_validator("objects")
    @classmethod
    def _some(cls, value: dict[str, float]) -> dict[str, float]:
        if not value or min(value.values()) <= 0:
            raise ValueError("give at least one object with a weight above 0, such as {carton: 1}")
        return value

    @field_validator("distractor_folders", "hdri_folders", "photo_folders", mode="before")
    @classmethod
    def _expanded(cls, value: list) -> list:
        return [os.path.expanduser(os.path.expandvars(str(folder))) for folder in value]

    @field_validator("distractor_folders", "hdri_folders", "photo_folders")
    @classmethod
    def _folders(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        for folder in value:
            if not folder.is_dir():
                raise ValueError(f"{folder} is not a folder")
        return value


def load_config(path: Path) -> DatagenConfig:
    """Read a dataset's YAML file.

    Raises:
        UserError: the file is missing or a key or value is wrong.
    """
    try:
        entry = yaml.safe_load(Path(path).read_text())
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); config/datagen/quick.yaml is an example"
        ) from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {str(error).replace(chr(10), ' ')}") from error
    if not isinstance(entry, dict):
        raise UserError(f"{path}: needs a mapping with the key `objects`; config/datagen/quick.yaml is an example")
    return parse_config(entry, str(path))


def parse_config(entry: dict, where: str) -> DatagenConfig:
    """Check a mapping; `where` starts the error message."""
    for key in entry.keys() - DatagenConfig.model_fields.keys():
        raise UserError(f"{where}: unknown key {key!r}{closest(str(key), DatagenConfig.model_fields)}")
    try:
        return DatagenConfig(**entry)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{where}: {key}: {first['msg'].removeprefix('Value error, ')}") from error
