"""Train a belief-map network on stored pictures."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import torch

from dope_ros2.common.command_runner import USER_ERROR, load_function
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import ObjectModel, load_objects, pick
from dope_training.calibration.calibrate import calibrate
from dope_training.checks.data_check import ready
from dope_training.config import TrainConfig, changed, load_config
from dope_training.trainer.checkpoints import refused
from dope_training.trainer.distributed import launch, make_fabric, ranks
from dope_training.trainer.setup import RunOptions, check_folder, export, prepare
from dope_training.trainer.stopping import SIGNALLED, TIME_IS_OVER, Stop, parse_duration

SAVED = 128  # plus the signal's number: exit status of a run that was told to end, after its state was saved


def train(
    config: TrainConfig | Path | str,
    data: list[Path | str] | Path | str,
    out: Path | str,
    *,
    objects_file: Path | str | None = None,
    models: list[ObjectModel] | None = None,
    weights: list[float] | None = None,
    resume: bool = False,
    net: Path | str | None = None,
    workers: int | None = None,
    devices: int = 1,
    max_time: timedelta | str | None = None,
    save_legacy: bool = False,
    tensorboard: bool = True,
    save: Path | str | None = None,
    **changes: object,
) -> Path:
    """Train, and write `weights.safetensors` into the run's folder.

    Args:
        config: the recipe, or its file.
        data: one store written by `dope generate`, or several.
        out: folder of the run: checkpoints, logs, weights.
        objects_file: objects.yaml; the package's if None.
        models: records of the recipe's objects, in that order, instead of `objects_file`.
        weights: visits an epoch of each store's pictures; 1 if None.
        resume: go on from the folder's last checkpoint, if there is one.
        net: start from these weights, see `initialization.start_from`; random ones if None.
        workers: loader processes of each device; all cores but one in all if None.
        devices: processes that train together; GPUs where there are some.
        max_time: stop cleanly after this time, a timedelta or "HH:MM:SS"; `resume` goes on.
        save_legacy: write a public .pth with each checkpoint, for the network `paper`.
        tensorboard: write its logs, where it is installed.
        save: folder for sheets of crops as the network sees them.
        **changes: keys of the recipe, such as steps=1000.

    Returns:
        Path of the weights.

    Raises:
        UserError: the folder is in use, the data cannot be learned from, a loss is not a number, the disk is full.
        SystemExit: told to end by a signal; the state was saved.
    """
    recipe = _recipe(config, changes)
    if models is None:
        models = pick(load_objects(None if objects_file is None else Path(objects_file)), recipe.objects)
    options = RunOptions(
        data=[Path(path) for path in ([data] if isinstance(data, str | Path) else data)], out=Path(out), models=models,
        weights=weights, resume=resume, net=None if net is None else str(net), workers=workers,
        limit=parse_duration(max_time) if isinstance(max_time, str) else max_time, save_legacy=save_legacy,
        tensorboard=tensorboard,
    )  # fmt: skip
    check_folder(recipe, options)
    if ranks().rank == 0:
        ready(recipe, options.sources, models, None if save is None else Path(save))
    if devices == 1 or ranks().world > 1:
        return run(recipe, options)
    return run_together(devices, recipe, options)


def _recipe(config: TrainConfig | Path | str, changes: dict[str, object]) -> TrainConfig:
    if isinstance(config, TrainConfig):
        return changed(config.model_dump(), changes, "configuration")
    return load_config(Path(config), changes)


def run(recipe: TrainConfig, options: RunOptions) -> Path:
    """Train as one rank, alone or with others; returns the path of the weights, which the first rank writes."""
    torch.set_flush_denormal(True)  # vanishing gradients would make a CPU several times slower
    fabric = make_fabric(recipe.precision)
    fabric.seed_everything(recipe.seed, workers=False, verbose=False)
    with Stop(options.limit).listening() as stop:
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
        export(weights, training.average.module.network, recipe, options, step)
        calibrate(weights, options.data, recipe.validation_share, {model.name: model for model in options.models})
    return weights


def run_together(devices: int, recipe: TrainConfig, options: RunOptions) -> Path:
    """Train in so many processes; returns the path of the weights."""
    with tempfile.NamedTemporaryFile("r") as note:
        status = launch(devices, _process, (recipe, options, Path(note.name)))
        if problem := note.read():
            raise UserError(problem)
    if status >= SAVED:
        raise SystemExit(status)
    if status:
        raise UserError(f"one of the {devices} processes ended with status {status}; --resume goes on")
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


class _Callable(ModuleType):
    """Lets a notebook say `from dope_training import train`, although the module has the function's name."""

    __call__ = staticmethod(train)


sys.modules[__name__].__class__ = _Callable

if __name__ == "__main__":
    sys.exit(load_function("dope_training.commands.train:main", "train")(None))
