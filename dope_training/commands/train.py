"""`dope train`: train a network on a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.common.resources import example
from dope_ros2.objects.object_model import load_objects, pick
from dope_training.checks.data_check import ready
from dope_training.checks.overfit_check import self_test
from dope_training.config import load_config
from dope_training.data.split import TrainingStore
from dope_training.train import RunOptions, train
from dope_training.trainer.distributed import ranks
from dope_training.trainer.stopping import parse_duration

DATA_HELP = "store written by `dope generate`, may be given several times; PATH=3: three visits of each image per epoch"
SELF_TEST_HELP = "overfit 32 images, of --data or rendered ones, and report PASS or FAIL: exit status 0 or 1"


@command("dope train")
def main(
    config: Annotated[Path, typer.Argument(help=f"recipe, such as {example('config/train/dope-lite.yaml')}")],
    data: Annotated[list[str] | None, typer.Option(help=DATA_HELP)] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run: checkpoints, logs, weights.safetensors")] = None,
    resume: Annotated[bool, typer.Option(help="resume the run in --out, if there is one")] = False,
    net: Annotated[
        str | None,
        typer.Option("--net", "--init", help="start from weights, a checkpoint, a public .pth, or `imagenet`"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="number of epochs, instead of the recipe's")] = None,
    steps: Annotated[int | None, typer.Option(help="number of steps, instead of the recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(help="crops per step, on all devices together")] = None,
    subbatch_size: Annotated[
        int | None, typer.Option(help="crops per forward pass and device (gradient accumulation), to save memory")
    ] = None,
    optimizer: Annotated[str | None, typer.Option(help="adam, adamw, muon or sgd")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="peak learning rate, instead of the recipe's")] = None,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed or 16-mixed")] = None,
    seed: Annotated[int | None, typer.Option(help="random seed, instead of the recipe's")] = None,
    workers: Annotated[int | None, typer.Option(help="loader processes of a device; default: by cores")] = None,
    devices: Annotated[int, typer.Option(min=1, help="processes that train together, each on a GPU if there is")] = 1,
    max_time: Annotated[str | None, typer.Option(help="stop cleanly after HH:MM:SS")] = None,
    save_legacy: Annotated[bool, typer.Option("--save-legacy", help="a public .pth with each checkpoint")] = False,
    tensorboard: Annotated[bool, typer.Option(help="write TensorBoard logs, where it is installed")] = True,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
    check_only: Annotated[bool, typer.Option("--check-only", help="check the data as training would")] = False,
    save: Annotated[Path | None, typer.Option(help="folder for contact sheets of crops with their target maps")] = None,
    learn_by_heart: Annotated[bool, typer.Option("--self-test", help=SELF_TEST_HELP)] = False,
) -> int:
    """Train a belief-map network on stored images."""
    changes = {
        "epochs": epochs, "steps": steps, "batch_size": batch_size, "subbatch_size": subbatch_size,
        "optimizer": optimizer, "learning_rate": learning_rate, "precision": precision, "seed": seed,
    }  # fmt: skip
    recipe = load_config(config, changes)
    models = pick(load_objects(objects_file), recipe.objects)
    sources = [TrainingStore.parse(text) for text in data or []]
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
    options = RunOptions(
        data=sources, out=out, models=models, resume=resume, net=net, workers=workers, devices=devices,
        max_time=None if max_time is None else parse_duration(max_time), save_legacy=save_legacy,
        tensorboard=tensorboard, sheets=save,
    )  # fmt: skip
    path = train(recipe, options)
    if ranks().rank == 0:
        typer.echo(f"{path}: trained weights; try `dope predict PICTURE --weights {path} --out out/predictions`")
    return 0
