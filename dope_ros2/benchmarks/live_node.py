"""The live node at 30 Hz, what more objects cost, and DOPE's network on the same images; `make bench-node`."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from dope_ros2.benchmarks.stages import WARM_UP, shot, timed
from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.resources import default_weights
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.harness.child_processes import Processes
from dope_ros2.harness.live_system import environment, play, render
from dope_ros2.io.bop import read_scene
from dope_ros2.io.image_sources import endless, open_source
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.objects.object_model import ObjectModel, load_objects

CAMERA_RATE = 30.0  # [Hz] of the camera
OBJECT_SIZE = (0.16, 0.11, 0.06)
STILL = 60, 300  # which image a standing camera shows, and how often
MOVING, STANDING = "camera in motion", "camera at rest"
CASES = {
    "one object": (STANDING, ["objects:=[carton]"]),
    "all objects": (STANDING, []),
    "every image searched": (STANDING, ["search_period:=0.0"]),
    "in motion": (MOVING, []),
}


def standing(scene: Path, out: Path) -> Path:
    """A BOP scene of one image of another one, again and again."""
    number, count = STILL
    files.new_folder(out / "rgb")
    frame = read_scene(scene)[number]
    for name in ("scene_camera.json", "scene_gt.json", "scene_gt_info.json"):
        entries = json.loads((scene / name).read_text())
        again = {str(k): entries[str(frame.im_id)] for k in range(count)}
        files.write_json(out / name, again)
    for k in range(count):
        shutil.copyfile(frame.path, out / "rgb" / f"{k:06d}{frame.path.suffix}")
    return out


def live(scene: Path, out: Path, parameters: list[str]) -> dict:
    """The monitor's figures of a node that is shown the whole scene at 30 Hz by another process."""
    files.new_folder(out / "logs")
    with Processes(out / "logs", environment()) as processes:
        play(scene, out, parameters, CAMERA_RATE, 0.0, processes)
    return json.loads((out / "report.json").read_text())


def told(name: str, figures: dict) -> str:
    """A line of the table; times of the node itself are medians of its last hundred images."""
    node = next(iter(figures["node"].values()), {})
    stages = {key.removesuffix("_ms_p50"): float(value) for key, value in node.items() if key.endswith("_ms_p50")}
    own = sum(stages.get(stage, 0.0) for stage in ("convert", "track", "publish"))
    return (
        f"{name:<22}{figures['fps']:>8.1f}{figures['recall']:>8.2f}{figures['latency_p50_ms']:>10.0f}"
        f"{figures['latency_p95_ms']:>10.0f}{own:>10.1f}   "
        + ", ".join(f"{stage} {value:.1f}" for stage, value in stages.items())
    )


def untrained(architecture: str, objects: int, height: int, engine: str) -> Estimator:
    """A network that finds nothing, for its time alone."""
    torch.manual_seed(0)
    models = [ObjectModel(name=f"object_{k}", class_id=k + 1, size=OBJECT_SIZE) for k in range(objects)]
    trained = tuple(TrainedObject(name=model.name, size=model.size) for model in models)
    metadata = Metadata(architecture=architecture, objects=trained, input_height=height, crop=0)
    return Estimator.of_network(make_network(architecture, objects), metadata, models, "cpu", engine)


def alone(scene: Path, images: int) -> dict[str, float]:
    """Median times of whole images without ROS [ms], with this package's weights and with others' size."""
    shots = [shot(picture) for picture in islice(endless(open_source(str(scene))), images + WARM_UP)]
    weights = default_weights()
    estimators = {
        "dope-lite": lambda: Estimator.load(weights, load_objects(), "cpu"),
        "dope-lite, torch": lambda: Estimator.load(weights, load_objects(), "cpu", "torch"),
        **{
            f"untrained, {count} objects": lambda count=count: untrained("dope-lite", count, 320, "auto")
            for count in (1, 2, 10)
        },
        "paper, torch": lambda: untrained("paper", 1, 480, "torch"),
    }
    times: dict[str, float] = {}
    for name, make in estimators.items():
        few = shots[: WARM_UP + 3] if "paper" in name else shots
        times[name] = 1e3 * float(np.median(timed(make(), few)["total"]))
        print(f"{name:<24}{times[name]:>10.1f} ms", flush=True)
    return times


@command("bench-node")
def main(
    out: Annotated[Path, typer.Option(help="folder for scene, logs and figures")] = Path("out/bench-node"),
    scene: Annotated[Path | None, typer.Option(help="BOP scene with truth; default: the demo's, rendered")] = None,
    images: Annotated[int, typer.Option(help="images to process without ROS", min=1)] = 60,
) -> None:
    """Time the node and its parts; the figures go to OUT/bench-node.json."""
    files.new_folder(out / "logs")
    if scene is None:
        scene = out / "scene"
        with Processes(out / "logs", environment()) as processes:
            render(scene, processes)
    machine = {"machine": platform.processor() or platform.machine(), "pictures": len(read_scene(scene))}
    kept = machine | {"alone_ms": alone(scene, images), "live": {}}
    scenes = {MOVING: scene, STANDING: standing(scene, out / "standing")}
    for name, (which, parameters) in CASES.items():
        kept["live"][name] = live(scenes[which], out / name.replace(" ", "-"), parameters)
    print(f"{'':<22}{'fps':>8}{'recall':>8}{'p50 [ms]':>10}{'p95 [ms]':>10}{'own [ms]':>10}   stages, medians [ms]")
    for name, figures in kept["live"].items():
        print(told(name, figures))
    times = kept["alone_ms"]
    print(f"paper / dope-lite: {times['paper, torch'] / times['dope-lite']:.1f} times")
    files.write_json(out / "bench-node.json", kept)


if __name__ == "__main__":
    sys.exit(main())
