"""Cells of the surface: what is read from the maps, and what they add to the pose search."""

import numpy as np
import pytest

from dope_ros2.estimation.pnp.solver import Gate, solve
from dope_ros2.estimation.pnp.surface_coordinates import MAX_CELLS, read
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel

BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06), centre=(0.01, 0.0, -0.02))
CAMERA = CameraModel.from_focal(400, 640, 480)


def drawn(pose):
    """A surface (4, 60, 80) as a perfect network would give it: the near side of the box, cell by cell."""
    rows, columns = np.mgrid[:60, :80]
    pixels = np.column_stack([columns.ravel(), rows.ravel()]) * 8.0 + 3.5
    direction = CAMERA.unproject(pixels, 1.0) @ pose.rotation
    origin = -pose.rotation.T @ pose.translation - BOX.centre
    half = np.array(BOX.size) / 2
    near, far = (-np.sign(direction) * half - origin) / direction, (np.sign(direction) * half - origin) / direction
    enters, leaves = near.max(1), far.min(1)
    points = origin + enters[:, None] * direction
    surface = np.vstack([enters < leaves, (points / (2 * half) + 0.5).T]).astype(np.float32)
    return surface.reshape(4, 60, 80)


def scene(seed):
    """A pose in view, its surface and its keypoints."""
    rng = np.random.default_rng(seed)
    pose = Pose.random(rng, CAMERA.unproject(rng.uniform((150, 120), (490, 360)), rng.uniform(0.5, 0.8)))
    return pose, drawn(pose), CAMERA.project(pose.apply(BOX.keypoints)), rng


def find(keypoints, surface):
    cells = read(surface, BOX, 8).around(keypoints[8])
    return solve(BOX.keypoints, keypoints, CAMERA.K, np.full(9, 2.0), Gate(), cells)


@pytest.mark.parametrize("seed", range(20))
def test_points_read_from_cells_are_seen_where_the_cells_are(seed):
    pose, surface, keypoints, _ = scene(seed)
    cells = read(surface, BOX, 8).around(keypoints[8])
    assert 4 < len(cells.points) <= MAX_CELLS
    np.testing.assert_allclose(CAMERA.project(pose.apply(cells.points)), cells.pixels, atol=0.01)


def test_no_cells_are_read_where_nothing_is_seen():
    assert len(read(np.zeros((4, 6, 8), np.float32), BOX, 8)) == 0
    assert len(read(None, BOX, 8).around(np.zeros(2))) == 0


@pytest.mark.parametrize("seed", range(20))
def test_cells_give_the_pose_when_only_the_centroid_and_one_corner_are_known(seed):
    pose, surface, keypoints, rng = scene(seed)
    keypoints[rng.permutation(8)[:7]] = np.nan
    assert find(keypoints, None) is None
    found = find(keypoints, surface)
    assert found.pose.distance_to(pose) < 0.005
    assert np.rad2deg(found.pose.angle_to(pose)) < 1
    assert found.cells == len(read(surface, BOX, 8).around(keypoints[8]))


@pytest.mark.parametrize("seed", range(20))
def test_cells_outvote_corners_whose_names_are_mixed_up(seed):
    pose, surface, keypoints, rng = scene(seed)
    mixed = rng.permutation(8)[:5]
    keypoints[mixed] = keypoints[np.roll(mixed, 1)]
    found = find(keypoints, surface)
    assert found is not None
    assert np.rad2deg(found.pose.angle_to(pose)) < 15  # a wrong corner may come to lie near its place


@pytest.mark.parametrize("seed", range(10))
def test_cells_of_a_neighbour_are_outliers(seed):
    pose, surface, keypoints, _ = scene(seed)
    beside = drawn(Pose(pose.rotation, pose.translation + np.array([0.12, 0.0, 0.3])))
    surface = np.where(surface[0] > 0, surface, beside)
    found = find(keypoints, surface)
    assert found.pose.distance_to(pose) < 0.005
    cells = read(surface, BOX, 8).around(keypoints[8])
    assert found.cells < len(cells) or not (beside[0] > surface[0]).any()
