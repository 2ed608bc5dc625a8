"""The way of a user from a fresh workspace to poses: build, launch, a client of dope_msgs, life cycle, Ctrl-C.

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

from helpers import ros_domain, track_client  # noqa: E402
from helpers.real_launch import Terminal, has_launch  # noqa: E402

DOMAIN, _reserved = ros_domain.reserve()
NAMESPACE, SECONDS = "left", 3
RUN = [sys.executable, "-c", (
    "import os, sys; from ament_index_python.packages import get_package_prefix as prefix; name = sys.argv[1]; "
    "path = os.path.join(prefix(name), 'lib', *sys.argv[1:3]); os.execv(path, [path, *sys.argv[3:]])"
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
    """Build the package, its interfaces and a client of them in a fresh workspace; returns the tool."""
    source, client = workspace / "src/dope_ros2", workspace / "src" / track_client.NAME
    files = call("git", "ls-files", cwd=REPO, capture_output=True).stdout.split("\n")
    for name in filter(None, files):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPO / name, source / name)
    (workspace / "src/dope_msgs").symlink_to("dope_ros2/msg")
    track_client.write(client)
    if shutil.which("colcon"):
        call("colcon", "build", cwd=workspace)
        return "colcon build: dope_msgs, dope_ros2, track_client"
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed")
    call(sys.executable, "-m", "pip", "install", *options, "--prefix", workspace / "install", source, client)
    return "pip install --prefix: dope_ros2, track_client"


def source_workspace(workspace):
    """Source the workspace, for this process and its children; in a domain that no one else uses."""
    if (setup := workspace / "install/setup.sh").is_file():
        shown = call("sh", "-c", f". {setup} && env -0", capture_output=True).stdout
        os.environ |= dict(line.split("=", 1) for line in filter(None, shown.split("\0")))
    else:
        [packages] = workspace.glob("install/lib/python3*/site-packages")
        more = {"AMENT_PREFIX_PATH": workspace / "install", "PYTHONPATH": packages, "PATH": Path(sys.executable).parent}
        for name, path in more.items():
            os.environ[name] = os.pathsep.join([str(path), *filter(None, [os.environ.get(name)])])
    os.environ |= {"ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def launch(video):
    """Camera and node in a terminal; returns the tool and the terminal."""
    if has_launch():
        arguments = [f"namespace:={NAMESPACE}", "camera:=true", f"source:={video}", "objects:=carton"]
        return "ros2 launch", Terminal("ros2", "launch", "dope_ros2", "dope.launch.py", *arguments)
    arguments = ["--ros-args", "-r", f"__ns:=/{NAMESPACE}", "-p"]
    camera = ["dope_ros2", "camera_node", *arguments, f"source:={video}", "-p", "loop:=true"]
    node = ["dope_ros2", "dope_node", *arguments, "objects:=[carton]"]
    script = (
        "import signal, subprocess, sys; signal.signal(signal.SIGINT, lambda *_: None); "
        f"nodes = [subprocess.Popen({RUN!r} + each) for each in ({camera!r}, {node!r})]; "
        "sys.exit(any([node.wait() for node in nodes]))"
    )
    return "executables of the ament index", Terminal(sys.executable, "-c", script)


def listen():
    """The client in a terminal of its own; returns the tool and the terminal."""
    topics = [f"{name}:=/{NAMESPACE}/dope/{name}" for name in ("detections", "tracks")]
    arguments = [track_client.NAME, "listen", "--ros-args", "-r", topics[0], "-r", topics[1]]
    if has_launch():
        return "ros2 run track_client, which has dope_msgs", Terminal("ros2", "run", *arguments)
    return "track_client of the ament index, which has dope_msgs", Terminal(*RUN, *arguments)


def wait_for_poses(terminal, client):
    """Wait until the client prints more poses of objects that were seen."""
    before = client.output.count(" seen at ")
    client.until(lambda: terminal.read() or client.output.count(" seen at ") > before, "poses in the client")


def wait_for_silence(terminal, client):
    """Wait until the client has printed nothing for a second."""
    size, since = len(client.output), time.monotonic()

    def silent():
        nonlocal size, since
        terminal.read()
        if len(client.output) > size:
            size, since = len(client.output), time.monotonic()
        return time.monotonic() - since > 1

    client.until(silent, "the end of the poses")


def change_state(transition):
    """Deactivate or activate the node; returns the tool."""
    name = f"/{NAMESPACE}/dope"
    if has_launch():
        call("ros2", "lifecycle", "set", name, transition, "--no-daemon", "--spin-time", "5")
        return "ros2 lifecycle"
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    from helpers.node_client import call as call_service
    from helpers.node_processes import Observer

    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
    observer, request = Observer(), ChangeState.Request()
    request.transition.id = getattr(Transition, f"TRANSITION_{transition.upper()}")
    assert call_service(observer, ChangeState, f"{name}/change_state", request).success
    observer.close()
    return "its services"


def walk(workspace, video, steps):
    """Go the way; `steps` gets what each step used. Returns the status of what was interrupted."""
    steps["build in a fresh workspace"] = build(workspace)
    source_workspace(workspace)
    steps["launch with a video"], terminal = launch(video)
    steps["poses in a client package"], client = listen()
    try:
        wait_for_poses(terminal, client)
        steps["deactivate, activate"] = change_state("deactivate")
        wait_for_silence(terminal, client)
        change_state("activate")
        wait_for_poses(terminal, client)
        return terminal.interrupt()
    finally:
        client.close()
        terminal.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--video", type=Path, help="with cartons; default: made of docs/images/demo.jpg")
    options, start, steps = parser.parse_args(), time.monotonic(), {}
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        video = options.video or workspace / "cartons.mp4"
        if not options.video:
            make_video(video)
        status = walk(workspace, video.resolve(), steps)
    steps["Ctrl-C in a terminal"] = f"status {status}"
    for step, tool in steps.items():
        print(f"{step:28}{tool}")
    print(f"{time.monotonic() - start:.0f} s")
    return int(status != 0)


if __name__ == "__main__":
    sys.exit(main())
