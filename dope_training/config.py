"""What a training run is, in YAML; checked where it is read."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dope_ros2.common.errors import UserError, closest, short
from dope_ros2.common.resources import example
from dope_ros2.common.validation_errors import refusal
from dope_ros2.common.yaml_files import read_yaml
from dope_ros2.network.belief_maps import MapSpec
from dope_ros2.network.channels import SIDE_MULTIPLE
from dope_ros2.network.metadata import Conventions

OLD_KEYS = {"closer": "zoomed_crops"}  # still read, under the names that they have now


class TrainConfig(BaseModel):
    """One training run; every key may also be given on the command line where `dope train --help` lists it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    architecture: str = "dope-lite"
    objects: list[str] = Field(min_length=1)
    crop: int = Field(320, ge=64, multiple_of=8, description="side of a training crop [px]")
    crops_per_picture: int = Field(1, ge=1, description="crops cut from an image once it is decoded")
    focus: dict[str, float] = Field({}, description="how often crops are cut around a class, beside 1 of the others")
    zoomed_crops: float = Field(0.0, ge=0, le=1, description="share of crops cut as the pose search looks at an object")
    input_height: int = Field(480, ge=0, description="height images are scaled to when the weights are used [px]")
    sigma: float = Field(MapSpec.sigma, gt=0.3, lt=4, description="standard deviation of the belief targets [cells]")
    affinity: str = MapSpec.affinity
    steps: int = Field(20_000, ge=1)
    epochs: int | None = Field(None, ge=1, description="visits of every image, instead of `steps`")
    batch_size: int = Field(32, ge=1, description="crops a step, on all devices together")
    subbatch_size: int = Field(0, ge=0, description="crops a device takes at once, to save memory; 0 takes all")
    optimizer: Literal["adam", "adamw", "muon", "sgd"] = "adamw"
    learning_rate: float = Field(1.5e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    warmup: int = Field(500, ge=0, description="steps of linear warm-up")
    clip: float = Field(5.0, gt=0, description="largest norm of the gradient")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "bf16-mixed"
    validation_share: float = Field(0.02, gt=0, lt=0.5, description="last images of each store, kept from training")
    validation_images: int = Field(100, ge=1)
    validation_poses: int = Field(32, ge=0, description="held-out images whose poses are estimated at a validation")
    validate_every: int = Field(2_000, ge=1, description="steps between validations")
    checkpoint_every: int = Field(500, ge=1, description="steps between checkpoints; there is one at each validation")
    keep: int = Field(3, ge=1, description="checkpoints that are kept, besides the best")
    log_every: int = Field(50, ge=1, description="steps between lines of progress")
    patience: int = Field(0, ge=0, description="stop after so many validations without a better one; 0 never does")
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, entries: dict) -> dict:
        for old, new in OLD_KEYS.items():
            if old in entries and new in entries:
                raise ValueError(f"{old} is the old name of {new}; give one of them")
        return {OLD_KEYS.get(key, key): value for key, value in entries.items()}

    @model_validator(mode="after")
    def _whole_pictures(self) -> TrainConfig:
        if self.batch_size % self.crops_per_picture:
            raise ValueError(f"batch_size {self.batch_size} must be a multiple of crops_per_picture")
        if self.architecture != "paper" and self.crop % SIDE_MULTIPLE:
            raise ValueError(f"crop {self.crop} must be a multiple of {SIDE_MULTIPLE}")
        if self.architecture == "paper" and self.optimizer == "muon":
            raise ValueError("optimizer muon is for networks with normalisation, and paper has none; use adam or adamw")
        for name, weight in self.focus.items():
            if name not in self.objects or not 0 < weight < inf:
                raise ValueError(f"focus {name}: {weight} must be above 0, and {name} one of {', '.join(self.objects)}")
        return self

    @property
    def map_spec(self) -> MapSpec:
        """How targets are drawn."""
        return MapSpec(sigma=self.sigma, affinity=self.affinity)

    @property
    def conventions(self) -> Conventions:
        """What images and maps mean to a network that begins with random weights."""
        return Conventions(sigma=self.sigma, affinity=self.affinity)

    def focus_of(self, names: dict[str, str]) -> dict[str, float]:
        """`focus` by the names that a store has; `names` leads from those to the names here."""
        return {there: self.focus.get(name, 1.0) for there, name in names.items()}


def load_config(path: Path, changes: dict[str, object]) -> TrainConfig:
    """Read a training configuration and apply the changes that are not None.

    Raises:
        UserError: naming the file, the key and what is allowed.
    """
    entries = read_yaml(path, f"see {example('config/train/dope-lite.yaml')}")
    if not isinstance(entries, dict):
        raise UserError(f"{path}: needs keys such as `objects`; known: {', '.join(TrainConfig.model_fields)}")
    for key in entries.keys() - TrainConfig.model_fields.keys() - OLD_KEYS.keys():
        raise UserError(f"{path}: unknown key {short(key)}{closest(str(key), TrainConfig.model_fields)}")
    return changed(entries, changes, str(path))


def changed(entries: dict, changes: dict[str, object], source: str) -> TrainConfig:
    """The configuration with the changes that are not None; steps replace epochs and the other way round.

    Raises:
        UserError: naming the source, the key and what is allowed.
    """
    changes = {key: value for key, value in changes.items() if value is not None}
    if changes.keys() >= {"steps", "epochs"}:
        raise UserError("give steps or epochs, not both")
    if "steps" in changes:
        entries = entries | {"epochs": None}
    try:
        return TrainConfig(**entries | changes)
    except ValidationError as error:
        raise refusal(source, error) from error
