"""Where things are: floating anywhere in view, or standing on a table. Frames: camera optical; world z is up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose

MIN_CAMERA_DISTANCE = 0.12  # [m] from the camera to anything
MAX_TRIES = 15


class Spot(NamedTuple):
    """A place for a body: T_camera_body and the factor on its mesh."""

    pose: Pose
    size: float = 1.0


class Placed(NamedTuple):
    """What is there already: centre (3,) [m], radius [m]."""

    centre: np.ndarray
    radius: float


@dataclass
class Placement:
    """Common to both ways: the camera, how large targets appear, and what has been placed.

    Attributes:
        upright: (3, 3) R_camera_world; world z is against gravity.
        reach: how far things lie from each other [m].
    """

    camera: CameraModel
    size_px: tuple[float, float]
    upright: np.ndarray
    reach: float = 1.0
    targets: list[Placed] = field(default_factory=list)
    others: list[Placed] = field(default_factory=list)

    def is_free(self, centre: np.ndarray, radius: float) -> bool:
        """Whether a ball would hardly touch what is there; bounding spheres are generous, so they may overlap."""
        placed = self.targets + self.others
        return all(np.linalg.norm(centre - p.centre) > 0.75 * (radius + p.radius) for p in placed)

    def point(self, rng: np.random.Generator, depth: float, margin: float = 0.05) -> np.ndarray:
        """A point (3,) at a depth, seen inside the image or up to `margin` of it outside."""
        size = np.array([self.camera.width, self.camera.height])
        return self.camera.unproject(rng.uniform(-margin, 1 + margin, 2) * size, depth)

    def depth_for(self, rng: np.random.Generator, diameter: float, size_px: tuple[float, float]) -> float:
        """The depth [m] at which a diameter [m] spans a length drawn log-uniformly from `size_px`."""
        pixels = np.exp(rng.uniform(*np.log(size_px)))
        return float(self.camera.K[0, 0] * diameter / pixels)

    def ground(self, rng: np.random.Generator, extent: np.ndarray) -> Spot:
        """Where the table is."""
        raise NotImplementedError


class Floating(Placement):
    """Anything anywhere, rotations uniform in SO(3); distractors behind, beside and in front of targets."""

    def target(self, rng: np.random.Generator, edges: np.ndarray, centre: np.ndarray) -> Spot | None:
        """Place a known object of bounding-box `edges` (3,) around `centre` (3,) [m]."""
        diameter = float(np.linalg.norm(edges))
        for _ in range(MAX_TRIES):
            depth = self.depth_for(rng, diameter, self.size_px)
            at = self.point(rng, depth)
            if depth - diameter / 2 > MIN_CAMERA_DISTANCE and self.is_free(at, diameter / 2):
                self.targets.append(Placed(at, diameter / 2))
                R = Pose.random(rng).rotation
                return Spot(Pose(R, at - R @ centre))
        return None

    def distractor(self, rng: np.random.Generator, edges: np.ndarray, has_targets: bool) -> Spot | None:
        """Place an unknown thing of relative `edges` (3,), and choose its size."""
        for _ in range(MAX_TRIES):
            at, diameter = self._beside(rng) if has_targets and rng.random() < 0.55 else self._anywhere(rng)
            if at[2] - diameter / 2 > MIN_CAMERA_DISTANCE and self.is_free(at, 0.45 * diameter):
                self.others.append(Placed(at, 0.45 * diameter))
                return Spot(Pose(Pose.random(rng).rotation, at), diameter / float(np.linalg.norm(edges)))
        return None

    def _anywhere(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        diameter = float(np.exp(rng.uniform(*np.log([0.04, 0.45]))))
        depth = self.depth_for(rng, diameter, (25, 320))
        return self.point(rng, depth, 0.15), diameter

    def _beside(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Near a target, in half of the cases between it and the camera."""
        near = self.targets[rng.integers(len(self.targets))]
        diameter = near.radius * rng.uniform(0.3, 1.8)
        around = rng.normal(size=3)
        offset = around / np.linalg.norm(around) * (near.radius + 0.5 * diameter) * rng.uniform(0.75, 1.5)
        if rng.random() < 0.5:
            closer = rng.uniform(0.35, 0.9)
            aside = rng.normal(size=2) * near.radius * 0.6
            return near.centre * closer + [*(aside * closer), 0.0], diameter * closer
        return near.centre + offset, diameter


class Standing(Placement):
    """Things resting on a plane through `anchor`, on one of six faces, turned freely about the vertical."""

    anchor: np.ndarray = np.zeros(3)

    def target(self, rng: np.random.Generator, edges: np.ndarray, centre: np.ndarray) -> Spot | None:
        """Place a known object of bounding-box `edges` (3,) around `centre` (3,) [m]."""
        if not self.targets:
            self._look(rng, float(np.linalg.norm(edges)))
        found = self._rest(rng, edges, float(np.max(edges)), self.targets)
        if found is None:
            return None
        R, at = found
        self.targets.append(Placed(at, 0.5 * _width(edges)))
        return Spot(Pose(R, at - R @ centre))

    def distractor(self, rng: np.random.Generator, edges: np.ndarray, has_targets: bool) -> Spot | None:
        """Place an unknown thing of relative `edges` (3,), and choose its size."""
        if not self.targets and not self.others:
            self._look(rng, 0.2)
        diameter = float(np.exp(rng.uniform(*np.log([0.04, 0.35]))))
        size = diameter / float(np.linalg.norm(edges))
        found = self._rest(rng, edges * size, diameter, self.targets + self.others)
        if found is None:
            return None
        self.others.append(Placed(found[1], 0.5 * _width(edges * size)))
        return Spot(Pose(*found), size)

    def ground(self, rng: np.random.Generator, extent: np.ndarray) -> Spot:
        """The table's top, somewhere under the things; its edges may be in view."""
        slack = np.maximum(extent / 2 - self.reach, 0)
        shift = np.append(rng.uniform(-slack, slack), 0.0)
        turn = Rotation.from_euler("z", rng.uniform(0, 2 * np.pi)).as_matrix()
        R = self.upright @ turn
        return Spot(Pose(R, self.anchor + R @ shift))

    def _look(self, rng: np.random.Generator, diameter: float) -> None:
        """Choose the plane's distance, so that something of this diameter has the wanted size."""
        depth = max(self.depth_for(rng, diameter, self.size_px), MIN_CAMERA_DISTANCE + diameter)
        self.anchor = self.point(rng, depth, -0.22)
        self.reach = float(np.clip(0.32 * depth * self.camera.width / self.camera.K[0, 0], 1.2 * diameter, 1.0))

    def _rest(
        self, rng: np.random.Generator, edges: np.ndarray, size: float, near: list[Placed]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """A rotation (3, 3) and centre (3,) of a box that stands free; in four of ten cases close to another thing."""
        for _ in range(MAX_TRIES):
            R_world_body = _resting(rng)
            height = float(np.abs(R_world_body[2]) @ edges)
            spread = rng.normal(size=2) * self.reach * 0.55
            if near and rng.random() < 0.4:
                spread = self._around(rng, near[rng.integers(len(near))], size)
            at = self.anchor + self.upright @ np.append(spread, height / 2)
            in_view = at[2] - size > MIN_CAMERA_DISTANCE
            if in_view and self.is_free(at, 0.5 * _width(edges)):
                return self.upright @ R_world_body, at
        return None

    def _around(self, rng: np.random.Generator, other: Placed, size: float) -> np.ndarray:
        """A place (2,) on the plane next to another thing, relative to the anchor."""
        base = (self.upright.T @ (other.centre - self.anchor))[:2]
        angle = rng.uniform(0, 2 * np.pi)
        return base + np.array([np.cos(angle), np.sin(angle)]) * (other.radius + size / 2) * rng.uniform(0.75, 1.2)


def _width(edges: np.ndarray) -> float:
    """A ball that stands for a box: between its inner and outer one [m]."""
    return float(0.6 * np.linalg.norm(edges) + 0.4 * np.median(edges))


def _resting(rng: np.random.Generator) -> np.ndarray:
    """A rotation (3, 3) that puts one of six faces down, with any yaw."""
    axes = np.eye(3)[rng.permutation(3)] * rng.choice([-1.0, 1.0], (3, 1))
    axes[0] *= np.sign(np.linalg.det(axes))
    return Rotation.from_euler("z", rng.uniform(0, 2 * np.pi)).as_matrix() @ axes


def looking(elevation: float, roll: float) -> np.ndarray:
    """R_camera_world (3, 3) of a camera that looks down by `elevation` and is rolled [rad]; world z up."""
    c, s = np.cos(elevation), np.sin(elevation)
    # Rows are the camera's axes in the world: x right, y down, z forward; the camera looks along +y at elevation 0.
    axes = np.array([[1, 0, 0], [0, -s, -c], [0, c, -s]])
    return Rotation.from_euler("z", roll).as_matrix() @ axes


def floating(rng: np.random.Generator, camera: CameraModel, size_px: tuple[float, float]) -> Floating:
    """Start an empty scene without a table."""
    upright = looking(rng.uniform(-0.3, 1.2), rng.normal(0, 0.3))
    return Floating(camera, size_px, upright)


def standing(rng: np.random.Generator, camera: CameraModel, size_px: tuple[float, float]) -> Standing:
    """Start an empty scene with a table seen from 10 to 75 degrees above."""
    return Standing(camera, size_px, looking(np.deg2rad(rng.uniform(10, 75)), rng.normal(0, 0.1)))
