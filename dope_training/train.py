"""Train a belief-map network on stored pictures."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import lightning
import torch
import typer
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from dope_datagen.store import Dataset
from dope_ros2.cli import run_typer
from dope_ros2.errors import UserError
from dope_ros2.objects import ObjectModel, load_objects, pick
from dope_ros2.weights import Metadata, TrainedObject, load, save
from dope_training.calibrate import calibrate
from dope_training.config import TrainConfig, load_config
from dope_training.data import Source, crops_of, stack
from dope_training.module import BeliefModule, Progress
from dope_training.preflight import ready
from dope_training.sampler import Visits
from dope_training.selftest import self_test

CHECKPOINT = "last.ckpt"
DATA_HELP = "store written by `dope generate`, may be given several times; PATH=3 has its pictures three times an epoch"
SELF_TEST_HELP = "learn 32 pictures by heart, of --data or rendered ones, and say whether it works: exit status 0 or 1"


def train(
    config: TrainConfig,
    data: list[Path],
    out: Path,
    *,
    models: list[ObjectModel],
    resume: bool = False,
    init: Path | None = None,
    workers: int | None = None,
    max_time: timedelta | None = None,
    weights: list[float] | None = None,
    save: Path | None = None,
) -> Path:
    """Train, and write `weights.safetensors` into the run's folder.

    Args:
        config: the recipe.
        data: stores written by `dope generate`.
        out: folder of the run: checkpoints, logs, weights.
        models: records of `config.objects`, in that order.
        resume: go on from the folder's last checkpoint.
        init: weights file to start from, of the same network and objects; random weights if None.
        workers: loader processes; all cores but one if None.
        max_time: stop cleanly after this time; `resume` goes on.
        weights: how often an epoch has each picture of a store, one number for each of `data`; once if None.
        save: folder for sheets of crops as the network sees them.

    Returns:
        Path of the weights.

    Raises:
        UserError: the folder is in use, there is nothing to resume, the data cannot be learned from.
    """
    checkpoint = out / CHECKPOINT
    if checkpoint.exists() and not resume:
        raise UserError(f"{out}: holds a training run; add --resume to go on with it, or name another folder")
    if resume and not checkpoint.exists():
        raise UserError(f"{out}: nothing to resume, {CHECKPOINT} is missing; leave out --resume to start")
    weights = weights or [1.0] * len(data)
    ready(config, [Source(*source) for source in zip(data, weights, strict=True)], models, save)
    lightning.seed_everything(config.seed, verbose=False)
    torch.set_flush_denormal(True)  # vanishing gradients would make a CPU several times slower
    workers = max(1, (os.cpu_count() or 2) - 1) if workers is None else workers
    loaders = _loaders(config, data, weights, workers)
    module = BeliefModule(config)
    if init is not None:
        start_from(module, init)
    trainer = _trainer(config, out, max_time)
    trainer.fit(module, *loaders, ckpt_path=checkpoint if resume else None)
    print("".join(f"{line}\n" for line in loaders[0].dataset.unreadable()), end="")
    path = export(module, config, data, out, models, trainer.global_step)
    calibrate(path, data, config.validation_share, {model.name: model for model in models})
    return path


def start_from(module: BeliefModule, path: Path) -> None:
    """Replace the random weights by those of a weights file.

    Raises:
        UserError: it is of another network or of other objects.
    """
    network, metadata = load(path)
    names = [trained.name for trained in metadata.objects]
    if metadata.architecture != module.config.architecture or names != module.config.objects:
        raise UserError(
            f"{path}: is a {metadata.architecture} of {', '.join(names)}, but the recipe asks for a "
            f"{module.config.architecture} of {', '.join(module.config.objects)}; name the same ones, in that order"
        )
    module.network.load_state_dict(network.state_dict())


def _loaders(
    config: TrainConfig, data: list[Path], weights: list[float], workers: int
) -> tuple[DataLoader, DataLoader]:
    """Training and validation loaders."""
    pictures = config.batch_size // config.crops_per_picture
    train_set, kept = (crops_of(data, config, training=training) for training in (True, False))
    common = {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": torch.cuda.is_available()}
    if len(train_set) < pictures:
        raise UserError(f"{len(train_set)} pictures are fewer than a step's {pictures}; generate more")
    visits = Visits(train_set.lengths, weights, config.seed)
    training = DataLoader(train_set, pictures, sampler=visits, drop_last=True, collate_fn=stack, **common)
    few = common | {"num_workers": min(workers, 2)}
    held = [(0, index) for index in range(len(kept))]
    validation = DataLoader(kept, min(pictures, len(kept)), sampler=held, collate_fn=stack, **few)
    return training, validation


def _trainer(config: TrainConfig, out: Path, max_time: timedelta | None) -> lightning.Trainer:
    """Lightning with checkpoints, averaged weights and a CSV of the losses."""
    checkpoints = ModelCheckpoint(
        out, filename="{step}", save_last="link", save_top_k=1, monitor="step", mode="max",
        every_n_train_steps=config.validate_every, save_on_exception=True,
    )  # fmt: skip
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    accelerator = "gpu" if torch.cuda.is_available() else "cpu"
    return lightning.Trainer(
        accelerator=accelerator,
        devices=1,
        precision=config.precision,
        max_steps=config.steps,
        max_epochs=-1,
        max_time=max_time,
        gradient_clip_val=config.clip,
        val_check_interval=config.validate_every,
        check_val_every_n_epoch=None,
        limit_val_batches=max(1, config.validation_images // config.batch_size),
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        logger=CSVLogger(out, name="logs"),
        callbacks=[checkpoints, EMAWeightAveraging(decay=config.ema), Progress(config)],
        enable_progress_bar=False,
        default_root_dir=out,
        enable_model_summary=False,
    )


def export(
    module: BeliefModule, config: TrainConfig, data: list[Path], out: Path, models: list[ObjectModel], steps: int
) -> Path:
    """Write the trained network with what is needed to use it."""
    stores = [Dataset.open(path) for path in data]
    metadata = Metadata(
        architecture=config.architecture,
        objects=tuple(TrainedObject(name=m.name, size=m.size, centre=m.centre) for m in models),
        sigma=config.sigma,
        affinity=config.affinity,
        input_height=config.input_height,
        data={"pictures": sum(map(len, stores)), "seeds": [store.attributes["seed"] for store in stores]},
        training={**json.loads(config.model_dump_json()), "steps_done": steps},
    )
    path = out / "weights.safetensors"
    save(path, module.network.eval(), metadata)
    return path


app = typer.Typer(add_completion=False)


@app.command()
def train_command(
    config: Annotated[Path, typer.Argument(help="recipe, such as config/train/dope-lite.yaml")],
    data: Annotated[list[str] | None, typer.Option(help=DATA_HELP)] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the run: checkpoints, logs, weights.safetensors")] = None,
    resume: Annotated[bool, typer.Option(help="go on with the run in --out")] = False,
    init: Annotated[Path | None, typer.Option(help="start from this weights file instead of random weights")] = None,
    steps: Annotated[int | None, typer.Option(help="steps in all, instead of the recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(help="pictures a step, instead of the recipe's")] = None,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed or 16-mixed")] = None,
    workers: Annotated[int | None, typer.Option(help="loader processes; default: all cores but one")] = None,
    max_minutes: Annotated[float | None, typer.Option(help="stop cleanly after so many minutes")] = None,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
    check_only: Annotated[
        bool, typer.Option("--check-only", help="look at the data as training would, and stop")
    ] = False,
    save: Annotated[Path | None, typer.Option(help="folder for sheets of crops and target maps")] = None,
    learn_by_heart: Annotated[bool, typer.Option("--self-test", help=SELF_TEST_HELP)] = False,
) -> int:
    """Train a belief-map network on stored pictures."""
    recipe = load_config(config, {"steps": steps, "batch_size": batch_size, "precision": precision})
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
    limit = None if max_minutes is None else timedelta(minutes=max_minutes)
    paths, weights = [source.path for source in sources], [source.weight for source in sources]
    path = train(recipe, paths, out, models=models, resume=resume, init=init, workers=workers, max_time=limit,
                 weights=weights, save=save)  # fmt: skip
    typer.echo(f"{path}: trained weights; try `dope predict PICTURE --weights {path} --out out/predictions`")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run `dope train`; returns the exit status."""
    return run_typer(app, argv, "dope train")


if __name__ == "__main__":
    sys.exit(main())
