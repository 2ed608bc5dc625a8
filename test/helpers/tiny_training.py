"""Runs of `dope train` that take seconds: a store of noise, networks of a few thousand weights, other processes."""

import csv
import importlib
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import nn

from dope_datagen.dataset import store
from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Sample
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.architectures import ARCHITECTURES
from dope_ros2.network.channels import AFFINITY_CHANNELS, BELIEF_CHANNELS, SURFACE_CHANNELS
from dope_ros2.objects.object_model import load_objects
from dope_training.commands.train import main

CARTON = load_objects()["carton"]
CAMERA = CameraModel.from_focal(300, 160, 120)
PICTURES = 20
RECIPE = {
    "architecture": "tiny", "objects": ["carton"], "crop": 64, "input_height": 120, "batch_size": 4, "steps": 30,
    "warmup": 5, "learning_rate": 0.01, "precision": "32-true", "validation_share": 0.2, "validation_images": 4,
    "validation_poses": 0, "validate_every": 12, "checkpoint_every": 4, "log_every": 1,
}  # fmt: skip


class Tiny(nn.Module):
    """A network of this package's kind, of one layer and two heads."""

    norm = nn.BatchNorm2d

    def __init__(self, objects):
        super().__init__()
        self.objects = objects
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 8, 8, bias=False), self.norm(8), nn.ReLU())
        self.surface = nn.Conv2d(8, objects * SURFACE_CHANNELS, 1)
        self.head = nn.Conv2d(8, objects * (BELIEF_CHANNELS + AFFINITY_CHANNELS), 3, padding=1)

    def forward(self, x):
        x = self.trunk(x)
        maps = self.head(x).unflatten(1, (self.objects, BELIEF_CHANNELS + AFFINITY_CHANNELS))
        return (
            maps[:, :, :BELIEF_CHANNELS],
            maps[:, :, BELIEF_CHANNELS:],
            self.surface(x).unflatten(1, (self.objects, SURFACE_CHANNELS)),
        )


class Plain(Tiny):
    """Without batch normalisation, so that sub-batches and ranks add up to the whole exactly."""

    norm = nn.Identity


ARCHITECTURES |= {"tiny": Tiny, "plain": Plain}


def picture(number):
    rng = np.random.default_rng(number)
    pose = Pose.random(rng, (0, 0, 0.8))
    keypoints = CAMERA.project(pose.apply(CARTON.keypoints))
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 50:110] = 1
    label = Label("carton", CARTON.class_id, pose, keypoints, 1.0, 0.0, (50, 40, 60, 40), 2400, 2400)
    return Sample(rng.integers(0, 256, (120, 160, 3), np.uint8), CAMERA, [label], mask)


def make_store(path):
    store.create(path, PICTURES, 0, {"width": 160, "height": 120, "depth": False}, [CARTON])
    store.write_shard(path, 0, [picture(n) for n in range(PICTURES)], 90)
    return path


def write_recipe(path, **changes):
    path.write_text(json.dumps(RECIPE | changes))  # JSON is YAML
    return path


def rows(run, name="train"):
    """The rows of a run's CSV; what was being written at a kill is left out, as a resumed run does.

    The file is read whole first: a reader that finds it empty at first and then not takes a row for the header.
    """
    path = Path(run) / f"{name}.csv"
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:  # not begun, or just being replaced
        lines = []
    return [row for row in csv.DictReader(lines) if None not in row.values()]


def steps(run):
    return [int(row["step"]) for row in rows(run)]


def losses(run):
    names = ("loss", "belief", "affinity", "seen", "coordinates")
    return np.array([[float(row[name]) for name in names] for row in rows(run)])


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


@contextmanager
def server():
    """Gives a function that starts `dope train` in so many processes, without importing everything again and again."""
    here = Path(__file__).resolve()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(here.parents[2]), str(here.parents[1]), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, str(here)]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def ask(request):
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        def start(arguments, log, ranks=1):
            """Start the ranks; returns their process numbers."""
            return ask({"argv": [str(a) for a in arguments], "ranks": ranks, "log": str(log), "port": free_port()})

        def wait(numbers):
            """Their exit statuses; minus the signal's number for those that one ended."""
            return ask({"wait": numbers})

        yield start, wait
        process.stdin.close()


def ended(number):
    """Whether a process of the server has ended, waited for or not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def _become_rank(request, rank):
    if request["ranks"] > 1:
        os.environ |= {
            "TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "localhost", "MASTER_PORT": str(request["port"]),
            "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0",
            "WORLD_SIZE": str(request["ranks"]), "LOCAL_WORLD_SIZE": str(request["ranks"]),
        }  # fmt: skip
    output = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)


def serve():
    importlib.import_module("torch.utils.tensorboard")  # which every run would import
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = [os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) for number in request["wait"]]
        else:
            answer = []
            for rank in range(request["ranks"]):
                process = os.fork()
                if process == 0:
                    status = 1
                    try:
                        _become_rank(request, rank)
                        status = main(request["argv"])
                    except SystemExit as error:
                        status = error.code
                    finally:
                        sys.stdout.flush()
                        os._exit(status)
                answer.append(process)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
