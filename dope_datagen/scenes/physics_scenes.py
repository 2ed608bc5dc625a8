"""Scenes that physics arranges: many things settled on a surface or in a bin, or tumbling; seen by many cameras.

World frame: z up, the surface at z = 0. A tumbling world is the camera's own frame, turned so that z is up.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial.transform import Rotation

from dope_datagen.assets import primitives
from dope_datagen.assets.library import Assets
from dope_datagen.scenes.appearance import Looks, log_uniform, numbers, vary_texture
from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.placement import looking
from dope_datagen.scenes.scene import Body, Material, Scene
from dope_datagen.scenes.viewpoints import MIN_BODY_DISTANCE, Boxes, Surroundings, standpoint
from dope_datagen.simulation.physics import Falling, Slab, UnsettledError, hull, settle, table, tumble
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose

CROWD = 0.35  # share of the ground that things may cover when they are let fall
WALL = 0.02  # [m], thickness of a bin's
FLOOR = 12.0  # [m], edge of a floor
MIN_GROUND = 0.2  # [m], edge of the ground of nothing
DROP_BATCH = 8  # things fall at once
FALLS = 3  # times things are let fall anew until all rest
FALLEN_BELOW = -0.05  # [m]: lower things have fallen off
DISTRACTOR = (0.04, 0.25)  # [m], diameter
FIRST = 0.1  # [m] from the camera to a tumbling box's front


@dataclass(frozen=True, eq=False)
class Layout:
    """Things and where they are in each frame.

    Attributes:
        bodies: targets (with a name) first; their poses are to be replaced.
        poses: T_world_body, one list per frame; a settled world has one frame.
        scenery: ground and walls with their T_world_body.
        light: the light's part of a `Scene`, in the world's frame.
        backdrop: the backdrop's part of it.
        fixed_camera: T_camera_world of a world that turns around its camera, None where cameras are free.
    """

    bodies: list[Body]
    poses: list[list[Pose]]
    scenery: list[tuple[Body, Pose]]
    light: dict
    backdrop: dict
    fixed_camera: Pose | None = None


@dataclass
class PhysicsSceneSampler:
    """Makes worlds and looks at them as a configuration says.

    Attributes:
        meshes: keys of distractors, beside the shapes made here.
    """

    config: DatagenConfig
    assets: Assets
    looks: Looks
    meshes: list[str]
    _hulls: dict[str, np.ndarray] = field(default_factory=dict)

    def world(self, rng: np.random.Generator, mode: str) -> Layout:
        """Draw a world whose things settle or tumble."""
        things = self.things(rng)
        return self.settled(rng, things) if mode == "settle" else self.tumbling(rng, things)

    def things(self, rng: np.random.Generator) -> list[Body]:
        """The targets and distractors of a world, not placed yet; targets first."""
        config = self.config
        names = list(config.objects)
        weights = np.array([config.objects[name] for name in names])
        count = 0 if rng.random() < config.empty else int(rng.integers(config.nb_objects[0], config.nb_objects[1] + 1))
        chosen = rng.choice(len(names), count, p=weights / weights.sum())
        bodies = [Body(f"object:{names[k]}", (), (0, 0, 0), material=vary_texture(rng), name=names[k]) for k in chosen]
        others = int(rng.integers(config.nb_distractors[0], config.nb_distractors[1] + 1))
        return bodies + [self._distractor(rng) for _ in range(others)]

    def _distractor(self, rng: np.random.Generator) -> Body:
        own = bool(self.meshes) and rng.random() < 0.5
        key = self.meshes[rng.integers(len(self.meshes))] if own else str(rng.choice(primitives.DISTRACTORS))
        mesh = self.assets.mesh(key)
        size = log_uniform(rng, *DISTRACTOR) / float(np.linalg.norm(mesh.box.size))
        scale = numbers(size * (rng.uniform(0.7, 1.4, 3) if rng.random() < 0.5 else np.ones(3)))
        return Body(key, (), (0, 0, 0), scale, self.looks.coat(rng, mesh.texture is not None))

    def settled(self, rng: np.random.Generator, things: list[Body]) -> Layout:
        """Drop things on a table, a floor or into a bin; what falls off is left out."""
        kind = str(rng.choice(self.config.surfaces))
        areas = [float(np.prod(np.sort(self._edges(body))[1:])) for body in things]
        half = 0.5 * float(np.sqrt(max(sum(areas), MIN_GROUND**2) / CROWD)) * rng.uniform(0.8, 1.3, 2)
        extent = {"bin": 2 * half, "table": half * rng.uniform(2.2, 4.0), "floor": np.full(2, FLOOR)}[kind]
        fixed = table((float(extent[0]) / 2, float(extent[1]) / 2))
        material = self.looks.ground(rng, float(extent.max()))
        scenery = [(Body("plane", (), (0, 0, 0), (*numbers(extent), 1.0), material), Pose.identity())]
        if kind == "bin":
            walls = bin_walls((float(half[0]), float(half[1])), height=float(half.mean()) * rng.uniform(0.5, 0.9))
            fixed += walls
            scenery += self._boards(walls, self.looks.coat(rng, has_texture=False))
        resting = self._resting(rng, things, half, fixed)
        kept = sorted(resting)
        light = self.looks.light(rng, np.eye(3))
        backdrop = self.looks.backdrop(rng, light["environment"].startswith("file"))
        return Layout([things[k] for k in kept], [[resting[k] for k in kept]], scenery, light, backdrop)

    def _resting(self, rng: np.random.Generator, things: list[Body], half: np.ndarray, fixed: list[Slab]) -> dict:
        """T_world_body of the things, by number, that have not fallen off; all fall anew when some do not come to rest.

        Raises:
            UnsettledError: nor after the last fall.
        """
        for _ in range(FALLS - 1):
            with suppress(UnsettledError):
                return self._fallen(rng, things, half, fixed)
        return self._fallen(rng, things, half, fixed)

    def _fallen(self, rng: np.random.Generator, things: list[Body], half: np.ndarray, fixed: list[Slab]) -> dict:
        falling = [self._above(rng, body, half, k) for k, body in enumerate(things)]
        order = rng.permutation(len(things))
        poses = settle([falling[k] for k in order], fixed, batch=DROP_BATCH)
        return {int(k): pose for k, pose in zip(order, poses, strict=True) if pose.translation[2] > FALLEN_BELOW}

    def tumbling(self, rng: np.random.Generator, things: list[Body]) -> Layout:
        """Things without weight in a box that opens away from the camera, as DOPE's own generator makes them."""
        far, half = self.config.far[1], self.config.box_size
        upright = looking(rng.uniform(-0.3, 0.8), rng.normal(0, 0.2))  # R_camera_world
        low, high = np.array([-0.8 * half, -0.8 * half, 0.3 * far]), np.array([0.8 * half, 0.8 * half, 0.9 * far])
        start = [Falling(self._hull(b), Pose.random(rng, rng.uniform(low, high)), b.scale) for b in things]
        poses = tumble(rng, start, tumbling_walls(far, half), self.config.nb_frames, self.config.skip_frame)
        light = self.looks.light(rng, upright)
        backdrop = self.looks.backdrop(rng, light["environment"].startswith("file"))
        return Layout(things, poses, [], light, backdrop, fixed_camera=Pose.identity())

    def view(self, rng: np.random.Generator, world: Layout, frame: int) -> Scene:
        """The world's `frame` as a camera drawn with `rng` sees it."""
        config = self.config
        poses = world.poses[frame % len(world.poses)]
        camera = config.draw_camera(rng)
        T_camera_world = world.fixed_camera or standpoint(rng, config, camera, self.surroundings(world, poses))
        placed = [*zip(world.bodies, poses, strict=True), *world.scenery]
        bodies = [_seen(body, T_camera_world @ pose) for body, pose in placed]
        bodies = [body if body.name is None else self._target(body, camera) for body in bodies]
        R = T_camera_world.rotation
        lights = tuple(replace(light, direction=numbers(R @ light.direction)) for light in world.light["lights"])
        turn = np.array(world.light["environment_rotation"]).reshape(3, 3) @ R.T
        light = {**world.light, "lights": lights, "environment_rotation": numbers(turn.ravel())}
        return Scene(
            K=numbers(camera.K.ravel()),
            width=config.width,
            height=config.height,
            bodies=tuple(sorted(filter(None, bodies), key=lambda body: body.name is None)),
            **light,
            **world.backdrop,
        )

    def surroundings(self, world: Layout, poses: list[Pose]) -> Surroundings:
        """What stands around a camera in this world, with the things' T_world_body."""
        placed = list(zip(world.bodies, poses, strict=True))
        things, walls = (Boxes.of([self._bounds(*one) for one in part]) for part in (placed, world.scenery))
        named = [k for k, body in enumerate(world.bodies) if body.name is not None]
        return Surroundings(things.centres[named] if named else np.zeros((1, 3)), things, walls)

    def _bounds(self, body: Body, pose: Pose) -> tuple[np.ndarray, np.ndarray, Pose]:
        low, high = self.assets.mesh(body.mesh).box
        return low * np.array(body.scale), high * np.array(body.scale), pose

    def _boards(self, walls: list[Slab], material: Material) -> list[tuple[Body, Pose]]:
        """Walls as bodies."""
        edges = self.assets.mesh("cube").box.size
        return [(Body("cube", (), (0, 0, 0), numbers(2 * np.array(w.half) / edges), material), w.pose) for w in walls]

    def _above(self, rng: np.random.Generator, body: Body, half: np.ndarray, number: int) -> Falling:
        """A body before it falls: somewhere above the ground, those of one batch at different heights."""
        points = self._hull(body)
        R = Pose.random(rng).rotation
        height = 0.1 + 0.06 * (number % DROP_BATCH) - ((points * body.scale) @ R.T)[:, 2].min()
        return Falling(points, Pose(R, np.array([*(rng.uniform(-0.8, 0.8, 2) * half), height])), body.scale)

    def _hull(self, body: Body) -> np.ndarray:
        """Corners (N, 3) of a mesh's hull, without the body's scale."""
        if body.mesh not in self._hulls:
            self._hulls[body.mesh] = hull(self.assets.mesh(body.mesh).positions.astype(float))
        return self._hulls[body.mesh]

    def _edges(self, body: Body) -> np.ndarray:
        return self.assets.mesh(body.mesh).box.size * np.array(body.scale)

    def _target(self, body: Body, camera: CameraModel) -> Body | None:
        """A target as an image has it: without its name where it lies outside, for it may still cast a shadow.

        None where its box is not all in front of the camera: its keypoints have no place in the image.
        """
        mesh = self.assets.mesh(body.mesh)
        corners = np.array(np.meshgrid(*zip(*mesh.box, strict=True))).reshape(3, -1).T
        points = body.pose.apply(corners * body.scale)
        if (points[:, 2] <= MIN_BODY_DISTANCE / 2).any():
            return None
        low, high = (end(camera.project(points), axis=0) for end in (np.min, np.max))
        seen = (high > -0.5).all() and (low < np.array([camera.width, camera.height]) - 0.5).all()
        return body if seen else replace(body, name=None)


def bin_walls(half: tuple[float, float], height: float) -> list[Slab]:
    """Four walls around a ground of half edges `half` [m]."""
    walls = []
    for axis in range(2):
        for side in (-1, 1):
            at, reach = np.zeros(3), [0.0, 0.0, height / 2]
            at[axis], at[2] = side * (half[axis] + WALL / 2), height / 2
            reach[axis], reach[1 - axis] = WALL / 2, half[1 - axis] + WALL
            walls.append(Slab(tuple(reach), Pose(np.eye(3), at)))
    return walls


def tumbling_walls(far: float, half: float) -> list[Slab]:
    """Six walls in the camera's optical frame: front, back, and four that open by pi / 16."""
    thick = 0.25
    ends = [
        Slab((4.0, 4.0, thick), Pose(np.eye(3), np.array([0, 0, FIRST - thick]))),
        Slab((4.0, 4.0, thick), Pose(np.eye(3), np.array([0, 0, far + thick]))),
    ]
    sides = []
    for turn in range(4):
        about = Rotation.from_euler("zy", [turn * np.pi / 2, np.pi / 16]).as_matrix()
        at = Rotation.from_euler("z", turn * np.pi / 2).as_matrix() @ [half + thick, 0, 0]
        sides.append(Slab((thick, 4.0, 4.0), Pose(about, at)))
    return ends + sides


def _seen(body: Body, pose: Pose) -> Body:
    return replace(body, rotation=numbers(pose.rotation.ravel()), translation=numbers(pose.translation))
