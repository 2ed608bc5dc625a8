"""Where cameras stand: outside of everything, with what they look at in sight and in the image. World frame: z up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from scipy.spatial.transform import Rotation

from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.placement import looking
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose

MIN_BODY_DISTANCE = 0.08  # [m] from the camera to any body
MAX_TRIES = 40
MIN_FREE_SHARE = 0.5  # share of the way to the target: what is in the way before would hide most of the image
BESIDE = 0.05  # [m], deviation of where the camera looks from a target's centre


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes in the world.

    Attributes:
        centres: (N, 3) [m].
        rotations: (N, 3, 3) R_world_box.
        halves: (N, 3) half edges [m].
    """

    centres: np.ndarray
    rotations: np.ndarray
    halves: np.ndarray

    @classmethod
    def of(cls, bounds: Sequence[tuple[np.ndarray, np.ndarray, Pose]]) -> Self:
        """Boxes from their lowest and highest corners (3,) in their own frames [m], with T_world_box."""
        centres = np.array([pose.apply((low + high) / 2) for low, high, pose in bounds]).reshape(-1, 3)
        rotations = np.array([pose.rotation for _, _, pose in bounds]).reshape(-1, 3, 3)
        return cls(centres, rotations, np.array([(high - low) / 2 for low, high, _ in bounds]).reshape(-1, 3))

    @property
    def radii(self) -> np.ndarray:
        """Radii (N,) of the balls around them [m]."""
        return np.linalg.norm(self.halves, axis=1)

    def away(self, point: np.ndarray) -> np.ndarray:
        """Distances (N,) to a point (3,) [m], 0 inside."""
        return np.linalg.norm(np.maximum(np.abs(self._within(point)) - self.halves, 0), axis=1)

    def entered(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """The share (N,) of the way between two points (3,) that lies before each box.

        It is infinite for boxes that are not in the way, and for those that hold the end.
        """
        at, to = self._within(start), self._within(end)
        way = np.where(to == at, 1e-12, to - at)
        faces = np.stack([(-self.halves - at) / way, (self.halves - at) / way])  # (2, N, 3), shares of the way
        enter, leave = faces.min(0).max(1), faces.max(0).min(1)
        in_the_way = (enter <= leave) & (leave >= 0) & (enter <= 1) & (np.abs(to) > self.halves).any(1)
        return np.where(in_the_way, np.maximum(enter, 0), np.inf)

    def _within(self, point: np.ndarray) -> np.ndarray:
        """A point (3,) in the frame of each box, (N, 3), from its centre [m]."""
        return np.einsum("nij,ni->nj", self.rotations, point - self.centres)


class Drawbacks(NamedTuple):
    """What is wrong with a standpoint, the worst first."""

    inside: bool  # of a thing or a wall, or nearly
    hidden: bool  # the target: behind a wall, or behind something close to the camera
    outside: bool  # of the image: the target's centre


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What a camera finds in a world.

    Attributes:
        targets: (T, 3) centres of what it may look at [m]; at least one.
        things: the boxes around whatever lies there, targets too.
        walls: the boxes of what does not move.
    """

    targets: np.ndarray
    things: Boxes
    walls: Boxes

    def drawbacks(self, T_camera_world: Pose, camera: CameraModel, target: np.ndarray) -> Drawbacks:
        """Judge a standpoint from which a target's centre (3,) [m] is to be seen."""
        eye, seen = T_camera_world.inverse().translation, T_camera_world.apply(target)
        clear = (np.linalg.norm(eye - self.things.centres, axis=1) > self.things.radii + MIN_BODY_DISTANCE).all()
        inside = not (eye[2] > MIN_BODY_DISTANCE and clear and (self.walls.away(eye) > MIN_BODY_DISTANCE).all())
        walled = (self.walls.entered(eye, target) <= 1).any()
        hidden = walled or (self.things.entered(eye, target) < MIN_FREE_SHARE).any()
        return Drawbacks(bool(inside), bool(hidden), not _in_picture(camera, seen))


def standpoint(rng: np.random.Generator, config: DatagenConfig, camera: CameraModel, around: Surroundings) -> Pose:
    """T_camera_world of a camera in the near or the far shell around one of the targets.

    The first one without drawbacks, or the best of `MAX_TRIES`.
    """
    tried = []
    for _ in range(MAX_TRIES):
        T, target = _draw(rng, config, around.targets)
        tried.append((around.drawbacks(T, camera, target), T))
        if not any(tried[-1][0]):
            break
    return min(tried, key=lambda one: one[0])[1]


def _draw(rng: np.random.Generator, config: DatagenConfig, targets: np.ndarray) -> tuple[Pose, np.ndarray]:
    """T_camera_world of a camera anywhere in the shells, and the target (3,) that it looks at, or nearly."""
    shell = config.near if rng.random() < config.near_share else config.far
    R = looking(np.deg2rad(rng.uniform(*config.elevation)), rng.normal(0, 0.1))
    R = R @ Rotation.from_euler("z", rng.uniform(0, 2 * np.pi)).as_matrix()
    target = targets[rng.integers(len(targets))]
    look_at = target + rng.normal(0, BESIDE, 3)
    return Pose(R, np.array([0, 0, rng.uniform(*shell)]) - R @ look_at), target


def _in_picture(camera: CameraModel, point: np.ndarray) -> bool:
    """Whether a point (3,) of the optical frame [m] lies in the image."""
    if point[2] <= 0:
        return False
    u, v = camera.project(point)
    return bool(-0.5 <= u <= camera.width - 0.5 and -0.5 <= v <= camera.height - 0.5)
