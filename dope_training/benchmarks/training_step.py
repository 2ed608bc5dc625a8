"""`make bench-training`: a step of the published network by this package's recipe and by the published one's.

The published recipe is rebuilt from its description (single precision, targets drawn sample by sample on the CPU, the
sum of mean squared errors over six stages, Adam), for this comparison only.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from lightning.fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torch.utils.flop_counter import FlopCounterMode

from dope_datagen.dataset.store import Dataset
from dope_datagen.generation.generate import generate
from dope_datagen.scenes.config import parse_config
from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.engines.registry import pick_device
from dope_ros2.network.dope_paper import Paper
from dope_ros2.network.metadata import IMAGENET_MEAN, IMAGENET_STD
from dope_training.benchmarks import upstream_dope
from dope_training.config import TrainConfig, changed
from dope_training.data.crops import crops_of
from dope_training.data.loaders import Stream, auto_workers, mixed, training_loader
from dope_training.data.progress import DataPosition
from dope_training.objective.crop_batch import CropBatch
from dope_training.objective.training_module import BeliefModule
from dope_training.optimizers.optimizers import make_optimiser
from dope_training.trainer.step import train_step

LONG_PRODUCT = 0.2  # [s]
IMAGE_COUNT = 64
ENDLESS = 10**6  # steps, or images
Step = Callable[[], None]


class PublishedCrops(TorchDataset):
    """Samples as the published loader makes them: a window of the image, turned, brighter or darker, with noise."""

    def __init__(self, path: Path, size: int, count: int) -> None:
        self._store, self._size, self._count = Dataset.open(path), size, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Image (3, S, S), belief (9, S/8, S/8), affinity (16, S/8, S/8), all float32."""
        rng, size = np.random.default_rng(index), self._size
        sample = self._store[index % len(self._store)]
        height, width = sample.rgb.shape[:2]
        corner = rng.integers(0, (max(1, width - size), max(1, height - size)))
        A = cv2.getRotationMatrix2D((size / 2, size / 2), float(rng.uniform(-180, 180)), 1)
        A[:, 2] -= A[:, :2] @ corner
        image = cv2.warpAffine(sample.rgb, A, (size, size)).astype(np.float32) / 255
        image = np.clip((image - 0.5) * rng.uniform(0.85, 1.15) + 0.5 + rng.uniform(-0.2, 0.2), 0, 1)
        image += rng.normal(0, 0.02, image.shape)
        keypoints = np.array([label.keypoints for label in sample.objects]).reshape(-1, 9, 2) @ A[:, :2].T + A[:, 2]
        belief, affinity = upstream_dope.encode(keypoints, (size, size))
        normalised = ((image - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1)
        return tuple(torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in (normalised, belief, affinity))


def published(path: Path, size: int, batch: int, workers: int, device: torch.device) -> Iterator[Step]:
    """Steps of the published recipe, each with a batch that its loader has brought."""
    network = Paper().to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    crops = PublishedCrops(path, size, ENDLESS)
    for image, belief, affinity in DataLoader(crops, batch, num_workers=workers, drop_last=True):

        def step(image: Tensor = image, belief: Tensor = belief, affinity: Tensor = affinity) -> None:
            on_device = image.to(device), belief.to(device), affinity.to(device)
            stages = network.stages(on_device[0])
            loss = sum(((b - on_device[1]) ** 2).mean() + ((a - on_device[2]) ** 2).mean() for b, a in stages)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

        yield step


def ours(path: Path, config: TrainConfig, workers: int, device: torch.device) -> Iterator[Step]:
    """Steps of this package's recipe for the same network."""
    fabric = Fabric(accelerator=device.type, devices=1, precision=config.precision)
    module = BeliefModule(config)
    model, optimiser = fabric.setup(module, make_optimiser(module.network, config))
    for batch in loader(path, config, workers):

        def step(batch: CropBatch = batch) -> None:
            train_step(fabric, model, optimiser, batch.to(device))

        yield step


def loader(path: Path, config: TrainConfig, workers: int) -> DataLoader:
    """The training loader of a recipe, without end."""
    stores = crops_of([path], config, training=True)
    pictures = config.batch_size // config.crops_per_picture
    return training_loader(stores, Stream(mixed(stores, None, 0), pictures, DataPosition(), ENDLESS), workers)


def rates(steps: Iterator[Step], count: int, device: torch.device) -> tuple[float, float]:
    """Seconds per step that were waited for data, and seconds per step in all, after one step to warm up."""
    next(steps)()
    synchronise(device)
    start, waited = time.perf_counter(), 0.0
    for _ in range(count):
        asked = time.perf_counter()
        step = next(steps)
        waited += time.perf_counter() - asked
        step()
        synchronise(device)
    return waited / count, (time.perf_counter() - start) / count


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def our_recipe(size: int, batch: int) -> TrainConfig:
    """This package's recipe for the published network.

    Raises:
        UserError: the crop's side or the batch cannot be.
    """
    recipe = {
        "architecture": "paper", "objects": ["carton"], "crop": size, "batch_size": batch, "optimizer": "adam",
        "affinity": "unit", "sigma": 0.5, "learning_rate": 1e-4, "warmup": 0,
    }  # fmt: skip
    return changed(recipe, {}, "bench-training")


def compare(path: Path, config: TrainConfig, count: int, workers: int, device: torch.device) -> dict:
    """Both recipes one after the other: images a second, share of the time spent waiting for data, FLOP/s."""
    size, batch = config.crop, config.batch_size
    flops = step_flops(size) * batch
    figures = {}
    for name, start in (
        ("published", lambda: published(path, size, batch, workers, device)),
        ("ours", lambda: ours(path, config, workers, device)),
    ):
        waited, whole = rates(start(), count, device)
        figures[name] = {
            "images_per_s": batch / whole,
            "waiting": waited / whole,
            "tflop_per_s": flops / (whole - waited) / 1e12,
        }
    return figures | {"ratio": figures["ours"]["images_per_s"] / figures["published"]["images_per_s"]}


def step_flops(size: int) -> float:
    """Floating-point operations of a step of the published network on one image, forward and backward."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = Paper()
        sum(b.sum() + a.sum() for b, a in network.stages(torch.zeros(1, 3, size, size))).backward()
    return float(counter.get_total_flops())


def peak(device: torch.device, precision: torch.dtype) -> float:
    """FLOP/s of a large matrix product, the most that this device does in practice.

    The sides are doubled until a product takes a while: processors without bfloat16 take minutes for the largest.
    """
    for side in (256, 512, 1024, 2048, *((4096, 8192) if device.type == "cuda" else ())):
        a, b = (torch.randn(side, side, device=device, dtype=precision) for _ in range(2))
        seconds = min(_seconds_of_product(a, b) for _ in range(5))
        if seconds > LONG_PRODUCT:
            break
    return 2 * side**3 / seconds


def _seconds_of_product(a: Tensor, b: Tensor) -> float:
    start = time.perf_counter()
    a @ b
    synchronise(a.device)
    return time.perf_counter() - start


def loading(path: Path, seconds: float, workers: int) -> float:
    """Crops a second of the training loader alone, with the light network's recipe."""
    config = TrainConfig(objects=["carton"], crop=160, crops_per_picture=4, batch_size=32)
    batches = iter(loader(path, config, workers))
    for _ in range(2 + 2 * workers):  # what the processes had begun before
        next(batches)
    start, crops = time.perf_counter(), 0
    while (took := time.perf_counter() - start) < seconds:
        crops += len(next(batches).image)
    return crops / took


def make_store(path: Path, pictures: int) -> None:
    """A small store of cartons, 640x480."""
    config = parse_config({"objects": {"carton": 1}, "hdri": 0, "nb_objects": [2, 5]}, "bench")
    generate(config, path, pictures)


@command("bench-training")
def main(
    out: Annotated[Path | None, typer.Option(help="JSON file for the figures")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    crop: Annotated[int, typer.Option(min=64, help="side of the images [px]; a multiple of 8")] = 400,
    steps: Annotated[int, typer.Option(min=1, help="steps of each recipe, after one to warm up")] = 4,
    seconds: Annotated[float, typer.Option(min=0.1, help="duration of the loader measurement [s]")] = 20.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> None:
    """Compare a training step of DOPE's network with the published recipe's, and measure the loader."""
    torch.set_flush_denormal(True)
    chosen, workers, config = pick_device(device), auto_workers(1), our_recipe(crop, batch_size)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "store"
        make_store(data, IMAGE_COUNT)
        figures = {"device": str(chosen), "batch_size": batch_size, "crop": crop}
        figures["loader_crops_per_s"] = loading(data, seconds, workers + 1)
        figures |= compare(data, config, steps, workers, chosen)
        peaks = {name: peak(chosen, kind) for name, kind in (("ours", torch.bfloat16), ("published", torch.float32))}
    for name, rate in peaks.items():
        figures[name]["share_of_matrix_product"] = figures[name]["tflop_per_s"] * 1e12 / rate
    typer.echo(json.dumps(figures, indent=1))
    if out is not None:
        files.write_json(out, figures)


if __name__ == "__main__":
    sys.exit(main())
