"""`dope generate`: render a dataset in as many processes as there are cores; finished shards are left alone."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from dope_datagen import store
from dope_datagen.assets import Assets
from dope_datagen.config import DatagenConfig, load_config
from dope_datagen.labels import label
from dope_datagen.renderers.raster import Raster
from dope_datagen.sampling import Sampler
from dope_datagen.scene import Scene
from dope_datagen.store import SHARD, Sample
from dope_ros2.cli import run_typer
from dope_ros2.errors import UserError
from dope_ros2.objects import ObjectModel, load_objects, pick

app = typer.Typer(add_completion=False)
_worker: Worker | None = None  # of this process


class Worker:
    """Renders shards; made once per process, since meshes, textures and the OpenGL context stay."""

    def __init__(self, config: DatagenConfig, seed: int, objects: dict[str, ObjectModel]) -> None:
        assets = Assets(objects)
        self._config, self._seed, self._objects = config, seed, objects
        self._sampler, self._renderer = Sampler(config, assets), Raster(assets)

    def sample(self, number: int) -> Sample:
        """Render and label picture `number`."""
        return self.render(self._sampler.scene(self._seed, number))

    def render(self, scene: Scene) -> Sample:
        """Render and label a scene."""
        rendering = self._renderer.render(scene, depth=self._config.depth)
        return Sample(
            rendering.rgb, scene.camera, label(scene, rendering, self._objects), rendering.ids, rendering.depth
        )

    def shard(self, out: Path, shard: int, images: int) -> int:
        """Render and write one shard; returns its number of pictures."""
        numbers = range(shard * SHARD, min((shard + 1) * SHARD, images))
        store.write_shard(out, shard, [self.sample(n) for n in numbers], self._config.jpeg_quality)
        return len(numbers)


def generate(
    config: DatagenConfig, out: Path, images: int, seed: int = 0, shards: range | None = None, workers: int = 1
) -> None:
    """Create or complete the dataset `out`.

    Args:
        config: what to draw.
        out: the store's folder.
        images: how many pictures it has when it is complete.
        seed: of all draws.
        shards: which shards of 256 pictures to do, all if None; several machines may share the work.
        workers: processes.
    """
    objects = {model.name: model for model in pick(load_objects(), list(config.objects))}
    check = Assets(objects)
    for name, model in objects.items():  # a mistake in a mesh shows here, not in a worker
        if check.mesh(f"object:{name}").texture is None:
            print(
                f"dope generate: warning: {model.mesh_path}: {name} has no texture and is drawn in one colour; if it "
                "should have one, check texture coordinates (vt) and map_Kd in its .mtl",
                file=sys.stderr,
            )
    Sampler(config, check)
    store.create(out, images, seed, config.model_dump(mode="json"), objects.values())
    wanted = shards if shards is not None else range(-(-images // SHARD))
    done = set(store.finished(out))
    todo = [shard for shard in wanted if shard not in done and shard * SHARD < images]
    total = sum(min((shard + 1) * SHARD, images) - shard * SHARD for shard in todo)
    with tqdm(total=total, unit="img", smoothing=0.05, mininterval=1.0) as bar:
        for count in _run(config, seed, objects, out, todo, images, workers):
            bar.update(count)


def _run(
    config: DatagenConfig,
    seed: int,
    objects: dict[str, ObjectModel],
    out: Path,
    todo: list[int],
    images: int,
    workers: int,
) -> Iterator[int]:
    """Do shards in this process or in several; yields the number of pictures of each as it is finished."""
    if not todo:
        return
    if workers <= 1 or len(todo) == 1:
        worker = Worker(config, seed, objects)
        yield from (worker.shard(out, shard, images) for shard in todo)
        return
    spawn = multiprocessing.get_context("spawn")  # a forked OpenGL context does not work
    count = min(workers, len(todo))
    with ProcessPoolExecutor(count, spawn, initializer=_start, initargs=(config, seed, objects)) as pool:
        waiting = {pool.submit(_shard, out, shard, images) for shard in todo}
        try:
            while waiting:
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ready)
        finally:
            pool.shutdown(cancel_futures=True)


def _start(config: DatagenConfig, seed: int, objects: dict[str, ObjectModel]) -> None:
    global _worker
    import cv2

    cv2.setNumThreads(1)
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of the software rasteriser: processes share the cores already
    _worker = Worker(config, seed, objects)


def _shard(out: Path, shard: int, images: int) -> int:
    return _worker.shard(out, shard, images)


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
) -> None:
    """Render a labelled dataset from the meshes in config/objects.yaml."""
    if models is not None:
        os.environ["DOPE_MODELS"] = str(models.resolve())
    chosen = parse_shards(shards) if shards else None
    generate(load_config(config), out, images, seed, chosen, workers or len(os.sched_getaffinity(0)))


def main(argv: list[str] | None = None) -> int:
    """Run `dope generate`; returns the exit status."""
    return run_typer(app, argv, "dope generate")


if __name__ == "__main__":
    sys.exit(main())
