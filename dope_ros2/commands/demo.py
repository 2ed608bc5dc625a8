"""`dope demo`: a simulated camera, the live node and a monitor, each in its own process, over ROS 2 (DDS)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from dope_ros2.commands.batch_prediction import PredictionRun, lines
from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.resources import default_weights
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.settings import Settings
from dope_ros2.harness.child_processes import Processes
from dope_ros2.harness.live_system import environment, play, render
from dope_ros2.io.assumed_camera import AssumedCamera
from dope_ros2.io.bop import read_scene
from dope_ros2.io.images import read_image
from dope_ros2.io.input_files import find_sources
from dope_ros2.io.videos import VideoWriter
from dope_ros2.objects.object_model import load_objects

MAX_RATE = 10.0  # images per second of the simulated camera
MAX_BUSY_SHARE = 0.5  # of its time that the node may be busy when the camera keeps pace with it


def pace(estimator: Estimator, scene: Path) -> float:
    """Images per second that this machine can follow; those of a faster camera would only be dropped."""
    frame = read_scene(scene)[0]
    image = read_image(frame.path)
    camera = frame.camera(image.shape[1], image.shape[0])
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        estimator(image, camera)
        seconds.append(time.perf_counter() - start)
    return min(MAX_RATE, MAX_BUSY_SHARE / median(seconds[1:]))  # the first call warms up


def film(scene: Path, out: Path, estimator: Estimator, rate: float) -> Path:
    """Draw what the estimator finds over every image of the scene, and join the images to a video."""
    sources, _ = find_sources([scene])
    run = PredictionRun(estimator, Settings(), AssumedCamera(), out)
    for _ in lines(run, sources):
        pass
    video = out / "demo.mp4"
    with VideoWriter(video, rate) as writer:
        for source in sources:
            writer.write(read_image(out / "annotated" / f"{source.name}.jpg"))
    return video


def tell(report: dict) -> str:
    """The figures of the monitor as sentences; None becomes a dash."""
    r = {key: "-" if value is None else value for key, value in report.items() if key != "node"}
    number = {key: value if isinstance(value, str) else f"{value:.3g}" for key, value in r.items()}
    percent = "-" if report["translation_error"] is None else f"{100 * report['translation_error']:.2f}"
    return "\n".join(
        [
            f"recall       {number['recall']}   ({r['found']} of {r['truths']} cartons at least 60 % visible)",
            f"errors       {percent} % of the distance, {number['rotation_error_deg']} degrees (medians)",
            f"false        {r['false_positives']} detections where there is nothing, or turned too far",
            f"speed        {number['fps']} images/s; {r['dropped']} of {r['frames']} left out",
            f"latency      {number['latency_p50_ms']} ms (p50), {number['latency_p95_ms']} ms (p95)",
        ]
    )


@command("dope demo")
def main(
    out: Annotated[Path, typer.Option(help="folder for the scene, images, video and report")] = Path("out/demo"),
    rate: Annotated[float, typer.Option(help="images per second; 0: what this machine can follow, at most 10")] = 0.0,
    weights: Annotated[Path | None, typer.Option(help="default: weights/dope-lite.safetensors of the package")] = None,
    min_recall: Annotated[float, typer.Option(help="a lower recall gives exit status 1", min=0, max=1)] = 0.8,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> int:
    """Simulated camera, live node and monitor, in three processes over ROS 2."""
    weights = weights or default_weights()
    estimator = Estimator.load(weights, load_objects(), device)
    logs, scene = out / "logs", out / "scene"
    files.new_folder(logs)
    (out / "report.json").unlink(missing_ok=True)
    with Processes(logs, environment()) as processes:
        render(scene, processes)
        rate = rate if rate > 0 else pace(estimator, scene)
        print(f"camera: {len(read_scene(scene))} images, {rate:.1f} per second", flush=True)
        parameters = [f"weights:={weights.resolve()}", f"device:={device}"]
        status = play(scene, out, parameters, rate, min_recall, processes)
    print(tell(json.loads((out / "report.json").read_text())), flush=True)
    print(f"images and video: {out / 'annotated'}, {film(scene, out, estimator, rate)}")
    return status
