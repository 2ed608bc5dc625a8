"""What a run says: lines for people and log scrapers, CSV files, TensorBoard where it is installed."""

from __future__ import annotations

import csv
import io
import os
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np

from dope_ros2.common.python_packages import pip_install
from dope_training.data.progress import DataPosition
from dope_training.trainer.validation import ValidationResult

# Regular expressions for log scrapers; docs/train.md has them too, and a test reads what is printed with them.
TRAIN_LINE = (
    r"Train Epoch: (?P<epoch>\d+) \[(?P<seen>\d+)/(?P<length>\d+) \((?P<percent>\d+)%\)\]\tLoss: (?P<loss>[-+.\w]+)"
)
VALIDATION_LINE = r"Validation Epoch: (?P<epoch>\d+) \[step (?P<step>\d+)/(?P<steps>\d+)\]\tLoss: (?P<loss>[-+.\w]+)"
VERDICT_LINE = r"Verdict: (?P<verdict>.+)"
WITHOUT = "train.csv and validation.csv have the same figures"
HINT = f"TensorBoard is not installed ({pip_install('tensorboard')}); {WITHOUT}"


def train_line(place: DataPosition, length: int, losses: dict[str, float], rate: float, left: float) -> str:
    """A line as published code prints it, with more behind it.

    Args:
        place: in the data.
        length: images of an epoch.
        losses: the mean since the last line.
        rate: crops trained on per second.
        left: seconds to the end.
    """
    parts = "\t".join(f"{name.capitalize()}: {value:.6f}" for name, value in losses.items() if name != "loss")
    return (
        f"Train Epoch: {place.epoch + 1} [{place.seen}/{length} ({100 * place.seen // length}%)]"
        f"\tLoss: {losses['loss']:.15f}\t{parts}\t{rate:.1f} images/s\t{timedelta(seconds=round(left))} left"
    )


def validation_line(place: DataPosition, step: int, steps: int, held: ValidationResult) -> str:
    """The same for a validation."""
    line = f"Validation Epoch: {place.epoch + 1} [step {step}/{steps}]\tLoss: {held.losses['loss']:.6f}"
    if held.poses is None:
        return line
    poses = held.poses
    return (
        f"{line}\tRecall: {poses.recall:.3f}\tTranslation: {100 * poses.translation:.2f} %"
        f"\tRotation: {poses.rotation:.2f} deg\tObjects: {poses.objects}"
    )


class Table:
    """A CSV file that grows by rows; the first one names the columns."""

    def __init__(self, path: Path, upto: int) -> None:
        """Keep the rows up to a step, for a run that goes on from there."""
        self._path = path
        kept = []
        if path.exists():
            with path.open(newline="") as file:
                kept = [row for row in csv.DictReader(file) if _whole(row) and int(row["step"]) <= upto]
            path.unlink()
        for row in kept:
            self.add(row)

    def add(self, row: dict[str, object]) -> None:
        """Write one row."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(row))
        if not self._path.exists():
            writer.writeheader()
        writer.writerow(row)
        with self._path.open("a", newline="") as file:
            file.write(text.getvalue())


def _whole(row: dict) -> bool:
    return None not in row and None not in row.values() and str(row.get("step", "")).isdigit()


class RunLog:
    """The logs of one run, written by one process."""

    def __init__(self, out: Path, steps: int, length: int, crops: int, *, at: int, board: bool = True) -> None:
        """Begin, or go on at step `at` of `steps` of so many `crops`, with `length` images an epoch."""
        self._steps, self._length, self._crops = steps, length, crops
        self._train, self._validation = (Table(out / f"{name}.csv", at) for name in ("train", "validation"))
        self._board = _board(out / "tensorboard", at) if board else None

    def train(
        self, step: int, place: DataPosition, losses: dict[str, float], *, rate: float, waiting: float, lr: float
    ) -> None:
        """Say how training goes: mean losses since the last time, crops a second, share of time without data."""
        print(train_line(place, self._length, losses, rate, self._left(step, rate)), flush=True)
        figures = {"learning_rate": lr, "images_per_s": round(rate, 2), "waiting": round(waiting, 4)}
        self._train.add({"step": step, "epoch": place.epoch + 1, **losses, **figures})
        self._scalars("train", losses | figures, step)

    def validation(self, step: int, place: DataPosition, held: ValidationResult, verdict: str) -> None:
        """Say what a validation found."""
        print(validation_line(place, step, self._steps, held), flush=True)
        print(f"Verdict: {verdict}", flush=True)
        poses = {} if held.poses is None else held.poses._asdict()
        figures = held.losses | {"empty": held.empty} | poses
        self._validation.add({"step": step, "epoch": place.epoch + 1, **figures, "verdict": verdict})
        self._scalars("validation", figures, step)
        if self._board is not None:
            self._board.add_image("beliefs", held.grid, step, dataformats="HWC")
            self._board.add_text("verdict", verdict, step)
            self._board.flush()

    def _left(self, step: int, rate: float) -> float:
        return (self._steps - step) * self._crops / max(rate, 1e-9)

    def _scalars(self, group: str, figures: dict[str, float], step: int) -> None:
        if self._board is None:
            return
        for name, value in figures.items():
            if np.isfinite(value):
                self._board.add_scalar(f"{group}/{name}", value, step)


def _board(folder: Path, at: int) -> object | None:
    """TensorBoard's writer; where it is not installed, a hint and None."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        print(HINT, file=sys.stderr)
        return None
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return SummaryWriter(str(folder), purge_step=at + 1 if at else None)
