"""Bodies that fall, come to rest, or tumble about; the only file that knows the physics engine. World: z up."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import pip_install
from dope_ros2.geometry.pose import Pose

TIME_STEP = 1 / 240  # [s]
SLOW, SLOW_TURN = 0.01, 0.05  # [m/s] and [rad/s]: below both a body counts as resting
MAX_FALL_TIME = 8.0  # [s] of falling; then everything is slowed down and given as long again
DAMPED = 3  # times that is tried, each with ten times the damping
LOST = -0.2  # [m] below the ground: fell off
BETWEEN = 0.4  # [s] from one batch to the next
PUSH, TWIST = 10.0, 0.05  # [N], [N m]: largest random force and torque along each axis
PUSHED = 0.01  # probability in each step
HULL_DIRECTIONS = 64
_lists: dict[bytes, list[list[float]]] = {}  # corners of hulls, by their points


class UnsettledError(UserError):
    """Something does not come to rest."""


@dataclass(frozen=True, eq=False)
class Falling:
    """A body before it falls.

    Attributes:
        points: (N, 3) corners of its hull in its own frame.
        pose: T_world_body.
        scale: factors along its axes, to [m].
        mass: [kg].
    """

    points: np.ndarray
    pose: Pose
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    mass: float = 0.2


@dataclass(frozen=True, eq=False)
class Slab:
    """A box that stays where it is: half its edges (3,) [m] and T_world_slab."""

    half: tuple[float, float, float]
    pose: Pose


def table(half: tuple[float, float]) -> list[Slab]:
    """A table whose top is z = 0; `half` its edges along x and y [m]."""
    return [Slab((*half, 0.05), Pose(np.eye(3), np.array([0, 0, -0.05])))]


def hull(points: np.ndarray) -> np.ndarray:
    """At most 64 of the points (N, 3): the farthest along directions all around; few corners make fast contacts."""
    k = np.arange(HULL_DIRECTIONS) + 0.5
    z, turn = 1 - 2 * k / HULL_DIRECTIONS, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - z * z)
    directions = np.column_stack([ring * np.cos(turn), ring * np.sin(turn), z])
    return points[np.unique((points @ directions.T).argmax(0))]


def settle(bodies: list[Falling], fixed: list[Slab], batch: int = 1) -> list[Pose]:
    """Drop convex bodies one batch after the other until all rest; returns T_world_body of each.

    Args:
        bodies: in the order in which they fall; heights in their poses are above what lies there already.
        fixed: what they fall on; what falls off is far below the ground in the end.
        batch: how many are let go at once.

    Raises:
        UnsettledError: something still moves after the last try.
        UserError: pybullet is not installed.
    """
    with _world(fixed) as world:
        world.setGravity(0, 0, -9.81)
        ids: list[int] = []
        for start in range(0, len(bodies), batch):
            ids += [_add(world, body) for body in bodies[start : start + batch]]
            _run(world, ids, BETWEEN)
        for attempt in range(DAMPED + 1):
            if _run(world, ids, MAX_FALL_TIME):
                return [_pose(world, number) for number in ids]
            for number in ids:
                world.changeDynamics(number, -1, linearDamping=0.04 * 10**attempt, angularDamping=0.04 * 10**attempt)
    raise UnsettledError(
        f"settle: of {len(bodies)} bodies some still move faster than {SLOW} m/s or {SLOW_TURN} rad/s after "
        f"{MAX_FALL_TIME * (DAMPED + 1):.0f} s; use fewer bodies (nb_objects, nb_distractors), a larger surface, "
        "or another mode (modes)"
    )


def tumble(
    rng: np.random.Generator, bodies: list[Falling], fixed: list[Slab], frames: int, skip: int
) -> list[list[Pose]]:
    """Bodies without weight between walls, pushed at random; returns T_world_body of each in each frame.

    Args:
        rng: of the pushes.
        bodies: where they start.
        fixed: the walls.
        frames: how many.
        skip: steps of 1/240 s between them.

    Raises:
        UserError: pybullet is not installed.
    """
    with _world(fixed) as world:
        ids = [_add(world, body, restitution=0.6) for body in bodies]
        for number in ids:
            world.changeDynamics(number, -1, linearDamping=0.05, angularDamping=0.05)
            world.resetBaseVelocity(number, rng.normal(0, 0.3, 3).tolist(), rng.normal(0, 2.0, 3).tolist())
        seen = []
        for _ in range(frames):
            for _ in range(skip):
                for index in np.flatnonzero(rng.random(len(ids)) < PUSHED):
                    _push(world, rng, ids[index])
                world.stepSimulation()
            seen.append([_pose(world, number) for number in ids])
        return seen


def _push(world: object, rng: np.random.Generator, number: int) -> None:
    at = world.getBasePositionAndOrientation(number)[0]
    world.applyExternalForce(number, -1, rng.uniform(-PUSH, PUSH, 3).tolist(), at, world.WORLD_FRAME)
    world.applyExternalTorque(number, -1, rng.uniform(-TWIST, TWIST, 3).tolist(), world.WORLD_FRAME)


@contextmanager
def _world(fixed: list[Slab]) -> Iterator[object]:
    try:
        with _silence():
            import pybullet
            from pybullet_utils.bullet_client import BulletClient
    except ImportError as error:
        raise UserError(f"physics needs the Python package pybullet: {pip_install('pybullet')}") from error
    with _silence():  # the engine greets on standard output
        world = BulletClient(pybullet.DIRECT)
    try:
        world.setTimeStep(TIME_STEP)
        for slab in fixed:
            shape = world.createCollisionShape(pybullet.GEOM_BOX, halfExtents=list(slab.half))
            number = world.createMultiBody(0, shape, -1, slab.pose.translation.tolist(), slab.pose.quaternion.tolist())
            world.changeDynamics(number, -1, lateralFriction=0.8)
        yield world
    finally:
        world.disconnect()


@contextmanager
def _silence() -> Iterator[None]:
    """Send what a library writes to this process's standard output and error nowhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept, nowhere = [os.dup(1), os.dup(2)], os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        yield
    finally:
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


def _add(world: object, body: Falling, restitution: float = 0.05) -> int:
    shape = world.createCollisionShape(world.GEOM_MESH, vertices=_vertices(body.points), meshScale=list(body.scale))
    position, turn = body.pose.translation.tolist(), body.pose.quaternion.tolist()
    number = world.createMultiBody(body.mass, shape, basePosition=position, baseOrientation=turn)
    world.changeDynamics(
        number, -1, lateralFriction=0.7, rollingFriction=0.002, spinningFriction=0.002, restitution=restitution
    )
    return number


def _vertices(points: np.ndarray) -> list[list[float]]:
    """The corners of a body's hull; the same list each time, for the engine never lets go of any it was given."""
    key = np.ascontiguousarray(points).tobytes()
    if key not in _lists:
        _lists[key] = _outermost(points).tolist()
    return _lists[key]


def _outermost(points: np.ndarray) -> np.ndarray:
    """The corners of a convex hull; all points of what is flat, such as a sheet of paper."""
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:
        return points


def _run(world: object, ids: list[int], seconds: float) -> bool:
    """Step until everything rests, at most `seconds`; says whether everything rests."""
    for step in range(round(seconds / TIME_STEP)):
        world.stepSimulation()
        if step % 24 == 23 and all(_rests(world, number) for number in ids):
            return True
    return all(_rests(world, number) for number in ids)


def _rests(world: object, number: int) -> bool:
    linear, angular = world.getBaseVelocity(number)
    fallen = world.getBasePositionAndOrientation(number)[0][2] < LOST
    return fallen or (np.linalg.norm(linear) < SLOW and np.linalg.norm(angular) < SLOW_TURN)


def _pose(world: object, number: int) -> Pose:
    # The hull's frame is the body's: pybullet keeps the base frame at the origin of the vertices.
    position, turn = world.getBasePositionAndOrientation(number)
    return Pose.from_quaternion(np.array(turn), np.array(position))
