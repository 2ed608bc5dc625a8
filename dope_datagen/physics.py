"""Letting things fall on a table and come to rest; the only file that knows the physics engine. World: z up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from dope_ros2.errors import UserError
from dope_ros2.geometry import Pose

STEP = 1 / 240  # [s]
SLOW = 0.01  # [m/s] and [rad/s]: below it a body counts as resting
LONGEST = 8.0  # [s]


@dataclass(frozen=True, eq=False)
class Falling:
    """A body before it falls: the corners (N, 3) of its hull in its own frame [m], T_world_body, mass [kg]."""

    points: np.ndarray
    pose: Pose
    mass: float = 0.2


def settle(bodies: list[Falling], half_table: tuple[float, float]) -> list[Pose]:
    """Drop convex bodies one after the other on a table whose top is z = 0; returns T_world_body of each at rest.

    Args:
        bodies: in the order in which they fall; heights in their poses are above what lies there already.
        half_table: half its edges along x and y [m]; what falls off is far below the table in the end.

    Raises:
        UserError: pybullet is not installed.
    """
    try:
        import pybullet
        from pybullet_utils.bullet_client import BulletClient
    except ImportError as error:
        raise UserError("physics needs the Python package pybullet, which is missing: pip install pybullet") from error
    world = BulletClient(pybullet.DIRECT)
    try:
        world.setTimeStep(STEP)
        world.setGravity(0, 0, -9.81)
        top = world.createCollisionShape(pybullet.GEOM_BOX, halfExtents=[*half_table, 0.05])
        world.changeDynamics(world.createMultiBody(0, top, basePosition=[0, 0, -0.05]), -1, lateralFriction=0.8)
        ids: list[int] = []
        for body in bodies:
            ids.append(_add(world, pybullet.GEOM_MESH, body))
            _run(world, ids, 0.4)
        _run(world, ids, LONGEST)
        return [_pose(world, number) for number in ids]
    finally:
        world.disconnect()


def _add(world: object, kind: int, body: Falling) -> int:
    hull = body.points[ConvexHull(body.points).vertices]
    shape = world.createCollisionShape(kind, vertices=hull.tolist())
    position, turn = body.pose.translation.tolist(), body.pose.quaternion.tolist()
    number = world.createMultiBody(body.mass, shape, basePosition=position, baseOrientation=turn)
    world.changeDynamics(
        number, -1, lateralFriction=0.7, rollingFriction=0.002, spinningFriction=0.002, restitution=0.05
    )
    return number


def _run(world: object, ids: list[int], seconds: float) -> None:
    """Step until everything rests, at most `seconds`."""
    for step in range(round(seconds / STEP)):
        world.stepSimulation()
        if step % 24 == 23 and all(_rests(world, number) for number in ids):
            return


def _rests(world: object, number: int) -> bool:
    linear, angular = world.getBaseVelocity(number)
    fallen = world.getBasePositionAndOrientation(number)[0][2] < -0.2
    return fallen or max(np.linalg.norm(linear), np.linalg.norm(angular)) < SLOW


def _pose(world: object, number: int) -> Pose:
    # The hull's frame is the body's: pybullet keeps the base frame at the origin of the vertices.
    position, turn = world.getBasePositionAndOrientation(number)
    return Pose.from_quaternion(np.array(turn), np.array(position))
