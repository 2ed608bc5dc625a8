"""Train a belief-map network on stored pictures."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Annotated, NoReturn

import torch
import typer

from dope_ros2.cli import USER_ERROR, run_typer
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import ObjectModel, load_objects, pick
from dope_training.calibration.calibrate import calibrate
from dope_training.checks.data_check import ready
from dope_training.checks.overfit_check import self_test
from dope_training.config import TrainConfig, changed, load_config
from dope_training.data.crops import Source
from dope_training.trainer.checkpoints import refused
from dope_training.trainer.distributed import launch, make_fabric, ranks
from dope_training.trainer.setup import Options, check_folder, export, prepare
from dope_training.trainer.stopping import TIME_IS_OVER, TOLD, Stop, parse_duration

DATA_HELP = "store written by `dope generate`, may be given several times; PATH=3 has its pictures three times an epoch"
SELF_TEST_HELP = "learn 32 pictures by heart, of --data or rendered ones, and say whether it works: exit status 0 or 1"
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
        net: start from these weights, see `starting.start_from`; random ones if None.
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
    options = Options(
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


def run(recipe: TrainConfig, options: Options) -> Path:
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
    if code == TOLD:
        raise SystemExit(SAVED + (stop.signal or signal.SIGTERM))
    if fabric.is_global_zero:
        print("".join(f"{line}\n" for line in training.loader.dataset.unreadable()), end="")
        export(weights, training.average.module.network, recipe, options, step)
        calibrate(weights, options.data, recipe.validation_share, {model.name: model for model in options.models})
    return weights


def run_together(devices: int, recipe: TrainConfig, options: Options) -> Path:
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


def _process(recipe: TrainConfig, options: Options, note: Path) -> None:
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


app = typer.Typer(add_completion=False)


@app.command()
def train_command(
    config: Annotated[Path, typer.Argument(help="recipe, such as config/train/dope-lite.yaml")],
    data: Annotated[list[str] | None, typer.Option(help=DATA_HELP)] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run: checkpoints, logs, weights.safetensors")] = None,
    resume: Annotated[bool, typer.Option(help="go on with the run in --out, if there is one")] = False,
    net: Annotated[
        str | None,
        typer.Option("--net", "--init", help="start from weights, a checkpoint, a public .pth, or `imagenet`"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="visits of every picture in all, instead of the recipe's")] = None,
    steps: Annotated[int | None, typer.Option(help="steps in all, instead of the recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(help="crops a step, on all devices together")] = None,
    subbatch_size: Annotated[int | None, typer.Option(help="crops a device takes at once, to save memory")] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw, muon or sgd")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="highest of the run, instead of the recipe's")] = None,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed or 16-mixed")] = None,
    seed: Annotated[int | None, typer.Option(help="instead of the recipe's")] = None,
    workers: Annotated[int | None, typer.Option(help="loader processes of a device; default: by cores")] = None,
    devices: Annotated[int, typer.Option(min=1, help="processes that train together, each on a GPU if there is")] = 1,
    max_time: Annotated[str | None, typer.Option(help="HH:MM:SS after which to stop cleanly")] = None,
    save_legacy: Annotated[bool, typer.Option("--save-legacy", help="with each checkpoint a public .pth")] = False,
    tensorboard: Annotated[bool, typer.Option(help="write TensorBoard logs, where it is installed")] = True,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="look at the data as training would, and stop")
    ] = False,
    save: Annotated[Path | None, typer.Option(help="folder for sheets of crops and target maps")] = None,
    learn_by_heart: Annotated[bool, typer.Option("--self-test", help=SELF_TEST_HELP)] = False,
) -> int:
    """Train a belief-map network on stored pictures."""
    changes = {
        "epochs": epochs, "steps": steps, "batch_size": batch_size, "subbatch_size": subbatch_size,
        "optimizer": optimizer, "learning_rate": learning_rate, "precision": precision, "seed": seed,
    }  # fmt: skip
    recipe = load_config(config, changes)
    models = pick(load_objects(objects_file), recipe.objects)
    sources = [Source.parse(text) for text in data or []]
    if learn_by_heart:
        outcome = self_test(recipe, sources, models)
        typer.echo(outcome.line())
        return 0 if outcome.passed else 1
    if not sources:
        raise UserError("--data is missing; give a store written by `dope generate`")
    if check_only:
        ready(recipe, sources, models, save)
        return 0
    if out is None:
        raise UserError("--out is missing; give a folder for the run: checkpoints, logs, weights")
    paths, weights = [source.path for source in sources], [source.weight for source in sources]
    path = train(
        recipe, paths, out, models=models, weights=weights, resume=resume, net=net, workers=workers, devices=devices,
        max_time=max_time, save_legacy=save_legacy, tensorboard=tensorboard, save=save,
    )  # fmt: skip
    if ranks().rank == 0:
        typer.echo(f"{path}: trained weights; try `dope predict PICTURE --weights {path} --out out/predictions`")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run `dope train`; returns the exit status."""
    return run_typer(app, argv, "dope train")


class _Callable(ModuleType):
    """Lets a notebook say `from dope_training import train`, although the module has the function's name."""

    __call__ = staticmethod(train)


sys.modules[__name__].__class__ = _Callable

if __name__ == "__main__":
    sys.exit(main())
