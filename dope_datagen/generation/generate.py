"""`dope generate`: render a dataset in several processes or with Apache Beam; finished shards are left alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

import typer

from dope_datagen.assets.library import Assets
from dope_datagen.dataset import store
from dope_datagen.dataset.labels import label
from dope_datagen.dataset.store import SHARD, Sample
from dope_datagen.generation.local_runner import Runner, Sharing, runner_of, with_processes
from dope_datagen.generation.progress import progress
from dope_datagen.renderers.renderer import Renderer
from dope_datagen.scenes import scene_files
from dope_datagen.scenes.config import DatagenConfig, load_config
from dope_datagen.scenes.sampler import Sampler
from dope_datagen.scenes.scene import Scene
from dope_ros2.cli import run_typer
from dope_ros2.common.errors import UserError
from dope_ros2.common.memory import give_back
from dope_ros2.objects.object_model import ObjectModel, load_objects, pick, use_objects

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Order:
    """What a dataset is to be; sent to every process that works on it.

    Attributes:
        images: how many pictures it has when it is complete.
        seed: of all draws.
        scenes: folder of scenes to be rendered, instead of drawing them here.
    """

    config: DatagenConfig
    objects: dict[str, ObjectModel]
    images: int
    seed: int = 0
    scenes: Path | None = None

    def numbers(self, shard: int) -> range:
        """The pictures of a shard."""
        return range(shard * SHARD, min((shard + 1) * SHARD, self.images))


class Worker:
    """Makes shards; one per process, since meshes, textures and the OpenGL context stay."""

    def __init__(self, order: Order, threads: int | None = None) -> None:
        self._order, self._threads = order, threads
        self._assets = Assets(order.objects)

    @cached_property
    def sampler(self) -> Sampler:
        """Draws the scenes."""
        return Sampler(self._order.config, self._assets)

    @cached_property
    def renderer(self) -> Renderer:
        """Renders them."""
        return renderer_of(self._order.config, self._assets, self._threads)

    def sample(self, number: int) -> Sample:
        """Draw, render and label picture `number`."""
        return self.render(self.sampler.scene(self._order.seed, number))

    def render(self, scene: Scene) -> Sample:
        """Render and label a scene."""
        rendering = self.renderer.render(scene, depth=self._order.config.depth)
        labels = label(scene, rendering, self._order.objects)
        return Sample(rendering.rgb, scene.camera, labels, rendering.ids, rendering.depth)

    def shard(self, out: Path, shard: int) -> int:
        """Render and write one shard; returns its number of pictures."""
        order = self._order
        store.write_shard(out, shard, map(self.render, self._scenes(shard)), order.config.jpeg_quality)
        give_back()
        return len(order.numbers(shard))

    def arrange(self, out: Path, shard: int) -> int:
        """Draw the scenes of one shard and write them as they are; returns their number."""
        scene_files.write(out, shard, self._scenes(shard), self._order.config)
        return len(self._order.numbers(shard))

    def _scenes(self, shard: int) -> Iterator[Scene]:
        order = self._order
        if order.scenes is None:
            yield from (self.sampler.scene(order.seed, number) for number in order.numbers(shard))
        else:
            yield from scene_files.read(order.scenes, shard, order.config)[: len(order.numbers(shard))]


@dataclass(frozen=True)
class Job:
    """What is done with shards, in this process or in others, even on other machines: pickled, it has all they need.

    Attributes:
        out: folder of the dataset or, with `scenes_only`, of the scenes.
        models: $DOPE_MODELS where the order was given.
    """

    order: Order
    out: Path
    scenes_only: bool = False
    models: str = field(default_factory=lambda: os.environ.get("DOPE_MODELS", ""))

    def begin(self, threads: int | None = None) -> Callable[[int], int]:
        """Make this process ready; returns what does one shard and tells its number of pictures."""
        if self.models:
            os.environ["DOPE_MODELS"] = self.models
        worker = Worker(self.order, threads)
        return partial(worker.arrange if self.scenes_only else worker.shard, self.out)

    def missing(self, shards: Iterable[int]) -> list[int]:
        """Those of the shards that are not finished."""
        done = set(scene_files.finished(self.out) if self.scenes_only else store.finished(self.out))
        return [shard for shard in shards if shard not in done]


def renderer_of(config: DatagenConfig, assets: Assets, threads: int | None = None) -> Renderer:
    """The renderer that a configuration asks for, imported only now: each needs what the other does not.

    Raises:
        UserError: it does not run here.
    """
    if config.renderer == "path":
        from dope_datagen.renderers.path.path_tracer import Path as PathTracer

        return PathTracer(assets, config.spp, threads)
    from dope_datagen.renderers.raster.rasterizer import Raster

    return Raster(assets)


def generate(
    config: DatagenConfig,
    out: Path,
    images: int,
    seed: int = 0,
    shards: Sequence[int] | None = None,
    scenes: Path | None = None,
    runner: Runner | None = None,
) -> None:
    """Create or complete the dataset `out`.

    Args:
        config: what to draw.
        out: the store's folder.
        images: how many pictures it has when it is complete.
        seed: of all draws.
        shards: which shards of 256 pictures to do, all if None; several machines may share the work.
        scenes: folder of scenes that `arrange` has written, to be rendered instead of drawing them here.
        runner: shares the shards out; this process does them all if None.
    """
    order = Order(config, _objects(config), images, seed, scenes)
    if scenes is not None:
        scene_files.check(scenes, config, seed, images)
    store.create(out, images, seed, config.model_dump(mode="json"), order.objects.values())
    job = Job(order, out)
    todo = _todo(job, shards)
    if todo:
        store.prepare(out)
    _work(job, todo, runner or with_processes(1))
    store.tidy(out)


def arrange(
    config: DatagenConfig,
    out: Path,
    images: int,
    seed: int = 0,
    shards: Sequence[int] | None = None,
    runner: Runner | None = None,
) -> None:
    """Draw scenes and write them to a folder, to be rendered elsewhere; the arguments are those of `generate`."""
    job = Job(Order(config, _objects(config), images, seed), out, scenes_only=True)
    scene_files.begin(out, config, seed, images)
    _work(job, _todo(job, shards), runner or with_processes(1))


def _objects(config: DatagenConfig) -> dict[str, ObjectModel]:
    """The configured objects; a mistake in a mesh or a folder shows here, not in a worker."""
    objects = {model.name: model for model in pick(load_objects(), list(config.objects))}
    check = Assets(objects)
    for name, model in objects.items():
        if check.mesh(f"object:{name}").texture is None:
            print(
                f"dope generate: warning: {model.mesh_path}: {name} has no texture and is drawn in one colour; if it "
                "should have one, check texture coordinates (vt) and map_Kd in its .mtl",
                file=sys.stderr,
            )
    Sampler(config, check)
    return objects


def _todo(job: Job, shards: Sequence[int] | None) -> list[int]:
    """The wanted shards that are not done yet."""
    wanted = shards if shards is not None else range(-(-job.order.images // SHARD))
    return [shard for shard in job.missing(wanted) if shard * SHARD < job.order.images]


def _work(job: Job, todo: list[int], runner: Runner) -> None:
    """Have shards done, and show how far it is."""
    total = sum(len(job.order.numbers(shard)) for shard in todo)
    with progress(total) as tell:
        for count in runner(job, todo):
            tell(count)


def parse_shards(text: str) -> range:
    """Turn "a:b" into range(a, b).

    Raises:
        UserError: it is not two numbers in order.
    """
    first, _, last = text.partition(":")
    if not (first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise UserError(
            f"--shards {text!r} is not FIRST:LAST, such as 0:40 for the shards 0 to 39 of {SHARD} pictures each"
        )
    return range(int(first), int(last))


@app.command()
def _command(
    config: Annotated[Path, typer.Argument(help="what to draw, such as config/datagen/quick.yaml")],
    out: Annotated[Path, typer.Option(help="folder of the dataset; an unfinished one is completed")],
    images: Annotated[int, typer.Option(min=1, help="pictures in the complete dataset")],
    shards: Annotated[str | None, typer.Option(help=f"FIRST:LAST, only these shards of {SHARD} pictures")] = None,
    workers: Annotated[int, typer.Option(help="processes; 0: one per core")] = 0,
    seed: Annotated[int, typer.Option(help="of all draws")] = 0,
    models: Annotated[Path | None, typer.Option(help="folder that meshes in objects.yaml are relative to")] = None,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
    scenes_only: Annotated[bool, typer.Option("--scenes-only", help="draw scenes into --out, render nothing")] = False,
    from_scenes: Annotated[Path | None, typer.Option(help="render the scenes of this folder")] = None,
    runner: Annotated[Sharing, typer.Option(help="processes of this machine, or Apache Beam")] = Sharing.LOCAL,
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


def main(argv: list[str] | None = None) -> int:
    """Run `dope generate`; returns the exit status."""
    return run_typer(app, argv, "dope generate")


if __name__ == "__main__":
    sys.exit(main())
