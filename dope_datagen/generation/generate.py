"""`dope generate`: render a dataset in several processes or with Apache Beam; finished shards are left alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from dope_datagen.assets.library import Assets
from dope_datagen.dataset import store
from dope_datagen.dataset.store import SHARD
from dope_datagen.generation.job import Job, Order, Runner
from dope_datagen.generation.local_runner import with_processes
from dope_datagen.generation.progress import progress
from dope_datagen.scenes import scene_files
from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.sampler import Sampler
from dope_ros2.objects.object_model import ObjectModel, load_objects, pick


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
        images: how many images it has when it is complete.
        seed: of all draws.
        shards: which shards of 256 images to do, all if None; several machines may share the work.
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
    with progress(total) as advance:
        for count in runner(job, todo):
            advance(count)
