"""A recording of the node: a bag of what came in and went out, and beside it what it takes to do the same again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from dope_ros2 import __version__
from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.estimation.object_crops import ObjectRegion
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.rosbag_writer import Message, write_bag
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.request import Request, Roi
from dope_ros2.tracking.kalman_filter import State
from dope_ros2.tracking.tracker import Memory, Smoothing, Track

SCHEMA = "dope-recording/1"
FORMER_SETTINGS = ("coarsely",)  # that older recordings hold, always at their default, and that mean nothing now
FACTS, PARAMETERS = "recording.json", "dope.yaml"  # beside the bag's own files


@dataclass(frozen=True, eq=False)
class Answer:
    """One image that was answered.

    Attributes:
        camera: topic of the image.
        image, answer: times of the two in the bag [ns].
        depth: that of the depth image that served; None: none did.
        request: what was asked.
        before: what the tracker knew; None: what it knew after the answer before.
    """

    camera: str
    image: int
    depth: int | None
    answer: int
    request: Request
    before: Memory | None = None


class Topics(NamedTuple):
    """What belongs to a topic of images: camera_info and, where it is used, depth."""

    info: str
    depth: str | None = None


@dataclass(frozen=True, eq=False)
class Recording:
    """What is to be known about the bag.

    Attributes:
        weights, sha256: path and checksum of the weights file.
        models: the objects that the weights know.
        cameras: topics that belong to each topic of images.
        detections: topic of the answers.
        answers: in their order.
        engine: name of what ran the network.
        version: of the package.
    """

    weights: str
    sha256: str
    models: list[ObjectModel]
    cameras: dict[str, Topics]
    detections: str
    answers: list[Answer] = field(default_factory=list)
    engine: str = ""
    version: str = __version__

    @property
    def topics(self) -> list[str]:
        """All that are needed."""
        others = (topic for topics in self.cameras.values() for topic in topics if topic)
        return [*self.cameras, *others, self.detections]


def write(folder: Path, name: str, messages: Iterable[Message], recording: Recording, parameters: dict) -> Path:
    """Write a bag with its facts; it gets its name when it is complete.

    Args:
        folder: where; it is made when it is not there.
        name: of the bag; a number is added when there is such a one.
        messages: of the bag.
        recording: its facts.
        parameters: the node's, by name.

    Returns:
        The bag's folder.

    Raises:
        UserError: no room, no permission, or rosbags is missing.
    """
    try:
        names = (name if n == 1 else f"{name}-{n}" for n in count(1))
        target = next(folder / free for free in names if not (folder / free).exists())
        with files.replacing(target) as path:
            write_bag(path, messages)
            files.write_json(path / FACTS, _to_json(recording), indent=None)
            files.write_text(path / PARAMETERS, yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
    except files.WriteError as error:
        raise UserError(
            f"{folder}: a recording cannot be written ({error.reason}); set record_folder, or make room"
        ) from error
    return target


def read(path: Path) -> Recording:
    """The facts of a recording.

    Raises:
        UserError: it is none, or damaged.
    """
    file = path / FACTS
    if not file.is_file():
        raise UserError(
            f"{path}: no recording of the node's service ~/record, which has a {FACTS}; "
            "`dope predict` shows what is found in any bag"
        )
    try:
        entry = json.loads(file.read_text())
        schema = entry.pop("schema")
        if schema != SCHEMA:
            raise UserError(f"{file}: is {schema!r}, this version {__version__} reads {SCHEMA!r}")
        models = [ObjectModel.from_dict(name, fields, file) for name, fields in entry.pop("objects").items()]
        answers = [_answer(fields, {model.name: model for model in models}) for fields in entry.pop("answers")]
        cameras = {topic: Topics(**others) for topic, others in entry.pop("cameras").items()}
        return Recording(models=models, answers=answers, cameras=cameras, **entry)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{file}: damaged ({error!r}); get the recording again") from error


def _to_json(recording: Recording) -> dict:
    facts = {key: getattr(recording, key) for key in ("version", "engine", "weights", "sha256", "detections")}
    objects = {model.name: asdict(model) | {"mesh": _mesh(model)} for model in recording.models}
    for fields in objects.values():
        del fields["name"], fields["source"]
    cameras = {topic: others._asdict() for topic, others in recording.cameras.items()}
    answers = []
    for answer in recording.answers:
        before = None if answer.before is None else _memory_to_json(answer.before)
        answers.append({**vars(answer), "request": asdict(answer.request), "before": before})
    return {"schema": SCHEMA, **facts, "cameras": cameras, "objects": objects, "answers": answers}


def _mesh(model: ObjectModel) -> str | None:
    """The mesh as it is found from anywhere on this machine; where it is not found, as it stands in objects.yaml."""
    try:
        path = model.mesh_path.resolve()
    except UserError:
        return model.mesh
    return model.mesh if model.mesh.startswith("package://") else str(path)


def _memory_to_json(memory: Memory) -> dict:
    now = memory.now if np.isfinite(memory.now) else None
    return {"now": now, "tracks": [_track_to_json(track) for track in memory.tracks]}


def _track_to_json(track: Track) -> dict:
    """Everything that later answers depend on; of the newest detection these are class and score."""
    return {
        "class": track.last.model.name,
        "score": float(track.last.score),
        "number": track.number,
        "seen": track.seen,
        "pose": track.state.pose.matrix.tolist(),
        "velocity": track.state.velocity.tolist(),
        "covariance": track.state.covariance.tolist(),
        "drift": track.drift.tolist(),
        "against": track.against,
        "times": track.times,
    }


def _answer(entry: dict, models: dict[str, ObjectModel]) -> Answer:
    request, before = entry["request"], entry["before"]
    chosen = {key: value for key, value in request["settings"].items() if key not in FORMER_SETTINGS}
    settings = Settings(**{**chosen, "objects": tuple(chosen["objects"])})
    smoothing = request["smoothing"] and Smoothing(**request["smoothing"])
    if before is not None:
        now = -np.inf if before["now"] is None else before["now"]
        before = Memory(now, tuple(_track(fields, models) for fields in before["tracks"]))
    places = tuple(ObjectRegion(*place) for place in request.get("places", ()))
    below = request.get("coast_below_min_score", True)  # as every node did before there was such a parameter
    asked = Request(settings, Roi(**request["roi"]), smoothing, request["follow"], places, below)
    return Answer(**{**entry, "request": asked, "before": before})


def _track(entry: dict, models: dict[str, ObjectModel]) -> Track:
    pose, covariance = Pose.from_matrix(entry["pose"]), np.array(entry["covariance"])
    state = State(pose, np.array(entry["velocity"]), covariance)
    last = Detection(models[entry["class"]], entry["score"], pose, covariance[:6, :6])
    rest = {key: entry[key] for key in ("number", "seen", "against", "times")}
    return Track(last=last, state=state, expected=state, drift=np.array(entry["drift"]), **rest)
