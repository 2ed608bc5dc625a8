"""What a shard is to those that render it: an order, and the worker that carries it out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias

from dope_datagen.assets.library import Assets
from dope_datagen.dataset import store
from dope_datagen.dataset.labels import label
from dope_datagen.dataset.store import SHARD, Sample
from dope_datagen.renderers.renderer import Renderer
from dope_datagen.scenes import scene_files
from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.sampler import Sampler
from dope_datagen.scenes.scene import Scene
from dope_ros2.common.memory import release_memory
from dope_ros2.objects.object_model import ObjectModel

Runner: TypeAlias = "Callable[[Job, list[int]], Iterator[int]]"  # does shards; yields how many images are finished


@dataclass(frozen=True)
class Order:
    """What a dataset is to be; sent to every process that works on it.

    Attributes:
        images: how many images it has when it is complete.
        seed: of all draws.
        scenes: folder of scenes to be rendered, instead of drawing them here.
    """

    config: DatagenConfig
    objects: dict[str, ObjectModel]
    images: int
    seed: int = 0
    scenes: Path | None = None

    def numbers(self, shard: int) -> range:
        """The images of a shard."""
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
        """Draw, render and label image `number`."""
        return self.render(self.sampler.scene(self._order.seed, number))

    def render(self, scene: Scene) -> Sample:
        """Render and label a scene."""
        rendering = self.renderer.render(scene, depth=self._order.config.depth)
        labels = label(scene, rendering, self._order.objects)
        return Sample(rendering.rgb, scene.camera, labels, rendering.ids, rendering.depth)

    def shard(self, out: Path, shard: int) -> int:
        """Render and write one shard; returns its number of images."""
        order = self._order
        store.write_shard(out, shard, map(self.render, self._scenes(shard)), order.config.jpeg_quality)
        release_memory()
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
        """Make this process ready; returns what does one shard and tells its number of images."""
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
        from dope_datagen.renderers.path.path_tracer import PathTracer as PathTracer

        return PathTracer(assets, config.spp, threads)
    from dope_datagen.renderers.raster.rasterizer import Raster

    return Raster(assets)
