"""The way of a user from a fresh workspace to poses: build, launch with a video, poses, life cycle, Ctrl-C.

    python test/whole_way.py [--video FILE]

Each step uses the real tool (colcon, ros2 launch, ros2 lifecycle) where it is installed, and something else for the
same step where it is not; the table at the end says which. Exit status 1 when a step fails.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPO), str(REPO / "test")]

from helpers import ros_domain  # noqa: E402
from helpers.real_launch import Terminal, has_launch  # noqa: E402

DOMAIN, _reserved = ros_domain.reserve()
NAMESPACE, SECONDS = "left", 3
RUN = [sys.executable, "-c", (
    "import os, sys; from ament_index_python.packages import get_package_prefix as prefix; name = sys.argv[1]; "
    "path = os.path.join(prefix('dope_ros2'), 'lib', 'dope_ros2', name); os.execv(path, [path, *sys.argv[2:]])"
)]  # what `ros2 run` does  # fmt: skip


def call(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, text=True, **options)


def make_video(path):
    """A few seconds of the demo's image, moving."""
    import cv2
    import numpy as np

    image = cv2.imread(str(REPO / "docs/images/demo.jpg"))
    height, width = image.shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10.0, (width, height))
    for n in range(10 * SECONDS):
        writer.write(cv2.warpAffine(image, np.float32([[1, 0, n], [0, 1, 0]]), (width, height)))
    writer.release()


def build(workspace):
    """Build the package in a fresh workspace; returns the tool and the prefix."""
    source, prefix = workspace / "src/dope_ros2", workspace / "install/dope_ros2"
    source.parent.mkdir(parents=True)
    files = call("git", "ls-files", cwd=REPO, capture_output=True).stdout.split("\n")
    for name in filter(None, files):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, source / name)
    if shutil.which("colcon"):
        call("colcon", "build", cwd=workspace)
        return "colcon build", prefix
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed")
    call(sys.executable, "-m", "pip", "install", *options, "--prefix", prefix, source)
    return "pip install --prefix", prefix


def source_workspace(prefix):
    """What sourcing the workspace does, for this process and its children; in a domain that no one else uses."""
    [packages] = prefix.glob("lib/python3*/site-packages")
    more = {"AMENT_PREFIX_PATH": prefix, "PYTHONPATH": packages, "PATH": Path(sys.executable).parent}
    for name, path in more.items():
        os.environ[name] = os.pathsep.join([str(path), *filter(None, [os.environ.get(name)])])
    os.environ |= {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def launch(video):
    """Camera and node in a terminal; returns the tool and the terminal."""
    if has_launch():
        arguments = [f"namespace:={NAMESPACE}", "camera:=true", f"source:={video}", "objects:=carton"]
        return "ros2 launch", Terminal("ros2", "launch", "dope_ros2", "dope.launch.py", *arguments)
    camera = ["camera_node", "--ros-args", "-r", f"__ns:=/{NAMESPACE}", "-p", f"source:={video}", "-p", "loop:=true"]
    node = ["dope_node", "--ros-args", "-r", f"__ns:=/{NAMESPACE}", "-p", "objects:=[carton]"]
    script = (
        "import signal, subprocess, sys; signal.signal(signal.SIGINT, lambda *_: None); "
        f"nodes = [subprocess.Popen({RUN!r} + each) for each in ({camera!r}, {node!r})]; "
        "sys.exit(any([node.wait() for node in nodes]))"
    )
    return "executables of the ament index", Terminal(sys.executable, "-c", script)


def poses(terminal):
    """Wait for poses, in a client of its own."""
    from vision_msgs.msg import Detection3DArray

    from helpers.node_processes import Observer

    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
    observer = Observer()
    observer.listen(Detection3DArray, topic := f"/{NAMESPACE}/dope/detections")

    def come():
        observer.spin(0.05)
        return any(msg.detections for msg in observer.received[topic])

    terminal.until(come, f"poses on {topic}")
    return "rclpy client", observer


def life_cycle(observer):
    """Deactivate the node and activate it again."""
    name = f"/{NAMESPACE}/dope"
    if shutil.which("ros2") and has_launch():
        for transition in ("deactivate", "activate"):
            call("ros2", "lifecycle", "set", name, transition, "--no-daemon", "--spin-time", "5")
        return "ros2 lifecycle"
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    from helpers.node_client import call as call_service

    for number in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=number))
        assert call_service(observer, ChangeState, f"{name}/change_state", request).success
    return "its services"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--video", type=Path, help="with cartons; default: made of docs/images/demo.jpg")
    options, start = parser.parse_args(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        video = options.video or workspace / "cartons.mp4"
        if not options.video:
            make_video(video)
        steps = {}
        steps["build in a fresh workspace"], prefix = build(workspace)
        source_workspace(prefix)
        steps["launch with a video"], terminal = launch(video.resolve())
        try:
            steps["poses in a client"], observer = poses(terminal)
            steps["deactivate, activate"] = life_cycle(observer)
            for messages in observer.received.values():
                messages.clear()
            poses_again = f"poses on /{NAMESPACE}/dope/detections"
            terminal.until(lambda: observer.spin(0.05) or any(observer.received.values()), poses_again)
            observer.close()
            status = terminal.interrupt()
            steps["Ctrl-C in a terminal"] = f"status {status}"
        finally:
            terminal.close()
    for step, tool in steps.items():
        print(f"{step:28}{tool}")
    print(f"{time.monotonic() - start:.0f} s")
    return int(status != 0)


if __name__ == "__main__":
    sys.exit(main())
