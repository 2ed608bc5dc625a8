"""Where cameras stand: outside of everything, with what they look at in sight, and always somewhere."""

import numpy as np
import pytest

from dope_datagen.scenes.appearance import Looks
from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.physics_scenes import PhysicsSceneSampler, bin_walls
from dope_datagen.scenes.viewpoints import MIN_BODY_DISTANCE, Boxes, Surroundings, standpoint
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose

FEW = {"objects": {"carton": 1}, "variety": 2, "pybullet_meshes": False, "width": 160, "height": 120}
BIN = {"surfaces": ("bin",), "nb_objects": (4, 6), "nb_distractors": (1, 3), "focal": (110, 290)}
CAMERA = CameraModel.from_focal(150, 160, 120)
NOTHING = Boxes.of([])


def config(**changes):
    return DatagenConfig(**FEW, **{**BIN, **changes})


def box(half, pose):
    return -np.array(half, float), np.array(half, float), pose


def walls_of(half, height):
    return Boxes.of([box(wall.half, wall.pose) for wall in bin_walls(half, height)])


def at(x, y, z, about_z=0.0):
    return Pose.from_rotvec([0, 0, about_z], [x, y, z])


def holds(boxes, point, margin=0.0):
    """Which boxes (N,) hold a point, seen from each box's own frame."""
    triples = zip(boxes.centres, boxes.rotations, boxes.halves, strict=True)
    return np.array([(np.abs(R.T @ (point - centre)) <= half + margin).all() for centre, R, half in triples])


def sees(eye, target, walls, things):
    """Whether no wall holds a point of the line of sight, and no other thing one of its first half."""
    points = eye + np.linspace(0, 1, 400)[:, None] * (target - eye)
    others = ~holds(things, target)
    return not any(holds(walls, point).any() for point in points) and not any(
        (holds(things, point) & others).any() for point in points[:200]
    )


@pytest.fixture(scope="module")
def heap(assets):
    arranger = PhysicsSceneSampler(config(), assets, Looks(config()), [])
    world = arranger.world(np.random.default_rng(1), "settle")
    return arranger.surroundings(world, world.poses[0])


@pytest.mark.parametrize("elevation", [(15, 80), (15, 35)])
def test_over_a_bin_every_camera_is_outside_of_everything_and_sees_a_target(heap, elevation):
    chosen = config(elevation=elevation)
    for seed in range(100):
        T = standpoint(np.random.default_rng(seed), chosen, CAMERA, heap)
        eye = T.inverse().translation
        assert not holds(heap.walls, eye, MIN_BODY_DISTANCE / 2).any()
        assert not holds(heap.things, eye).any()
        in_picture = [t for t in heap.targets if (np.abs(CAMERA.project(T.apply(t)) - [79.5, 59.5]) <= [80, 60]).all()]
        assert any(sees(eye, target, heap.walls, heap.things) for target in in_picture)


def test_the_same_draws_give_the_same_standpoint(heap):
    one, two = (standpoint(np.random.default_rng(4), config(), CAMERA, heap) for _ in range(2))
    assert one.matrix.tolist() == two.matrix.tolist()


def test_walls_that_hide_everything_leave_the_best_standpoint_that_was_tried():
    around = Surroundings(np.array([[0, 0, 0.03]]), NOTHING, walls_of((0.45, 0.45), height=2.0))
    chosen = config(elevation=(5, 10), near=(0.6, 1.2), near_share=1)
    for seed in range(20):
        T = standpoint(np.random.default_rng(seed), chosen, CAMERA, around)
        assert around.drawbacks(T, CAMERA, around.targets[0]) == (False, True, False)


def test_a_world_without_targets_is_looked_at_in_its_middle():
    around = Surroundings(np.zeros((1, 3)), NOTHING, walls_of((0.2, 0.2), height=0.1))
    T = standpoint(np.random.default_rng(0), config(), CAMERA, around)
    assert not any(around.drawbacks(T, CAMERA, np.zeros(3)))


@pytest.mark.parametrize(
    ("pose", "half", "share"),
    [
        (at(2, 0, 0), (0.5, 0.5, 0.5), 0.375),
        (at(2, 0, 0, np.pi / 4), (0.5, 0.5, 0.5), (2 - 0.5**0.5) / 4),
        (at(2, 0.6, 0), (0.5, 0.5, 0.5), np.inf),  # beside
        (at(5, 0, 0), (0.5, 0.5, 0.5), np.inf),  # behind the end
        (at(-1, 0, 0), (0.5, 0.5, 0.5), np.inf),  # behind the start
        (at(0, 0, 0), (0.5, 0.5, 0.5), 0),  # around the start
        (at(4, 0, 0), (0.5, 0.5, 0.5), np.inf),  # around the end
        (at(2, 0, 0), (0.0, 0.5, 0.5), 0.5),  # a plane
    ],
)
def test_a_box_is_entered_where_the_line_meets_its_face(pose, half, share):
    found = Boxes.of([box(half, pose)]).entered(np.zeros(3), np.array([4.0, 0, 0]))
    np.testing.assert_allclose(found, [share], atol=1e-9)


def test_the_distance_to_a_box_is_that_to_its_face_edge_or_corner():
    boxes = Boxes.of([box((1, 1, 1), at(0, 0, 0)), box((1, 1, 1), at(0, 0, 0, np.pi / 4))])
    np.testing.assert_allclose(boxes.away(np.array([3.0, 0, 0])), [2, 3 - 2**0.5])
    np.testing.assert_allclose(boxes.away(np.array([2.0, 2, 0])), [2**0.5, 8**0.5 - 1])
    np.testing.assert_allclose(boxes.away(np.array([0.5, 0.2, -0.9])), [0, 0])


def test_a_box_whose_mesh_lies_beside_its_origin_is_where_the_mesh_is():
    boxes = Boxes.of([(np.array([0.0, 0, 0]), np.array([0.2, 0.1, 0.1]), at(1, 0, 0, np.pi / 2))])
    np.testing.assert_allclose(boxes.centres, [[0.95, 0.1, 0.05]], atol=1e-12)


CLOSE, FAR, OWN = (box((0.05, 0.05, 0.05), at(0, 0, z)) for z in (0.8, 0.3, 0.0))


@pytest.mark.parametrize(
    ("things", "eye", "target", "drawbacks"),
    [
        ([OWN], (0, 0, 1), (0, 0, 0), (False, False, False)),
        ([OWN, FAR], (0, 0, 1), (0, 0, 0), (False, False, False)),  # things may hide one another
        ([OWN, CLOSE], (0, 0, 1), (0, 0, 0), (False, True, False)),
        ([OWN], (0, 0, 1), (0.6, 0, 0), (False, False, True)),
        ([OWN], (0, 0, 0.1), (0, 0, 0), (True, False, False)),
        ([OWN], (0, 0, 0.05), (0, 0, -1), (True, True, False)),
        ([OWN], (0, 0, 1), (0, 0, 2), (False, False, True)),  # behind the camera
    ],
)
def test_what_is_wrong_with_a_standpoint_is_named(things, eye, target, drawbacks):
    down = np.diag([1.0, -1.0, -1.0])  # R_camera_world of a camera that looks down
    around = Surroundings(np.array([target], float), Boxes.of(things), NOTHING)
    T = Pose(down, -down @ np.array(eye, float))
    assert around.drawbacks(T, CAMERA, np.array(target, float)) == drawbacks
