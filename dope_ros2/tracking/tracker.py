"""Detections over time: the same instance keeps its name, its pose is filtered, and a short absence is bridged."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from dope_ros2.geometry.pose import Pose, transport_covariance
from dope_ros2.objects.detection import Detection, no_keypoints
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.objects.symmetry import group, nearest
from dope_ros2.tracking.kalman_filter import CALM_ACCELERATION, INITIAL_VELOCITY_SIGMA, MANOEUVRE_FACTOR, State

ASSOCIATION_RADIUS, MAX_ASSOCIATION_DISTANCE = (
    0.6,
    3.0,
)  # of the diameter: so near to where it is expected an instance is taken for the same, or never
IMPOSSIBLE_COST = 1e3
ASSOCIATION_SIGMAS = 4.0  # standard deviations of its place, the same between the two
EXPECTED_SURPRISE, SURPRISE_SCALE = (
    14.0,
    8.0,
)  # squared Mahalanobis distance above which a velocity wanders more, and how fast more
ROTATION_GATE = 16.3  # the same of a rotation, 3 degrees of freedom
SURPRISE_SMOOTHING = 0.3  # weight of the newest surprise in their running mean
MIN_CONSISTENT_FRAMES = 3  # rotations that disagree in a row and are believed nevertheless
MIN_SIGHTINGS = 3  # times seen, from which on a track is bridged when it is not
UNKNOWN_ROTATION_VARIANCE = np.pi**2  # variance of a rotation that is not believed [rad^2]
MIN_VARIANCE = 1e-12  # variance added to every measurement, so that a covariance of zeros does no harm [m^2, rad^2]


@dataclass(frozen=True)
class Smoothing:
    """What a user may change while it runs.

    Attributes:
        strength: 0 leaves poses as they are measured, 1 suits what mostly stands still, 2 lets it move half as much.
        coast: an object that is not seen is still reported for so long [s].
        max_age: after so long without being seen it is forgotten, and its number is free [s].
        at_rest: it is known that nothing moves.
    """

    strength: float = 1.0
    coast: float = 0.3
    max_age: float = 2.0
    at_rest: bool = False

    @property
    def wander(self) -> np.ndarray:
        """(6,) what velocities wander in a second."""
        return CALM_ACCELERATION / max(self.strength, 1e-2) * (not self.at_rest)

    @property
    def fastest(self) -> np.ndarray:
        """(6,) standard deviation of a velocity of which nothing is known yet."""
        return INITIAL_VELOCITY_SIGMA * (not self.at_rest)


@dataclass(eq=False)
class Track:
    """One instance.

    Attributes:
        number: of its class, from 0.
        last: the newest detection, as measured.
        seen: when that was [s].
        state: at that time, with it.
        expected: the state now.
        drift: (6,) running mean of the surprises.
        against: how many rotations in a row have disagreed.
        times: it was seen.
    """

    number: int
    last: Detection
    seen: float
    state: State
    expected: State
    drift: np.ndarray = field(default_factory=lambda: np.zeros(6))
    against: int = 0
    times: int = 1


@dataclass(frozen=True, eq=False)
class Memory:
    """What a tracker knows at one moment.

    Attributes:
        now: stamp of its newest image [s]; -inf before the first.
        tracks: that there are.
    """

    now: float = -np.inf
    tracks: tuple[Track, ...] = ()


class Tracker:
    """Names the detections of one camera, frame by frame."""

    def __init__(self, models: Iterable[ObjectModel]) -> None:
        self._groups = {model.name: group(model) for model in models}
        self.recall(Memory())

    def reset(self) -> None:
        """Forget everything."""
        self.recall(Memory())

    def memory(self) -> Memory:
        """What is known now, which later images do not change."""
        return Memory(self._now, tuple(map(copy, self._tracks)))

    def recall(self, memory: Memory) -> None:
        """Know this and nothing else."""
        self._now, self._tracks = memory.now, list(map(copy, memory.tracks))

    def sees_all(self, searched: float) -> bool:
        """Whether a track was seen in the newest image, and each other one was missing in a search at this time [s]."""
        seen = [track.seen for track in self._tracks]
        return self._now in seen and all(at == self._now or at < searched for at in seen)

    def expected(self, time: float, smoothing: Smoothing) -> list[tuple[ObjectModel, Pose]]:
        """Where the tracks will be in an image of this stamp [s], T_camera_object."""
        states = [(track.last.model, track.state, time - track.seen) for track in self._tracks]
        return [(model, state.after(since, smoothing.wander).pose) for model, state, since in states]

    def __call__(self, detections: list[Detection], time: float, smoothing: Smoothing | None = None) -> list[Detection]:
        """The detections of one image with their tracks' names and filtered poses, and those of objects not seen now.

        Args:
            detections: of all objects.
            time: the image's stamp [s]; when it goes back, everything is forgotten.
            smoothing: how; the defaults if None.

        Returns:
            Detections, best first. What is only remembered has no keypoints, a wider covariance and a lower score.
        """
        smoothing = smoothing or Smoothing()
        if time < self._now:
            self.reset()
        self._now = time
        self._tracks = [track for track in self._tracks if time - track.seen <= smoothing.max_age]
        for track in self._tracks:
            track.expected = track.state.after(time - track.seen, smoothing.wander)
        for track, detection in self._pairs(detections):
            if track is None:
                self._begin(detection, smoothing)
            else:
                self._take(track, detection, smoothing)
        bridged = smoothing.coast if smoothing.strength else 0.0
        shown = [t for t in self._tracks if t.seen == time or (t.times >= MIN_SIGHTINGS and time - t.seen <= bridged)]
        return sorted((self._told(track, smoothing) for track in shown), key=lambda d: -d.score)

    def _pairs(self, detections: list[Detection]) -> list[tuple[Track | None, Detection]]:
        """Each detection, best first, with the track it belongs to; the distances of all are least together."""
        detections = sorted(detections, key=lambda d: -d.score)
        cost = np.full((len(detections), len(self._tracks)), IMPOSSIBLE_COST)
        for i, j in np.ndindex(cost.shape):
            cost[i, j] = min(IMPOSSIBLE_COST, _distance(self._tracks[j], detections[i]))
        belongs = {i: self._tracks[j] for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] <= 1}
        return [(belongs.get(i), detection) for i, detection in enumerate(detections)]

    def _take(self, track: Track, detection: Detection, smoothing: Smoothing) -> None:
        """Let a track have its detection.

        A rotation that disagrees is not believed at first, since a wrong one is more likely than a sudden turn.
        """
        expected, since = track.expected, self._now - track.seen
        pose, covariance = self._measured(detection, expected.pose)
        track.last, track.seen, track.times = detection, self._now, track.times + 1
        track.against = track.against + 1 if expected.turned(pose, covariance) > ROTATION_GATE else 0
        if track.against >= MIN_CONSISTENT_FRAMES:
            track.state = track.expected = State.first(pose, covariance, smoothing.fastest)
            track.drift, track.against = np.zeros(6), 0
            return
        if track.against:
            pose, covariance = _without_turn(pose, covariance, expected.pose)
        track.drift = (1 - SURPRISE_SMOOTHING) * track.drift + SURPRISE_SMOOTHING * expected.surprise(pose, covariance)
        surprise = track.drift @ track.drift * (2 - SURPRISE_SMOOTHING) / SURPRISE_SMOOTHING
        if surprise > EXPECTED_SURPRISE:  # the more, the more it has begun to move
            haste = min(MANOEUVRE_FACTOR, (surprise / EXPECTED_SURPRISE) ** SURPRISE_SCALE)
            expected = track.state.after(since, haste * smoothing.wander)
        track.state = track.expected = expected.seen(pose, covariance)

    def _measured(self, detection: Detection, expected: Pose) -> tuple[Pose, np.ndarray]:
        """Pose and covariance of a detection, the pose as it lies nearest among those that look the same."""
        pose = nearest(detection.pose, expected, detection.model, self._groups[detection.model.name])
        covariance = transport_covariance(
            np.asarray(detection.covariance, float), pose.translation - detection.pose.translation
        )
        return pose, covariance + MIN_VARIANCE * np.eye(6)

    def _begin(self, detection: Detection, smoothing: Smoothing) -> None:
        taken = {track.number for track in self._tracks if track.last.model.name == detection.model.name}
        number = next(n for n in range(len(taken) + 1) if n not in taken)
        covariance = np.asarray(detection.covariance, float) + MIN_VARIANCE * np.eye(6)
        state = State.first(detection.pose, covariance, smoothing.fastest)
        self._tracks.append(Track(number, detection, self._now, state, state))

    def _told(self, track: Track, smoothing: Smoothing) -> Detection:
        """What is published of a track."""
        seen, age = replace(track.last, track=f"{track.last.model.name}_{track.number}"), self._now - track.seen
        if smoothing.strength == 0:
            return seen
        filtered = replace(seen, pose=track.expected.pose, covariance=track.expected.covariance[:6, :6])
        if age == 0:
            return filtered
        score = seen.score * (1 - age / (2 * smoothing.coast))
        return replace(filtered, score=score, keypoints=no_keypoints(), unseen_for=age)


def _distance(track: Track, detection: Detection) -> float:
    """How far a detection's centre is from where a track's is expected; from 1 on it is another instance."""
    model = detection.model
    if model.name != track.last.model.name:
        return IMPOSSIBLE_COST
    away = detection.pose.apply(model.centre) - track.expected.pose.apply(model.centre)
    length = float(np.linalg.norm(away)) / model.diameter
    if length > MAX_ASSOCIATION_DISTANCE:
        return IMPOSSIBLE_COST
    spread = track.expected.covariance[:3, :3] + np.asarray(detection.covariance, float)[:3, :3]
    deviations = np.sqrt(max(0.0, away @ np.linalg.solve(spread + MIN_VARIANCE * np.eye(3), away)))
    return min(length / ASSOCIATION_RADIUS, deviations / ASSOCIATION_SIGMAS)


def _without_turn(pose: Pose, covariance: np.ndarray, expected: Pose) -> tuple[Pose, np.ndarray]:
    """The measurement of a place alone."""
    place = np.zeros((6, 6))
    place[:3, :3], place[3:, 3:] = covariance[:3, :3], UNKNOWN_ROTATION_VARIANCE * np.eye(3)
    return Pose(expected.rotation, pose.translation), place
