"""Train a belief-map network on stored images."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import torch

from dope_ros2.common.command_runner import USER_ERROR, load_function
from dope_ros2.common.errors import UserError
from dope_ros2.refinement.drawing.appearances import put_appearances
from dope_training.calibration.calibrate import calibrate
from dope_training.checks.data_check import ready
from dope_training.config import TrainConfig
from dope_training.data.loaders import pictures_a_step
from dope_training.trainer.checkpoints import refused
from dope_training.trainer.distributed import launch, make_fabric, ranks
from dope_training.trainer.setup import RunOptions, check_folder, export, prepare
from dope_training.trainer.stopping import SIGNALLED, TIME_IS_OVER, Stop

SAVED = 128  # plus the signal's number: exit status of a run that was told to end, after its state was saved


def train(recipe: TrainConfig, options: RunOptions) -> Path:
    """Train, and write `weights.safetensors` into the run's folder.

    Args:
        recipe: what is trained and how; `config.load_config` reads one.
        options: on what, where and by how many processes.

    Returns:
        Path of the weights.

    Raises:
        UserError: the folder is in use, the data cannot be learned from, a loss is not a number, the disk is full.
        SystemExit: told to end by a signal; the state was saved.
    """
    options = options.with_models(recipe)
    check_folder(recipe, options)
    pictures_a_step(recipe, max(options.devices, ranks().world))
    if ranks().rank == 0:
        ready(recipe, options.data, options.models, options.sheets)
    if options.devices == 1 or ranks().world > 1:
        return run(recipe, options)
    return run_together(recipe, options)


def run(recipe: TrainConfig, options: RunOptions) -> Path:
    """Train as one rank, alone or with others; returns the path of the weights, which the first rank writes."""
    torch.set_flush_denormal(True)  # vanishing gradients would make a CPU several times slower
    fabric = make_fabric(recipe.precision)
    fabric.seed_everything(recipe.seed, workers=False, verbose=False)
    with Stop(options.max_time).listening() as stop:
        try:
            training = prepare(recipe, options, fabric, stop)
            code = training.run()
        except OSError as error:
            raise refused(options.out, error) from error
    weights, step = options.out / "weights.safetensors", training.progress.step
    if code:
        why = "its time is over" if code == TIME_IS_OVER else "told to end"
        fabric.print(f"stopped after step {step} of {training.steps}: {why}; --resume goes on", flush=True)
    if code == SIGNALLED:
        raise SystemExit(SAVED + (stop.signal or signal.SIGTERM))
    if fabric.is_global_zero:
        print("".join(f"{line}\n" for line in training.loader.dataset.unreadable()), end="")
        export(weights, training.average.module, options, step)
        made = put_appearances(weights, options.models, options.net)
        print("".join(f"{note}\n" for note in made.notes), end="")
        calibrate(weights, options.stores, recipe.validation_share, {model.name: model for model in options.models})
    return weights


def run_together(recipe: TrainConfig, options: RunOptions) -> Path:
    """Train in as many processes as the options say; returns the path of the weights."""
    with tempfile.NamedTemporaryFile("r") as note:
        status = launch(options.devices, _process, (recipe, options, Path(note.name)))
        if problem := note.read():
            raise UserError(problem)
    if status >= SAVED:
        raise SystemExit(status)
    if status:
        raise UserError(f"one of the {options.devices} processes ended with status {status}; --resume goes on")
    return options.out / "weights.safetensors"


def _process(recipe: TrainConfig, options: RunOptions, note: Path) -> None:
    """One of several processes; leaves a user's mistake in a file."""
    try:
        run(recipe, options)
    except UserError as error:
        note.write_text(str(error))
        _leave(USER_ERROR)
    except SystemExit as error:
        _leave(int(error.code or 0))


def _leave(status: int) -> NoReturn:
    """End this process as a failure, so that its launcher ends the others and does not wait for a result."""
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.exit(load_function("dope_training.commands.train:main", "train")(None))
