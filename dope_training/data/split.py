"""Which images train and which judge."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from dope_datagen.dataset.store import Dataset
from dope_ros2.common.errors import UserError


@dataclass(frozen=True)
class TrainingStore:
    """A store to train on.

    Attributes:
        path: of the store.
        weight: how often an epoch has each of its images.
    """

    path: Path
    weight: float = 1.0

    @classmethod
    def parse(cls, text: str) -> TrainingStore:
        """Read `PATH` or `PATH=WEIGHT`; what is there as a whole is a path, also with `=` in its name.

        Raises:
            UserError: the weight is not above 0.
        """
        path, equals, number = text.rpartition("=")
        if not equals or Path(text).exists():
            return cls(Path(text))
        try:
            weight = float(number)
        except ValueError:
            return cls(Path(text))
        if not isfinite(weight) or weight <= 0:
            raise UserError(f"--data {text}: the weight {number} must be above 0, such as {path}=3")
        return cls(Path(path), weight)


def held_out(path: Path, share: float) -> tuple[range, range]:
    """Split a store into training and validation indices; the validation images are the last ones."""
    count = len(Dataset.open(path))
    kept = max(1, round(count * share))
    if count < 2:
        raise UserError(f"{path}: {count} images are not enough to train; generate more with `dope generate`")
    return range(count - kept), range(count - kept, count)
