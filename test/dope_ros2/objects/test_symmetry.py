import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.objects.symmetry import about, canonical, group, nearest
from helpers import symmetric_objects
from helpers.symmetric_objects import BALL, PLAIN, PRISM, TURNING, turned

Z, X, ORIGIN = np.array([0.0, 0, 1]), np.array([1.0, 0, 0]), np.zeros(3)
SIZE = (0.1, 0.2, 0.3)


def model(discrete=(), continuous=()):
    rows = tuple(tuple(matrix.ravel()) for matrix in discrete)
    return ObjectModel(name="box", class_id=1, size=SIZE, symmetries_discrete=rows, symmetries_continuous=continuous)


TWOFOLD = model([about(Z, ORIGIN, np.pi)])
HEX = model([about(Z, ORIGIN, k * np.pi / 3) for k in range(1, 6)])
BOX = model([about(axis, ORIGIN, np.pi) for axis in np.eye(3)])
CAN = model([about(X, ORIGIN, np.pi)], ({"axis": [0, 0, 1], "offset": [0.02, 0, 0]},))


@pytest.mark.parametrize(("thing", "count"), [(model(), 1), (TWOFOLD, 2), (HEX, 6), (BOX, 4), (CAN, 128)])
def test_the_group_has_all_elements_and_begins_with_the_identity(thing, count):
    elements = group(thing)
    assert elements.shape == (count, 4, 4)
    np.testing.assert_allclose(elements[0], np.eye(4))


@pytest.mark.parametrize("thing", [TWOFOLD, HEX, BOX, CAN])
@given(seed=st.integers(0, 10**6), pick=st.integers(0, 127))
@settings(deadline=None, max_examples=60)
def test_equal_looking_poses_have_one_canonical_pose(thing, seed, pick):
    pose = Pose.random(np.random.default_rng(seed), (0.1, -0.05, 0.8))
    elements = group(thing)
    moved = pose.matrix @ elements[pick % len(elements)]
    one, two = canonical(pose, thing), canonical(Pose(moved[:3, :3], moved[:3, 3]), thing)
    # The corners that the group maps onto one another may be a step of the continuous turn apart.
    assert one.angle_to(two) < (2 * np.pi / 64 + 0.01 if thing is CAN else 1e-6) or tied(pose, thing)


def tied(pose, thing):
    """Whether two elements are as good as each other: a view near the boundary."""
    along = np.sort((pose.matrix @ group(thing))[:, 2, 0])
    return along[-1] - along[-2] < 3e-3


@pytest.mark.parametrize("thing", [TWOFOLD, HEX, BOX, CAN])
def test_the_canonical_pose_looks_the_same(thing):
    pose = Pose.random(np.random.default_rng(3), (0.1, -0.05, 0.8))
    change = np.linalg.inv(pose.matrix) @ canonical(pose, thing).matrix
    assert np.abs(group(thing) - change).max((1, 2)).min() < 1e-9


def test_an_object_without_symmetries_keeps_its_pose():
    pose = Pose.random(np.random.default_rng(3), (0.1, -0.05, 0.8))
    assert canonical(pose, model()) is pose


def test_the_objects_x_axis_points_away_from_the_camera():
    pose = Pose.from_rotvec([0, np.pi / 2 + 0.3, 0], [0, 0, 1])  # x towards the camera
    assert pose.rotation[2, 0] < 0
    assert canonical(pose, TWOFOLD).rotation[2, 0] > 0


@pytest.mark.parametrize("thing", symmetric_objects.ALL, ids=lambda model: model.name)
@given(seed=st.integers(0, 10**6), element=st.integers(0, 5), angle=st.floats(-np.pi, np.pi))
@settings(deadline=None, max_examples=60)
def test_of_poses_that_look_the_same_the_one_asked_for_is_the_nearest(thing, seed, element, angle):
    pose = Pose.random(np.random.default_rng(seed), (0.1, -0.05, 0.8))
    same = turned(pose, thing, element, angle)
    np.testing.assert_allclose(nearest(pose, same, thing).matrix, same.matrix, atol=1e-7)


@pytest.mark.parametrize("thing", [PLAIN, symmetric_objects.BOX, PRISM, *TURNING], ids=lambda model: model.name)
@pytest.mark.parametrize("steps", [None, 5, 64])
@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=30)
def test_no_equal_looking_pose_is_nearer_than_the_nearest(thing, steps, seed):
    one, other = (Pose.random(np.random.default_rng([seed, k]), (0.1, -0.05, 0.8)) for k in range(2))
    candidates = (one.matrix @ group(thing, 300))[:, :3, :3]
    brute = Rotation.from_matrix(candidates.transpose(0, 2, 1) @ other.rotation).magnitude().min()
    found = nearest(one, other, thing, group(thing, steps) if steps else None).angle_to(other)
    assert brute - np.pi / 300 - 1e-6 < found < brute + 1e-6


def test_a_ball_can_be_turned_as_one_likes_about_its_middle():
    one, other = (Pose.random(np.random.default_rng(k), (0.1, -0.05, 0.8)) for k in range(2))
    same = nearest(one, other, BALL)
    np.testing.assert_allclose(same.rotation, other.rotation, atol=1e-12)
    np.testing.assert_allclose(same.apply(BALL.centre), one.apply(BALL.centre), atol=1e-12)


def test_an_axis_that_is_told_twice_makes_no_ball():
    twice = model(
        continuous=({"axis": [0, 0, 1], "offset": [0.02, 0, 0]}, {"axis": [0, 0, -2], "offset": [0.02, 0, 1]})
    )
    one = Pose.identity()
    assert nearest(one, Pose.from_rotvec([0.5, 0, 0], [0, 0, 1]), twice).angle_to(one) == pytest.approx(0, abs=1e-9)


def test_the_nearest_pose_of_an_object_without_symmetries_is_its_own():
    pose = Pose.random(np.random.default_rng(3), (0.1, -0.05, 0.8))
    assert nearest(pose, Pose.identity(), PLAIN) is pose
