"""`make bench-datagen`: how fast and how exact the two renderers are, on the founding recipe's crowded scenes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import numpy as np
import typer

from dope_datagen import generate as making
from dope_datagen import store
from dope_datagen.config import DatagenConfig, parse_config
from dope_datagen.generate import Order, Worker, generate
from dope_datagen.renderers import Rendering
from dope_ros2.cli import run_typer
from dope_ros2.objects import load_objects, pick

NVISII = 0.19  # images/s of the founding document: 50,000 in three days on a T4, at 100 samples a pixel
TRUTH_SAMPLES = 1024
MANY_PIXELS = 400  # an object with fewer is not compared

app = typer.Typer(add_completion=False)


def crowded(renderer: str, **changes: object) -> DatagenConfig:
    """20 to 30 cartons and 50 to 75 distractors, fallen on a table, a floor or into a bin, 640x480."""
    return parse_config({"objects": {"carton": 1}, "renderer": renderer, "hdri": 0, **changes}, "bench")


def worker(config: DatagenConfig) -> Worker:
    """What makes the pictures, in this process."""
    return Worker(Order(config, {model.name: model for model in pick(load_objects(), list(config.objects))}, 10**6))


def whole(renderer: str, images: int, workers: int) -> float:
    """Images a second of `dope generate`, physics, labels, store and the start of its processes included."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        generate(crowded(renderer), Path(folder) / "store", images, workers=workers)
        return images / (time.perf_counter() - start)


@contextmanager
def clock(seconds: dict[str, float], **places: tuple[object, str]) -> Iterator[None]:
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


def stages(renderer: str, images: int) -> dict[str, float]:
    """Share of the wall time of each stage, in one process that has warmed up."""
    maker = worker(crowded(renderer))
    maker.sample(0)
    seconds: dict[str, float] = {}
    places = {"arrange": (type(maker.sampler), "scene"), "label": (making, "label")}
    if renderer == "path":
        casting = maker.renderer._casting
        places |= {"cast": (casting, "cast"), "alone": (casting, "alone")}
    else:
        places |= {"alone": (type(maker.renderer), "_draw_alone")}
    with tempfile.TemporaryDirectory() as folder, clock(seconds, **places):
        path = Path(folder) / "store"
        config = crowded(renderer)
        store.create(path, images, 0, config.model_dump(mode="json"), pick(load_objects(), list(config.objects)))
        start = time.perf_counter()
        samples = [maker.sample(n) for n in range(images)]
        before = time.perf_counter()
        store.write_shard(path, 0, samples, config.jpeg_quality)
        total = time.perf_counter() - start
        seconds["store"] = time.perf_counter() - before
    return {name: value / total for name, value in seconds.items()}


def psnr(one: np.ndarray, two: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 pictures [dB]."""
    squared = np.mean((one.astype(float) - two) ** 2)
    return float(10 * np.log10(255**2 / max(squared, 1e-9)))


def quality(scenes: int) -> list[float]:
    """PSNR [dB] of the path tracer's default against 1024 samples a pixel, at 320x240."""
    fast = worker(crowded("path", width=320, height=240, focal=[300, 500]))
    slow = worker(crowded("path", width=320, height=240, focal=[300, 500], spp=TRUTH_SAMPLES))
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


def memory(arrangements: int) -> float:
    """Resident memory after so many arrangements over that after a tenth of them, four pictures of each."""
    maker = worker(crowded("raster", nb_frames=4))
    after: dict[int, int] = {}
    for number in range(arrangements):
        for frame in range(4):
            maker.sample(4 * number + frame)
        after[number + 1] = resident()
    return after[arrangements] / after[max(1, arrangements // 10)]


def resident() -> int:
    """Resident memory of this process [bytes]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@app.command()
def _command(
    out: Annotated[Path, typer.Option(help="JSON with all figures")] = Path("out/bench-datagen.json"),
    short: Annotated[bool, typer.Option(help="few pictures; the figures are rough")] = False,
) -> None:
    """Measure the renderers and print ratios."""
    cores = len(os.sched_getaffinity(0))
    path, raster = whole("path", 8 if short else 64, 1), whole("raster", 32 if short else 512, 1 if short else cores)
    figures = {
        "cores": cores,
        "path_images_per_second": path,
        "raster_images_per_second": raster,
        "path_over_nvisii": path / NVISII,
        "raster_over_nvisii": raster / NVISII,
        "path_psnr_db": quality(1 if short else 4),
        "path_stages": stages("path", 4 if short else 24),
        "raster_stages": stages("raster", 8 if short else 100),
        **agreement(2 if short else 12),
        "memory_growth": memory(5 if short else 200),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n")
    typer.echo(json.dumps(figures, indent=1))


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns the exit status."""
    return run_typer(app, argv, "bench_datagen")


if __name__ == "__main__":
    sys.exit(main())
