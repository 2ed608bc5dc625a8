"""`dope learn`: from a mesh to weights and a report on them, with the verbs that one would call by hand."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
import yaml

from dope_ros2 import cli
from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.common.resources import default_weights, example, share
from dope_ros2.common.yaml_files import read_yaml
from dope_ros2.objects.object_model import load_objects

HELD_OUT = 256  # images that only judge
SEED, OTHER_SEED = 0, 1  # of the images to learn from and of those to judge by


@dataclass(frozen=True)
class Plan:
    """What is to be learned, and where everything goes.

    Attributes:
        mesh: the object's.
        name: the object's.
        out: folder of everything.
        images: images to learn from.
        steps: of training.
        datagen, train: recipes to start from; `objects` is set to the new object.
        unit: of the mesh; found by its size if None.
        camera: camera_info YAML of the robot's camera, if there is one.
    """

    mesh: Path
    name: str
    out: Path
    images: int
    steps: int
    datagen: Path
    train: Path
    unit: str | None = None
    camera: Path | None = None

    @property
    def objects_file(self) -> Path:
        """The new objects.yaml."""
        return self.out / "objects.yaml"

    @property
    def weights(self) -> Path:
        """The new weights."""
        return self.out / "run" / "weights.safetensors"

    def recipes(self) -> dict[Path, dict]:
        """The contents of the two recipes by file.

        Raises:
            UserError: a recipe to start from cannot be read.
        """
        pictures = _read(self.datagen) | {"objects": {self.name: 1}}
        if self.camera is not None:
            pictures = {k: v for k, v in pictures.items() if k not in ("width", "height", "focal")}
            pictures["camera"] = str(self.camera.resolve())
        training = {k: v for k, v in _read(self.train).items() if k != "focus"}  # on objects of its own
        training |= {"objects": [self.name], "steps": self.steps}
        return {self.out / "datagen.yaml": pictures, self.out / "train.yaml": training}

    def _trained(self) -> int:
        """Steps that the weights have had."""
        from dope_ros2.network.weights import load  # here, so that --help does not wait for torch

        return load(self.weights)[1].training.get("steps", self.steps)

    def commands(self) -> Iterator[list[str]]:
        """The verbs with their arguments, in order; what is done already is left out or gone on with."""
        out, objects = self.out, ["--objects-file", str(self.objects_file)]
        if not self.objects_file.exists():
            unit = ["--unit", self.unit] if self.unit else []
            where = ["--name", self.name, "--out", str(out / "mesh"), "--overwrite"]
            yield ["assets", "prepare", str(self.mesh), *where, *objects, *unit]
        counts = {out / "data": (self.images, SEED), out / "held-out": (HELD_OUT, OTHER_SEED)}
        for data, (images, seed) in counts.items():
            more = ["--out", str(data), "--images", str(images), "--seed", str(seed), *objects]
            yield ["generate", str(out / "datagen.yaml"), *more]
        yield ["preview", str(out / "data"), "--out", str(out / "preview.jpg")]
        if not self.weights.exists() or self._trained() < self.steps:
            begin = ["--resume"] if (out / "run").exists() else ["--net", str(default_weights())]
            where = ["--data", str(out / "data"), "--out", str(out / "run"), "--steps", str(self.steps)]
            yield ["train", str(out / "train.yaml"), *where, *objects, *begin]
        judged = ["--weights", str(self.weights), "--data", str(out / "held-out"), "--out", str(out / "report")]
        yield ["evaluate", *judged, *objects]


def learn(plan: Plan) -> dict[str, float]:
    """Do all that is left to do; returns the seconds of each verb, which are also written to times.json.

    Raises:
        UserError: the folder holds another object, or a verb has failed.
    """
    if plan.objects_file.exists() and plan.name not in load_objects(plan.objects_file):
        raise UserError(f"{plan.out}: holds another object than {plan.name!r}; give the same --name, or another --out")
    files.new_folder(plan.out)
    for file, content in plan.recipes().items():
        if not file.exists():
            files.write_text(file, yaml.safe_dump(content, sort_keys=False))
    seconds: dict[str, float] = {}
    for arguments in plan.commands():
        print(f"\n$ dope {shlex.join(arguments)}", flush=True)
        start = time.monotonic()
        if status := cli.main(arguments):
            raise UserError(f"`dope {arguments[0]}` has ended with status {status}; the same command goes on from here")
        seconds[arguments[0]] = seconds.get(arguments[0], 0.0) + time.monotonic() - start
    files.write_json(plan.out / "times.json", {verb: round(s, 1) for verb, s in seconds.items()})
    return seconds


def _read(recipe: Path) -> dict:
    hint = f"see those of {example('config/datagen')} and {example('config/train')}"
    entries = read_yaml(recipe, hint)
    if not isinstance(entries, dict):
        raise UserError(f"{recipe}: is no recipe; {hint}")
    return entries


PRESETS = share() / "config"


@command("dope learn")
def main(
    mesh: Annotated[Path, typer.Argument(help="OBJ, PLY, STL, GLB, glTF or DAE, with its texture")],
    name: Annotated[str, typer.Option(help="name of the object, in detections and files")],
    out: Annotated[Path, typer.Option(help="folder of mesh, images, run, weights and report")],
    unit: Annotated[
        str | None, typer.Option(help="unit of the mesh: m, cm or mm; guessed from its size if not given")
    ] = None,
    camera: Annotated[Path | None, typer.Option(help="camera_info YAML of your camera")] = None,
    images: Annotated[int, typer.Option(min=256, help="number of training images")] = 4096,
    steps: Annotated[int, typer.Option(min=1, help="training steps")] = 2500,
    datagen: Annotated[Path, typer.Option(help="configuration of the training images")] = PRESETS
    / "datagen"
    / "quick.yaml",
    train: Annotated[Path, typer.Option(help="training recipe")] = PRESETS / "train" / "new-object.yaml",
) -> None:
    """Learn an object from its mesh: make it ready, render, train, judge.

    The same command goes on after a stop, and with more steps after the end.
    """
    plan = Plan(mesh, name, out, images, steps, datagen, train, unit, camera)
    seconds = learn(plan)
    print("\n" + "\n".join(f"{verb:10} {timedelta(seconds=round(s))}" for verb, s in seconds.items()))
    print(f"{'all':10} {timedelta(seconds=round(sum(seconds.values())))}")
    print(f"\nlook at {out / 'preview.jpg'} and {out / 'report' / 'report.html'}, then")
    use = ["--weights", str(plan.weights), "--objects-file", str(plan.objects_file)]
    print(shlex.join(["dope", "predict", "PHOTOS", *use, "--camera", str(camera or "CAMERA.yaml"), "--out", "OUT"]))
