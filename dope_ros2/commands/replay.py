"""`dope replay`: look again at the images of a recording, as the node did, and compare the answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import typer
from scipy.optimize import linear_sum_assignment

from dope_ros2 import __version__
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.common.resources import share
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.messages import read_pose

if TYPE_CHECKING:
    from dope_ros2.pipeline.recording import Recording
    from dope_ros2.pipeline.recording_player import ReplayedImage

DIFFERENT = 1  # exit status
ALLOWED = 1e-3, np.deg2rad(0.5), 0.01  # differences in position [m], rotation [rad] and score
MOST_LINES = 10  # about answers that differ
NEVER = 1e6


class Named(NamedTuple):
    """An instance: its track, or its class where nobody tracks; its score, and T_camera_object."""

    name: str
    score: float
    pose: Pose


@dataclass(frozen=True, eq=False)
class Comparison:
    """An answer of now beside the recorded one.

    Attributes:
        camera, stamp: topic and stamp [s] of the image.
        recorded, now: names of the instances.
        differences: (3,) the largest in position [m], rotation [rad] and score, of instances with the same name.
    """

    camera: str
    stamp: float
    recorded: list[str]
    now: list[str]
    differences: np.ndarray

    @classmethod
    def of(cls, shown: ReplayedImage) -> Comparison:
        """Compare two answers to an image."""
        now = [Named(d.track or d.model.name, d.score, d.pose) for d in shown.found]
        tracked = not now or any(d.track for d in shown.found)
        recorded = [_named(detection, tracked) for detection in shown.recorded.detections]
        names = (sorted(instance.name for instance in instances) for instances in (recorded, now))
        return cls(shown.camera, shown.stamp, *names, compare(recorded, now))

    @property
    def agrees(self) -> bool:
        """Whether it is the same answer within ALLOWED."""
        return self.recorded == self.now and bool((self.differences <= ALLOWED).all())

    def __str__(self) -> str:
        if self.recorded == self.now:
            return f"{self.camera} at {self.stamp:.3f} s: {_in_words(self.differences)}"
        recorded, now = (", ".join(names) or "nothing" for names in (self.recorded, self.now))
        return f"{self.camera} at {self.stamp:.3f} s: {now}; recorded: {recorded}"


def _in_words(differences: np.ndarray) -> str:
    position, rotation, score = differences
    return f"{1e3 * position:.3f} mm, {np.rad2deg(rotation):.3f} degrees, {score:.4f} in score"


def compare(recorded: list[Named], now: list[Named]) -> np.ndarray:
    """The largest differences (3,) of instances with the same names; of one name, the nearest belong together."""
    apart = [a.pose.distance_to(b.pose) + NEVER * (a.name != b.name) for a in recorded for b in now]
    pairs = linear_sum_assignment(np.reshape(apart, (len(recorded), len(now))))
    same = [(recorded[i], now[j]) for i, j in zip(*pairs, strict=True) if recorded[i].name == now[j].name]
    each = [(a.pose.distance_to(b.pose), a.pose.angle_to(b.pose), abs(a.score - b.score)) for a, b in same]
    return np.max([np.zeros(3), *each], axis=0)


def _named(detection: object, tracked: bool) -> Named:
    """A recorded detection without its node's frame prefix; where nobody tracked, its number is only a rank."""
    result = detection.results[0]
    name, number = result.hypothesis.class_id, detection.id.rpartition("_")[2]
    name += f"_{number}" if tracked and number else ""
    return Named(name, result.hypothesis.score, read_pose(result.pose.pose))


def _weights(path: Path, recording: Recording) -> Path:
    """The weights file of a recording, where it was or the package's."""
    from dope_ros2.network.weights import sha256

    for file in (Path(recording.weights), share() / "weights" / Path(recording.weights).name):
        if file.is_file() and sha256(file) == recording.sha256:
            return file
    raise UserError(
        f"{path}: was recorded with {recording.weights} (sha256 {recording.sha256[:12]}...), which is not here; "
        "give that file, or another one to compare with it, as --weights"
    )


def _engine(recording: Recording) -> str:
    """The engine of a recording, by its name for people."""
    from dope_ros2.engines.registry import NAMES

    name = recording.engine.partition(" on ")[0].replace(", ", "-")
    return name if name in NAMES else "auto"


def report(comparisons: Iterable[Comparison]) -> bool:
    """Print what differs, and a summary; returns whether everything agrees."""
    done, differ, largest = 0, 0, np.zeros(3)
    for comparison in comparisons:
        done += 1
        largest = np.maximum(largest, comparison.differences)
        differ += not comparison.agrees
        if not comparison.agrees and differ <= MOST_LINES:
            print(comparison, flush=True)
    print(f"{done - differ} of {done} answers agree within {_in_words(np.array(ALLOWED))}")
    print(f"the largest differences of the same instance are {_in_words(largest)}")
    return differ == 0


@command("dope replay")
def main(
    bag: Annotated[Path, typer.Argument(help="folder that the node's service ~/record wrote")],
    weights: Annotated[Path | None, typer.Option(help="compare with these; default: those of the recording")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    engine: Annotated[str | None, typer.Option(help="what runs the network; default: as in the recording")] = None,
) -> int:
    """Look again at the images of a recording and compare with what was answered; status 1 where that differs."""
    from dope_ros2.estimation.estimator import Estimator
    from dope_ros2.pipeline.recording import read  # here, so that --help does not wait for torch
    from dope_ros2.pipeline.recording_player import play

    recording = read(bag)
    if not recording.answers:
        raise UserError(f"{bag}: no image was answered; `dope predict` shows what is found in it")
    weights = weights or _weights(bag, recording)
    estimator = Estimator.load(weights, {m.name: m for m in recording.models}, device, engine or _engine(recording))
    print(f"recorded: {len(recording.answers)} answers, version {recording.version}, {recording.engine}")
    print(f"now: {weights}, version {__version__}, {estimator.engine.name}", flush=True)
    return 0 if report(map(Comparison.of, play(bag, recording, estimator))) else DIFFERENT
