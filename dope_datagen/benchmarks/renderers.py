"""`make bench-datagen`: how fast and how exact the two renderers are, on the founding recipe's crowded scenes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import numpy as np
import typer

from dope_datagen.dataset import store
from dope_datagen.dataset.store import SHARD
from dope_datagen.generation import job
from dope_datagen.generation.job import Order, Worker
from dope_datagen.generation.process_pool import cores, map_unordered, use_one_core
from dope_datagen.renderers.renderer import Rendering
from dope_datagen.scenes.config import DatagenConfig, parse_config
from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.objects.object_model import load_objects, pick

NVISII = 0.19  # images/s of the founding document: 50,000 in three days on a T4, at 100 samples a pixel
TRUTH_SAMPLES = 1024
MANY_PIXELS = 400  # an object with fewer is not compared


def crowded(renderer: str, **changes: object) -> DatagenConfig:
    """20 to 30 cartons and 50 to 75 distractors, fallen on a table, a floor or into a bin, 640x480."""
    return parse_config({"objects": {"carton": 1}, "renderer": renderer, "hdri": 0, **changes}, "bench")


def worker(config: DatagenConfig) -> Worker:
    """What makes the images, in this process."""
    return Worker(Order(config, {model.name: model for model in pick(load_objects(), list(config.objects))}, 10**6))


@contextmanager
def clock(seconds: dict[str, float], places: dict[str, tuple[object, str]]) -> Iterator[None]:
    """Add up the time spent in functions, by name; `places` are (owner, attribute)."""

    def timed(name: str, function: Callable) -> Callable:
        def run(*args: object, **kwargs: object) -> object:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start

        return run

    with ExitStack() as stack:
        for name, (owner, attribute) in places.items():
            stack.enter_context(patch.object(owner, attribute, timed(name, getattr(owner, attribute))))
        yield


@dataclass(frozen=True)
class Share:
    """What one process has done: images, when it began and ended [s], how long its stages took [s]."""

    images: int
    begin: float
    end: float
    seconds: dict[str, float]


def measure(renderer: str, images: int) -> dict[str, float]:
    """Images a second and shares of the time of `dope generate` with a process on each core, once they are warm."""
    config = crowded(renderer)
    objects = pick(load_objects(), list(config.objects))
    count = cores()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        store.create(path, count * SHARD, 0, config.model_dump(mode="json"), objects)
        store.prepare(path)
        order = Order(config, {model.name: model for model in objects}, count * SHARD)
        jobs = [(order, path, shard, images // count) for shard in range(count)]
        shares = list(map_unordered(_share, jobs, count, use_one_core))
    wall = max(share.end for share in shares) - min(share.begin for share in shares)
    names = sorted({name for share in shares for name in share.seconds})
    busy = sum(share.end - share.begin for share in shares)
    stages = {name: sum(share.seconds.get(name, 0.0) for share in shares) / busy for name in names}
    rate = sum(share.images for share in shares) / wall
    return {"images_per_second": rate, "over_nvisii": rate / NVISII, "stages": stages}


def _share(order: Order, out: Path, shard: int, images: int) -> Share:
    """Make the first images of a shard and write them, when one of another arrangement has been made."""
    maker = Worker(order, threads=1)
    maker.sample(10**6)
    seconds: dict[str, float] = {}
    places = {"arrange": (type(maker.sampler), "scene"), "label": (job, "label"), "store": (store, "write_shard")}
    if hasattr(maker.renderer, "_casting"):
        places |= {"label: " + name: (maker.renderer._casting, name) for name in ("cast", "alone")}
    else:
        places |= {"label: alone": (maker.renderer._marks, "alone")}
    begin = time.time()
    with clock(seconds, places):
        samples = [maker.sample(shard * SHARD + n) for n in range(images)]
        store.write_shard(out, shard, samples, order.config.jpeg_quality)
    return Share(images, begin, time.time(), seconds)


def psnr(one: np.ndarray, two: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 images [dB]."""
    squared = np.mean((one.astype(float) - two) ** 2)
    return float(10 * np.log10(255**2 / max(squared, 1e-9)))


def quality(scenes: int, width: int) -> list[float]:
    """PSNR [dB] of the path tracer's default against 1024 samples a pixel, in images of a width [px]."""
    size = {"width": width, "height": width * 3 // 4, "focal": [width * 0.7, width * 1.8]}
    fast, slow = (worker(crowded("path", **more)) for more in (size, size | {"spp": TRUTH_SAMPLES}))
    return [psnr(fast.sample(n).rgb, slow.sample(n).rgb) for n in range(0, 100 * scenes, 100)]


def agreement(pictures: int) -> dict[str, float]:
    """How far the labels of the two renderers differ: worst IoU of an object, 99th percentile of depth's error."""
    path, raster = (worker(crowded(name, depth=True)) for name in ("path", "raster"))
    worst, depths = 1.0, []
    for number in range(pictures):
        scene = path.sampler.scene(0, 37 * number)
        one, two = path.renderer.render(scene, depth=True), raster.renderer.render(scene, depth=True)
        worst = min([worst, *overlaps(one, two, len(scene.targets))])
        both = (one.depth > 0) & (two.depth > 0)
        depths.append(np.quantile(np.abs(one.depth - two.depth)[both] / two.depth[both], 0.99))
    return {"worst_iou": worst, "depth_error_p99": float(max(depths))}


def overlaps(one: Rendering, two: Rendering, targets: int) -> list[float]:
    """Intersection over union of each target that either renderer shows with at least 400 pixels."""
    pairs = [(one.ids == k, two.ids == k) for k in range(1, targets + 1)]
    large = [(a, b) for a, b in pairs if max(a.sum(), b.sum()) >= MANY_PIXELS]
    return [float((a & b).sum() / (a | b).sum()) for a, b in large]


def memory(renderer: str, scenes: int) -> float:
    """Resident memory after so many scenes over that after a tenth of them; each arrangement gives two.

    In a process of its own, which has done nothing else.
    """
    return next(iter(map_unordered(_grown, [(renderer, scenes)], 1)))


def _grown(renderer: str, scenes: int) -> float:
    maker = worker(crowded(renderer, nb_frames=2))
    after: list[int] = []
    for number in range(scenes):
        maker.sample(number)
        after.append(resident())
    return after[-1] / after[max(0, scenes // 10 - 1)]


def resident() -> int:
    """Resident memory of this process [bytes]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@command("bench_datagen")
def main(
    out: Annotated[Path, typer.Option(help="JSON with all figures")] = Path("out/bench-datagen.json"),
    short: Annotated[bool, typer.Option(help="few images; the figures are rough")] = False,
) -> None:
    """Measure the renderers and print ratios."""
    figures: dict[str, object] = {"cores": cores()}
    for name, make in parts(short).items():
        typer.echo(f"{name} ...", err=True)
        figures[name] = make()
        files.write_json(out, figures)
    typer.echo(json.dumps(figures, indent=1))


def parts(short: bool) -> dict[str, Callable[[], object]]:
    """What is measured, by name; what is done is written at once."""
    return {
        "path": lambda: measure("path", 4 if short else 80),
        "raster": lambda: measure("raster", 8 if short else 400),
        "agreement": lambda: agreement(2 if short else 12),
        "memory_growth_raster": lambda: memory("raster", 5 if short else 200),
        "memory_growth_path": lambda: memory("path", 2 if short else 200),
        "path_psnr_db": lambda: quality(1 if short else 4, 320 if short else 640),
    }


if __name__ == "__main__":
    sys.exit(main())
