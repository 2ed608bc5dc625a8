"""`dope generate`: render a labelled data set from a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dope_datagen.dataset.store import SHARD
from dope_datagen.generation.generate import arrange, generate
from dope_datagen.generation.job import Runner
from dope_datagen.generation.local_runner import with_processes
from dope_datagen.generation.process_pool import cores
from dope_datagen.scenes.config import EXAMPLE, load_config
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import EXTRAS, pip_install
from dope_ros2.objects.object_model import use_objects


class RunnerKind(StrEnum):
    """What --runner names."""

    LOCAL = "local"
    BEAM = "beam"


def runner_of(sharing: RunnerKind, workers: int, options: Sequence[str]) -> Runner:
    """What shares shards out.

    Args:
        sharing: how.
        workers: how many processes, one per core if 0.
        options: those of Apache Beam.

    Raises:
        UserError: Beam is not installed or does not know an option, or there are options without Beam.
    """
    if sharing is RunnerKind.BEAM:
        try:
            from dope_datagen.generation import beam_runner
        except ModuleNotFoundError as error:
            raise UserError(
                f"--runner beam needs the Python package {error.name!r}; {pip_install(*EXTRAS['beam'])}"
            ) from error
        return beam_runner.runner(options, workers)
    if options:
        raise UserError(f"{options[0]!r} is one argument too many; only --runner beam takes options after --")
    return with_processes(workers or cores())


def parse_shards(text: str) -> range:
    """Turn "a:b" into range(a, b).

    Raises:
        UserError: it is not two numbers in order.
    """
    first, _, last = text.partition(":")
    if not (first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise UserError(
            f"--shards {text!r} is not FIRST:LAST, such as 0:40 for the shards 0 to 39 of {SHARD} images each"
        )
    return range(int(first), int(last))


@command("dope generate")
def main(
    config: Annotated[Path, typer.Argument(help=f"configuration, such as {EXAMPLE}")],
    out: Annotated[Path, typer.Option(help="folder of the dataset; an unfinished one is completed")],
    images: Annotated[int, typer.Option(min=1, help="images in the complete dataset")],
    shards: Annotated[str | None, typer.Option(help=f"FIRST:LAST, only these shards of {SHARD} images")] = None,
    workers: Annotated[int, typer.Option(help="processes; 0: one per core")] = 0,
    seed: Annotated[int, typer.Option(help="seed of all random draws")] = 0,
    models: Annotated[Path | None, typer.Option(help="folder that meshes in objects.yaml are relative to")] = None,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
    scenes_only: Annotated[
        bool, typer.Option("--scenes-only", help="only write scene descriptions into --out")
    ] = False,
    from_scenes: Annotated[Path | None, typer.Option(help="render the scenes of this folder")] = None,
    runner: Annotated[
        RunnerKind, typer.Option(help="who renders: processes of this machine, or Apache Beam")
    ] = RunnerKind.LOCAL,
    beam: Annotated[list[str] | None, typer.Argument(metavar="-- BEAM_OPTIONS", help="with --runner beam")] = None,
) -> None:
    """Render a labelled dataset from the meshes in config/objects.yaml.

    What follows -- goes to Apache Beam as it is, such as -- --runner=FlinkRunner --flink_master=HOST:8081.
    """
    use_objects(objects_file, models)
    if scenes_only and from_scenes:
        raise UserError("--scenes-only draws scenes and --from-scenes renders them; give one of the two")
    chosen, recipe = parse_shards(shards) if shards else None, load_config(config)
    run = runner_of(runner, workers, beam or [])
    if scenes_only:
        arrange(recipe, out, images, seed, chosen, runner=run)
    else:
        generate(recipe, out, images, seed, chosen, scenes=from_scenes, runner=run)
