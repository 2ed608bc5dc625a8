"""Keypoints and cells that are wrong, or err together: what they may do to a pose, and what it claims of itself."""

from dataclasses import replace

import numpy as np
import pytest

from dope_ros2.estimation.pnp.solver import Gate, solve
from dope_ros2.estimation.pnp.surface_coordinates import read
from dope_ros2.geometry.pose import Pose
from helpers.drawn_scenes import BOX, CAMERA, STRIDE, draw_surface, is_right, pixels_of, random_pose

SEEDS = range(30)


def view(seed, near=0.5, far=0.8):
    """A box in view, its keypoints [px] and the generator."""
    rng = np.random.default_rng(seed)
    pose = random_pose(rng, rng.uniform((150, 120), (490, 360)), rng.uniform(near, far))
    return pose, pixels_of(pose), rng


def find(keypoints, sigma=1.0, cells=None):
    return solve(BOX.keypoints, keypoints, CAMERA.K, np.full(9, sigma), Gate(), cells)


def cells_around(surface, keypoints):
    return read(surface, BOX, STRIDE).around(keypoints[8])


def without_corners(keypoints, kept=()):
    known = np.full((9, 2), np.nan)
    known[[*kept, 8]] = keypoints[[*kept, 8]]
    return known


def bent(seed, off):
    """How far a pose moves when one corner is moved by `off` [px], less than what makes it an outlier."""
    pose, keypoints, rng = view(seed)
    direction = rng.uniform(0, 2 * np.pi)
    keypoints[rng.integers(8)] += off * np.array([np.cos(direction), np.sin(direction)])
    return find(keypoints).pose.distance_to(pose)


def test_a_corner_that_is_eight_sigmas_off_bends_the_pose_hardly_more_than_one_of_four():
    four, eight = (np.median([bent(seed, off) for seed in SEEDS]) for off in (4.0, 8.0))
    assert four > 0.001
    assert eight < 1.3 * four


@pytest.mark.parametrize("count", [3, 4])
def test_a_few_corners_that_are_sure_and_wrong_do_not_outvote_the_cells(count):
    for seed in range(10):
        pose, keypoints, rng = view(seed)
        wrong = Pose(Pose.random(rng).rotation, pose.translation)
        corners = rng.permutation(8)[:count]
        known = without_corners(keypoints)
        known[corners] = pixels_of(wrong)[corners]
        found = find(known, sigma=0.5, cells=cells_around(draw_surface([pose]), keypoints))
        assert is_right(found, pose), seed


def test_a_pose_is_found_from_cells_of_which_half_are_wrong():
    right = []
    for seed in SEEDS:
        pose, keypoints, rng = view(seed)
        surface = draw_surface([pose])
        wrong = rng.random(surface[0].shape) < 0.5
        surface[1:, wrong] = rng.random((3, np.count_nonzero(wrong)))
        found = find(without_corners(keypoints), sigma=2.0, cells=cells_around(surface, keypoints))
        right.append(found is not None and is_right(found, pose))
    assert np.mean(right) > 0.95


def displaced_together(rng, cells):
    """Cells whose errors in the image are those of thirty patches, each as large as one cell's claimed error."""
    side = STRIDE * np.sqrt(len(cells) / 30)
    column, row = ((cells.pixels - cells.pixels.min(0)) // side).astype(int).T
    field = rng.normal(0, cells.sigma, (column.max() + 1, row.max() + 1, 2))
    return replace(cells, pixels=cells.pixels + field[column, row])


def test_the_covariance_says_how_far_off_a_pose_is_whose_cells_err_together():
    squared = []
    for seed in range(40):
        pose, keypoints, rng = view(seed, 0.45, 0.6)
        cells = displaced_together(rng, cells_around(draw_surface([pose]), keypoints))
        known = without_corners(keypoints)
        known[8] += rng.normal(0, 2, 2)
        found = find(known, sigma=2.0, cells=cells)
        error = found.pose.minus(pose)
        squared.append(error @ np.linalg.solve(found.covariance, error))
    assert 4 < np.mean(squared) < 11  # six degrees of freedom; 30 if all cells counted as independent


@pytest.mark.parametrize("extent", [12, 16, 24])
def test_keypoints_thrown_into_a_blur_of_a_few_pixels_have_no_pose(extent):
    for seed in range(40):
        thrown = np.random.default_rng(seed).uniform(-extent / 2, extent / 2, (9, 2)) + np.array([300, 200])
        assert find(thrown, sigma=3.0) is None, seed


def test_errors_of_three_pixels_that_refuse_a_far_box_do_not_refuse_a_near_one():
    found = []
    for distance in (0.5, 6.0):
        rng = np.random.default_rng(1)
        pose = random_pose(rng, (300, 200), distance)
        found.append(find(pixels_of(pose) + rng.choice([-3, 3], (9, 2)), sigma=3.0))
    assert found[0] is not None
    assert found[1] is None
