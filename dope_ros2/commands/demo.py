"""`dope demo`: a simulated camera, the live node and a monitor, each in its own process, over ROS 2 (DDS)."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from dope_ros2.cli import run_typer
from dope_ros2.commands.batch_prediction import Lens, Run, lines
from dope_ros2.commands.predict import make_folder
from dope_ros2.common.errors import UserError
from dope_ros2.common.resources import share
from dope_ros2.estimation.estimator import Estimator, Settings
from dope_ros2.harness.child_processes import Processes
from dope_ros2.io.bop import read_scene
from dope_ros2.io.images import VideoWriter, find, read_image
from dope_ros2.objects.object_model import load_objects

START_TIMEOUT, RENDER_TIMEOUT, ANSWER_TIMEOUT = 120.0, 900.0, 60.0  # [s]
FASTEST = 10.0  # pictures per second of the simulated camera
SHARE = 0.5  # of its time that the node may be busy when the camera keeps pace with it
ROS_VARIABLES = ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_DISCOVERY_SERVER")


def environment() -> dict[str, str]:
    """The variables of all three processes: a ROS domain of their own that nobody else on the network sees."""
    kept = {key: value for key, value in os.environ.items() if key not in ROS_VARIABLES}
    domain = str(1 + os.getpid() % 100)
    return kept | {"ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "PYTHONUNBUFFERED": "1"}


def render(scene: Path, processes: Processes) -> None:
    """Render the demo scene when it is not there yet."""
    if (scene / "scene_camera.json").is_file():
        return
    print(f"rendering the scene into {scene} (once; a minute or two)", flush=True)
    processes.start("render", ["-m", "dope_datagen.commands.demo_scene", "--out", str(scene)])
    processes.wait_until_ended("render", RENDER_TIMEOUT)


def play(scene: Path, out: Path, node: list[str], rate: float, min_recall: float, processes: Processes) -> int:
    """Run node, monitor and camera until the camera has shown every picture; returns the monitor's exit status.

    `node` holds parameters of dope_node as `name:=value`, `rate` is in pictures per second.
    """
    frames = len(read_scene(scene))
    # Large best-effort pictures lose parts on the way; on one machine they may as well be reliable.
    node = ["qos_overrides./image_rect.subscription.reliability:=reliable", *node]
    processes.start("node", ["-m", "dope_ros2.nodes.dope_node", *_ros(node)])
    processes.wait_for("node", "looking for", START_TIMEOUT)
    print(f"node: {processes.last_line('node').split(']: ')[-1]}", flush=True)
    options = ["--frames", str(frames), "--min-recall", str(min_recall), "--json", str(out / "report.json")]
    processes.start("monitor", ["-m", "dope_ros2.nodes.monitor_node", *options])
    processes.wait_for("monitor", "recall", START_TIMEOUT)  # the head of its table: it listens
    camera = [f"source:={scene.resolve()}", f"fps:={rate:.3f}", "wait_for_subscribers:=1"]
    processes.start("camera", ["-m", "dope_ros2.nodes.camera_node", *_ros(camera)])
    last = None  # when the camera had shown its last picture
    while processes.status("monitor") is None:
        processes.check("node")
        if processes.status("camera"):
            processes.check("camera")
        if processes.status("camera") == 0:
            last = last or time.monotonic()
            if time.monotonic() - last > ANSWER_TIMEOUT:
                raise UserError(f"the monitor has heard nothing of the camera; see {processes.log('camera').parent}")
        print(processes.news("monitor"), end="", flush=True)
        time.sleep(0.2)
    print(processes.news("monitor"), end="", flush=True)
    return processes.stop("monitor")


def _ros(parameters: list[str]) -> list[str]:
    """Parameters as ROS arguments of a node."""
    return ["--ros-args", *(text for parameter in parameters for text in ("-p", parameter))]


def pace(estimator: Estimator, scene: Path) -> float:
    """Pictures per second that this machine can follow; those of a faster camera would only be dropped."""
    frame = read_scene(scene)[0]
    image = read_image(frame.path)
    camera = frame.camera(image.shape[1], image.shape[0])
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        estimator(image, camera)
        seconds.append(time.perf_counter() - start)
    return min(FASTEST, SHARE / median(seconds[1:]))  # the first call warms up


def film(scene: Path, out: Path, estimator: Estimator, rate: float) -> Path:
    """Draw what the estimator finds over every picture of the scene, and join the pictures to a video."""
    sources, _ = find([scene])
    run = Run(estimator, Settings(), Lens(), out)
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
            f"speed        {number['fps']} pictures/s; {r['dropped']} of {r['frames']} left out",
            f"latency      {number['latency_p50_ms']} ms (p50), {number['latency_p95_ms']} ms (p95)",
        ]
    )


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="folder for the scene, pictures, video and report")] = Path("out/demo"),
    rate: Annotated[float, typer.Option(help="pictures per second; 0: what this machine can follow, at most 10")] = 0.0,
    weights: Annotated[Path | None, typer.Option(help="default: weights/dope-lite.safetensors of the package")] = None,
    min_recall: Annotated[float, typer.Option(help="less is a failure, exit status 1", min=0, max=1)] = 0.8,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
) -> int:
    """Simulated camera, live node and monitor, in three processes over ROS 2."""
    weights = weights or share() / "weights" / "dope-lite.safetensors"
    estimator = Estimator.load(weights, load_objects(), device)
    logs, scene = out / "logs", out / "scene"
    make_folder(logs)
    (out / "report.json").unlink(missing_ok=True)
    with Processes(logs, environment()) as processes:
        render(scene, processes)
        rate = rate if rate > 0 else pace(estimator, scene)
        print(f"camera: {len(read_scene(scene))} pictures, {rate:.1f} per second", flush=True)
        parameters = [f"weights:={weights.resolve()}", f"device:={device}"]
        status = play(scene, out, parameters, rate, min_recall, processes)
    print(tell(json.loads((out / "report.json").read_text())), flush=True)
    print(f"pictures and video: {out / 'annotated'}, {film(scene, out, estimator, rate)}")
    return status


def main(argv: list[str] | None = None) -> int:
    """Run `dope demo`; returns 0, 1 when too little was found, 2 when something did not run."""
    return run_typer(app, argv, "dope demo")


if __name__ == "__main__":
    sys.exit(main())
