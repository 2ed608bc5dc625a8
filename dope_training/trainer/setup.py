"""Everything that a run needs before its first step, new or resumed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import torch
from lightning.fabric import Fabric
from torch import nn

from dope_datagen.dataset.store import Dataset
from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.legacy.checkpoints import save_legacy
from dope_ros2.network.metadata import Conventions, Metadata, TrainedObject
from dope_ros2.network.weights import Arrays, read_appearances, save
from dope_ros2.objects.object_model import ObjectModel, load_objects, pick
from dope_training.config import TrainConfig
from dope_training.data.crops import crops_of
from dope_training.data.loaders import Stream, auto_workers, mixed, pictures_a_step, training_loader, validation_loader
from dope_training.data.progress import DataPosition
from dope_training.data.split import TrainingStore
from dope_training.objective.training_module import BeliefModule
from dope_training.optimizers.ema import ExponentialMovingAverage
from dope_training.optimizers.optimizers import make_optimiser
from dope_training.trainer.checkpoints import (
    OLDER,
    Checkpoints,
    check_fits,
    conventions_of,
    load_tensors,
    refused,
    restore_random_state,
)
from dope_training.trainer.distributed import ranks
from dope_training.trainer.initialization import start_from
from dope_training.trainer.logs import RunLog
from dope_training.trainer.loop import Progress, TrainingRun
from dope_training.trainer.stopping import Stop
from dope_training.trainer.validation import Validator


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What a run is given besides its recipe.

    Attributes:
        data: stores written by `dope generate`, and how often an epoch visits the images of each.
        out: folder of the run: checkpoints, logs, weights.
        models: records of the recipe's objects, in that order; those of the package's objects.yaml if None.
        resume: go on from the folder's last checkpoint, if there is one.
        net: start from these weights, see `initialization.start_from`; random ones if None.
        workers: loader processes of each device; all cores but one in all if None.
        devices: processes that train together; GPUs where there are some.
        max_time: after which to stop cleanly; `resume` goes on.
        save_legacy: write a public .pth with each checkpoint, for the network `paper`.
        tensorboard: write its logs, where it is installed.
        sheets: folder for sheets of crops as the network sees them.
    """

    data: list[TrainingStore]
    out: Path
    models: list[ObjectModel] | None = None
    resume: bool = False
    net: str | None = None
    workers: int | None = None
    devices: int = 1
    max_time: timedelta | None = None
    save_legacy: bool = False
    tensorboard: bool = True
    sheets: Path | None = None

    @property
    def stores(self) -> list[Path]:
        """The stores alone."""
        return [store.path for store in self.data]

    def with_models(self, config: TrainConfig) -> RunOptions:
        """The same, with records of the recipe's objects.

        Raises:
            UserError: one of them is not in objects.yaml.
        """
        return self if self.models is not None else replace(self, models=pick(load_objects(), config.objects))


def check_folder(config: TrainConfig, options: RunOptions) -> None:
    """Refuse what would overwrite a run, or cannot be resumed.

    Raises:
        UserError: saying what to do instead.
    """
    out, checkpoints = options.out, Checkpoints(options.out, config.keep)
    if checkpoints.any and not options.resume:
        raise UserError(f"{out}: holds a training run; add --resume to go on with it, or name another folder")
    if options.resume and not checkpoints.any and (out / OLDER).exists():
        raise UserError(f"{out / OLDER}: of an older version, which cannot be resumed; start anew with --net")
    if options.save_legacy and config.architecture != "paper":
        raise UserError(f"--save-legacy: DOPE's code does not know {config.architecture}; set `architecture: paper`")


def prepare(config: TrainConfig, options: RunOptions, fabric: Fabric, stop: Stop) -> TrainingRun:
    """Put a run together.

    Raises:
        UserError: the data, the folder, the checkpoint or the weights to start from cannot be used.
    """
    first, world = fabric.is_global_zero, fabric.world_size
    stores = crops_of(options.stores, config, training=True)
    sampler = mixed(stores, [store.weight for store in options.data], config.seed)
    pictures = pictures_a_step(config, world)
    if len(sampler) < pictures:
        raise UserError(f"{len(sampler)} images are fewer than a step's {pictures}; generate more")
    checkpoints = Checkpoints(options.out, config.keep)
    if first:
        checkpoints.prepare()
    module = BeliefModule(config)
    state = _state(checkpoints, config) if options.resume else None
    if state is None:
        _begin(module, options, fabric)
    else:
        module.adopt(resumed_conventions(state, config))
    if world > 1 and fabric.device.type == "cuda":
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    model, optimiser = fabric.setup(module, make_optimiser(module.network, config))
    average = ExponentialMovingAverage(module, config.ema)
    progress = Progress() if state is None else Progress.from_state(state["progress"], first=first)
    if state is not None:
        _restore(state, checkpoints.folder, module, average, optimiser, fabric)
    fabric.barrier()
    if first and state is not None:
        checkpoints.remove_after(progress.step)
    steps = total_steps(config, progress, len(sampler), pictures)
    workers = auto_workers(ranks().local) if options.workers is None else options.workers
    stream = Stream(
        sampler, pictures, progress.place, max(0, steps - progress.step), rank=fabric.global_rank, ranks=world
    )  # fmt: skip
    held_out = validation_loader(options.stores, config, workers)
    metadata = metadata_of(module, options, progress.step)
    return TrainingRun(
        config=config, fabric=fabric, model=model, optimiser=optimiser, average=average, progress=progress,
        steps=steps, length=len(sampler), pictures=pictures, stop=stop, checkpoints=checkpoints,
        loader=training_loader(stores, stream, workers),
        validator=Validator(config, options.stores, options.models, held_out, metadata),
        log=_log(config, options, steps, len(sampler), progress) if first else None,
        facts={
            "architecture": config.architecture, "objects": config.objects, "optimizer": config.optimizer,
            "conventions": module.conventions._asdict(),
        },
        on_checkpoint=_legacy_writer(options, config.keep) if options.save_legacy else None,
    )  # fmt: skip


def total_steps(config: TrainConfig, progress: Progress, length: int, pictures: int) -> int:
    """Steps of the whole run; where epochs are asked for, as many as end them from here on."""
    if config.epochs is None:
        return config.steps
    done = progress.place.epoch * length + progress.place.seen
    return progress.step + math.ceil(max(0, config.epochs * length - done) / pictures)


def resumed_conventions(state: dict, config: TrainConfig) -> Conventions:
    """What images and maps go on to mean; the recipe says how maps are drawn, so it may change that."""
    asked = config.conventions
    return (conventions_of(state) or asked)._replace(sigma=asked.sigma, affinity=asked.affinity)


def metadata_of(module: BeliefModule, options: RunOptions, steps: int) -> Metadata:
    """What is needed to use the network of a module, and how it was made."""
    config, stores = module.config, [Dataset.open(path) for path in options.stores]
    return Metadata(
        architecture=config.architecture,
        objects=tuple(TrainedObject(name=m.name, size=m.size, centre=m.centre) for m in options.models),
        **module.conventions._asdict(),
        input_height=config.input_height,
        crop=config.crop,
        data={"pictures": sum(map(len, stores)), "seeds": [store.attributes["seed"] for store in stores]},
        training={**json.loads(config.model_dump_json()), "steps_done": steps},
    )


def export(path: Path, module: BeliefModule, options: RunOptions, steps: int) -> None:
    """Write the network of a module with what is needed to use it; appearances that the file has stay.

    Raises:
        UserError: the file cannot be written.
    """
    kept: dict[str, Arrays] = {}
    with suppress(UserError):  # what is damaged is replaced
        kept = read_appearances(path)
    try:
        save(path, module.network.eval(), metadata_of(module, options, steps), kept)
    except files.WriteError as error:
        raise refused(path, error) from error


def _state(checkpoints: Checkpoints, config: TrainConfig) -> dict | None:
    state = checkpoints.newest()
    if state is not None:
        check_fits(checkpoints.folder, state, config.architecture, config.objects, config.optimizer)
    return state


def _begin(module: BeliefModule, options: RunOptions, fabric: Fabric) -> None:
    """Say that a run begins, and from what."""
    if options.resume:
        fabric.print(f"{options.out}: nothing to resume; the run begins", flush=True)
    if options.net is not None:
        fabric.print(start_from(module, options.net), flush=True)


def _restore(
    state: dict,
    path: Path,
    module: BeliefModule,
    average: ExponentialMovingAverage,
    optimiser: torch.optim.Optimizer,
    fabric: Fabric,
) -> None:
    load_tensors(path, module, state["network"])
    load_tensors(path, average.module, state["average"])
    optimiser.load_state_dict(state["optimiser"])
    if state["precision"]:
        fabric.strategy.precision.load_state_dict(state["precision"])
    restore_random_state(state["random"])
    fabric.print(f"{path}: going on after step {state['step']}", flush=True)


def _log(config: TrainConfig, options: RunOptions, steps: int, length: int, progress: Progress) -> RunLog:
    return RunLog(options.out, steps, length, config.batch_size, at=progress.step, board=options.tensorboard)


def _legacy_writer(options: RunOptions, keep: int) -> Callable[[nn.Module, DataPosition], None]:
    """Writes `net_<name>_<epoch>.pth`, and keeps the last few."""
    name = options.models[0].name

    def write(network: nn.Module, place: DataPosition) -> None:
        save_legacy(options.out / f"net_{name}_{place.epoch:04d}.pth", network)
        for old in sorted(options.out.glob(f"net_{name}_*.pth"))[:-keep]:
            files.remove(old)

    return write
