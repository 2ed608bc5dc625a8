"""Camera, node and monitor as processes that talk over ROS 2, as demo, soak and benchmark start them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dope_ros2.common.command_runner import load_function
from dope_ros2.common.errors import UserError
from dope_ros2.harness.child_processes import Processes
from dope_ros2.io.bop import read_scene

START_TIMEOUT, RENDER_TIMEOUT, ANSWER_TIMEOUT = 120.0, 900.0, 60.0  # [s]
NODE = ["-m", "dope_ros2.nodes.dope_node"]
ROS_VARIABLES = ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_DISCOVERY_SERVER")


def environment() -> dict[str, str]:
    """The variables of all three processes: a ROS domain of their own that nobody else on the network sees."""
    kept = {key: value for key, value in os.environ.items() if key not in ROS_VARIABLES}
    return kept | {"ROS_DOMAIN_ID": str(1 + os.getpid() % 100), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def render(scene: Path, processes: Processes) -> None:
    """Render the demo scene when it is not there yet.

    Raises:
        UserError: a Python package that rendering needs is not installed.
    """
    if (scene / "scene_camera.json").is_file():
        return
    load_function("dope_datagen.commands.demo_scene:main", "demo")  # says what is missing
    print(f"rendering the scene into {scene} (once; a minute or two)", flush=True)
    processes.start("render", ["-m", "dope_datagen.commands.demo_scene", "--out", str(scene)])
    processes.wait_until_ended("render", RENDER_TIMEOUT)


def play(scene: Path, out: Path, node: list[str], rate: float, min_recall: float, processes: Processes) -> int:
    """Run node, monitor and camera until the camera has shown every image; returns the monitor's exit status.

    `node` holds parameters of dope_node as `name:=value`, `rate` is in images per second.
    """
    frames = len(read_scene(scene))
    processes.start("node", [*NODE, *ros_arguments(node)])
    processes.wait_for("node", "looking for", START_TIMEOUT)
    print(f"node: {processes.last_line('node').split(']: ')[-1]}", flush=True)
    options = ["--frames", str(frames), "--min-recall", str(min_recall), "--json", str(out / "report.json")]
    processes.start("monitor", ["-m", "dope_ros2.nodes.monitor_node", *options])
    processes.wait_for("monitor", "recall", START_TIMEOUT)  # the head of its table: it listens
    camera = [f"source:={scene.resolve()}", f"fps:={rate:.3f}", "wait_for_subscribers:=1"]
    processes.start("camera", ["-m", "dope_ros2.nodes.camera_node", *ros_arguments(camera)])
    last = None  # when the camera had shown its last image
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


def ros_arguments(parameters: list[str]) -> list[str]:
    """Parameters as ROS arguments of a node."""
    return ["--ros-args", *(text for parameter in parameters for text in ("-p", parameter))]
