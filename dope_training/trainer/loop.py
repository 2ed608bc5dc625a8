"""The training loop: steps, lines, validations and checkpoints, from wherever a run is to its end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch
from lightning.fabric import Fabric
from torch import nn
from torch.utils.data import DataLoader

from dope_ros2.common.errors import UserError
from dope_training.config import TrainConfig
from dope_training.data.progress import DataPosition
from dope_training.objective.crop_batch import CropBatch
from dope_training.optimizers.ema import ExponentialMovingAverage
from dope_training.optimizers.optimizers import learning_rate
from dope_training.trainer.checkpoints import Checkpoints, random_state
from dope_training.trainer.diagnosis import Validation, verdict
from dope_training.trainer.logs import RunLog
from dope_training.trainer.step import train_step
from dope_training.trainer.stopping import Stop
from dope_training.trainer.validation import ValidationResult, Validator


@dataclass
class Progress:
    """How far a run is; with the tensors, all that a checkpoint holds.

    Attributes:
        step: optimiser steps made.
        place: in the data.
        history: the validations.
        sums, summed: losses since the last line, and of how many steps.
        last: their mean at the last line.
    """

    step: int = 0
    place: DataPosition = field(default_factory=DataPosition)
    history: list[Validation] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    summed: int = 0
    last: float = math.inf

    def state(self) -> dict:
        """As plain lists and numbers."""
        return asdict(self) | {"place": list(self.place), "history": [list(entry) for entry in self.history]}

    @classmethod
    def from_state(cls, state: dict, *, first: bool) -> Progress:
        """The reverse of `state`; the sums are those of all ranks, so only the first one takes them over."""
        history = [Validation(*entry) for entry in state["history"]]
        sums = {name: value * first for name, value in state["sums"].items()}
        return cls(**state | {"place": DataPosition(*state["place"]), "history": history, "sums": sums})

    @property
    def stale(self) -> int:
        """Validations since the best one."""
        losses = [entry.loss for entry in self.history]
        return len(losses) - 1 - losses.index(min(losses)) if losses else 0


@dataclass
class TrainingRun:
    """Everything that takes part in training; `run` does it."""

    config: TrainConfig
    fabric: Fabric
    model: nn.Module  # a BeliefModule that fabric has set up
    optimiser: torch.optim.Optimizer
    average: ExponentialMovingAverage
    progress: Progress
    steps: int  # in all
    length: int  # images of an epoch
    pictures: int  # of a step
    loader: DataLoader
    validator: Validator
    stop: Stop
    checkpoints: Checkpoints
    log: RunLog | None  # on the first rank only
    facts: dict  # further entries of a checkpoint
    on_checkpoint: Callable[[nn.Module, DataPosition], None] | None = None  # called with its averaged network

    def run(self) -> int:
        """Train to the last step, or until told to stop; returns the code of `Stop`, 0 at the end.

        Raises:
            UserError: a loss is not a number, or a checkpoint cannot be written.
        """
        code, saved = self._train()
        if self.progress.step != saved:
            self._check_finite()
            self._save(best=False)
        return code

    def _train(self) -> tuple[int, int]:
        """All steps; returns the code of `Stop` and the step of the last checkpoint."""
        progress, config = self.progress, self.config
        self.model.train()
        saved, began, waited = progress.step or -1, time.perf_counter(), 0.0  # a run at step 0 has no checkpoint
        since = progress.step
        batches = iter(self.loader)
        while progress.step < self.steps:
            asked = time.perf_counter()
            batch = self.fabric.to_device(next(batches))
            waited += time.perf_counter() - asked
            if code := self._step(batch):
                return code, saved
            validates, last = progress.step % config.validate_every == 0, progress.step == self.steps
            if progress.step % config.log_every == 0 or validates or last:
                self._line(time.perf_counter() - began, waited, progress.step - since)
                began, waited, since = time.perf_counter(), 0.0, progress.step
            if validates or last:
                best = self._validate()
            if validates or last or progress.step % config.checkpoint_every == 0:
                self._check_finite()
                self._save(best=(validates or last) and best)
                saved = progress.step
            if validates:
                if config.patience and progress.stale >= config.patience:
                    self._say(f"stopping: no better validation in the last {progress.stale}")
                    return 0, saved
                began, waited, since = time.perf_counter(), 0.0, progress.step
        return 0, saved

    def _step(self, batch: CropBatch) -> int:
        progress = self.progress
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, progress.step, self.steps)
        losses, code = train_step(self.fabric, self.model, self.optimiser, batch, self.stop.code)
        if code:
            return code
        progress.step += 1
        progress.place = progress.place.after(self.pictures, self.length)
        progress.sums = {name: progress.sums.get(name, 0.0) + value for name, value in losses.items()}
        progress.summed += 1
        self.average.update(progress.step)
        return 0

    def _line(self, seconds: float, waited: float, steps: int) -> None:
        """Say how training goes, and begin to sum anew."""
        progress = self.progress
        self._check_finite()
        means = {name: value / progress.summed for name, value in self._summed().items()}
        progress.sums, progress.summed, progress.last = {}, 0, means["loss"]
        if self.log is not None:
            self.log.train(
                progress.step, progress.place, means, rate=steps * self.config.batch_size / max(seconds, 1e-9),
                waiting=waited / max(seconds, 1e-9), lr=self.optimiser.param_groups[0]["lr"],
            )  # fmt: skip

    def _summed(self) -> dict[str, float]:
        """The sums over all ranks, as numbers."""
        sums = self.progress.sums
        kind = {"dtype": torch.float32, "device": self.fabric.device}
        values = torch.stack([torch.as_tensor(value, **kind) for value in sums.values()])
        return dict(zip(sums, self.fabric.all_reduce(values, reduce_op="sum").tolist(), strict=True))

    def _check_finite(self) -> None:
        if self.progress.summed and not math.isfinite(self._summed()["loss"]):
            raise UserError(
                f"the loss is not a number any more, within the {self.progress.summed} steps up to "
                f"{self.progress.step}; the last good checkpoint is kept. Go on with --resume and a lower "
                "--learning-rate, or with --precision 32-true"
            )

    def _validate(self) -> bool:
        """Validate on the first rank while the others wait; returns whether this is the best so far."""
        result: ValidationResult | None = None
        if self.log is not None:
            result = self.validator(self.average.module, self.fabric, self.stop)
        entry = None if result is None else self._entry(result)
        entry = self.fabric.broadcast(entry)
        if entry is None:  # told to end
            return False
        progress = self.progress
        progress.history.append(entry)
        if self.log is not None:
            words = verdict(progress.history, self.config.warmup)
            self.log.validation(progress.step, progress.place, result, words)
        return progress.stale == 0

    def _entry(self, result: ValidationResult) -> Validation:
        recall = result.poses.recall if result.poses and result.poses.objects else None
        loss, belief = result.losses["loss"], result.losses["belief"]
        return Validation(self.progress.step, self.progress.last, loss, belief, result.empty, recall)

    def _save(self, *, best: bool) -> None:
        """Write a checkpoint, on the first rank; all of them learn when it cannot be written."""
        sums = self._summed() if self.progress.summed else {}
        problem = None
        if self.log is not None:
            try:
                self.checkpoints.save(self._state(sums), best=best)
                if self.on_checkpoint is not None:
                    self.on_checkpoint(self.average.module.network, self.progress.place)
            except UserError as error:
                problem = str(error)
        if problem := self.fabric.broadcast(problem):
            raise UserError(problem)

    def _state(self, sums: dict[str, float]) -> dict:
        return self.facts | {
            "step": self.progress.step,
            "progress": self.progress.state() | {"sums": sums},
            "network": self.model.module.state_dict(),
            "average": self.average.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "random": random_state(),
        }

    def _say(self, line: str) -> None:
        if self.log is not None:
            print(line, flush=True)
