"""Measures of poses and scores: closed forms, laws, and the same numbers computed in another way."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.objects.symmetry import group, nearest
from dope_training.metrics import bop, coverage
from dope_training.metrics.add import accuracy, add, adds, auc
from dope_training.metrics.calibration import expected_error, reliability
from dope_training.metrics.ranking import average_precision, precision_recall

K = np.array([[600.0, 0, 320], [0, 610, 240], [0, 0, 1]])
CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.05  # [m]
HALF_TURN = (-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
BOX = ObjectModel(name="box", class_id=1, size=(0.1, 0.1, 0.2), symmetries_discrete=(HALF_TURN,))
CAN = ObjectModel(
    name="can", class_id=2, size=(0.1, 0.1, 0.2), symmetries_continuous=({"axis": [0, 0, 1], "offset": [0.01, 0, 0]},)
)
seeds = st.integers(0, 10_000)


def poses(rng):
    """A true pose half a metre to a metre away, and one near it."""
    true = Pose.random(rng, [*rng.uniform(-0.1, 0.1, 2), rng.uniform(0.5, 1)])
    step = Pose.from_rotvec(rng.normal(0, 0.3, 3), rng.normal(0, 0.03, 3))
    return true, Pose(step.rotation @ true.rotation, true.translation + step.translation)


def only(pose):
    return pose.matrix[None]


def test_a_shift_is_its_own_add_mssd_and_projects_by_focal_length_over_distance():
    true, found = (Pose(np.eye(3), np.array(t)) for t in ([0, 0, 2.0], [0.003, -0.004, 2]))
    flat = CUBE * [1, 1, 0]
    assert add(flat, only(true), found) == pytest.approx(0.005)
    assert bop.mssd(flat, only(true), found) == pytest.approx(0.005)
    assert bop.mspd(flat, only(true), found, K) == pytest.approx(np.hypot(600 * 0.003, 610 * 0.004) / 2)


def test_a_half_turn_of_a_square_moves_each_corner_by_its_diagonal_but_adds_sees_nothing():
    true, found = Pose.identity(), Pose.from_rotvec([0, 0, np.pi], [0, 0, 0])
    assert add(CUBE, only(true), found) == pytest.approx(0.1 * np.sqrt(2))
    assert adds(CUBE, true, found) == pytest.approx(0, abs=1e-12)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_an_error_is_the_same_for_all_poses_that_look_alike(seed):
    rng = np.random.default_rng(seed)
    true, found = poses(rng)
    for model in (BOX, CAN):
        transforms = group(model)
        other = Pose.from_matrix(true.matrix @ transforms[rng.integers(len(transforms))])
        for measure in (add, bop.mssd, lambda *a: bop.mspd(*a, K)):
            a, b = (measure(CUBE, pose.matrix @ transforms, found) for pose in (true, other))
            assert a == pytest.approx(b, abs=1e-9 + 1e-9 * a)


@settings(deadline=None, max_examples=20)
@given(seeds)
def test_errors_agree_with_loops_over_points_and_symmetries(seed):
    true, found = poses(np.random.default_rng(seed))
    transforms = group(BOX)
    alike = [true @ Pose.from_matrix(transform) for transform in transforms]

    def place(pose, point):
        return [sum(pose.rotation[i][j] * point[j] for j in range(3)) + pose.translation[i] for i in range(3)]

    def pixel(p):
        return 600 * p[0] / p[2] + 320, 610 * p[1] / p[2] + 240

    def per_point(pose, view=lambda p: p):
        return [np.sqrt(sum((a - b) ** 2 for a, b in zip(view(place(pose, x)), view(place(found, x)), strict=True)))
                for x in CUBE]  # fmt: skip

    expected = min(sum(per_point(pose)) / 8 for pose in alike)
    assert add(CUBE, true.matrix @ transforms, found) == pytest.approx(expected, abs=1e-6)
    assert bop.mssd(CUBE, true.matrix @ transforms, found) == pytest.approx(
        min(max(per_point(p)) for p in alike), abs=1e-6
    )
    assert bop.mspd(CUBE, true.matrix @ transforms, found, K) == pytest.approx(
        min(max(per_point(pose, pixel)) for pose in alike), abs=1e-6
    )
    closest = [min(np.sqrt(sum((a - b) ** 2 for a, b in zip(place(true, x), place(found, y), strict=True)))
                   for y in CUBE) for x in CUBE]  # fmt: skip
    assert adds(CUBE, true, found) == pytest.approx(sum(closest) / 8, abs=1e-6)


def test_the_area_under_the_curve_is_the_sum_over_fine_thresholds_and_a_miss_adds_nothing():
    errors = np.array([0.0, 0.02, 0.05, 0.0999, 0.2, np.inf])
    thresholds = np.linspace(0, 0.1, 200_001)
    assert auc(errors) == pytest.approx(accuracy(errors, thresholds).mean(), abs=1e-5)
    assert auc(errors) == pytest.approx((1 + 0.8 + 0.5 + 0.001) / 6)
    assert auc([np.inf]) == 0


def test_a_point_behind_the_camera_is_infinitely_wrong():
    front, behind = Pose(np.eye(3), np.array([0, 0, 1.0])), Pose(np.eye(3), np.array([0, 0, -1.0]))
    assert bop.mspd(CUBE, only(front), behind, K) == np.inf


def test_each_estimate_takes_one_object_and_the_best_score_chooses_first():
    errors = np.array([[0.3, 0.1], [0.5, 0.2], [0.02, 0.01]])
    found = bop.recalled(errors, np.array([0.05, 0.15, 0.6]))
    np.testing.assert_array_equal(found, [[False, True], [True, True], [True, True]])
    assert not bop.recalled(np.zeros((0, 2)), bop.MSSD_THRESHOLDS).any()
    assert bop.recalled(np.zeros((2, 0)), bop.MSSD_THRESHOLDS).shape == (10, 0)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_recall_at_a_threshold_never_beats_the_best_assignment(seed):
    rng = np.random.default_rng(seed)
    errors, threshold = rng.uniform(0, 1, (3, 3)), rng.uniform(0, 1)
    best = max(sum(errors[i, j] < threshold for i, j in enumerate(order)) for order in permutations(range(3)))
    assert bop.recalled(errors, np.array([threshold])).sum() <= best


def test_the_nearest_of_equal_looking_poses_is_found_without_steps():
    true = Pose.random(np.random.default_rng(1), [0.1, 0, 0.8])
    about = Pose(np.eye(3), np.array([0.01, 0, 0]))  # the can's axis
    for angle in (0.0, 0.0123, 1.0, -2.9):
        spun = true @ about @ Pose.from_rotvec([0, 0, angle], [0, 0, 0]) @ about.inverse()
        same = nearest(true, spun, CAN)
        assert same.angle_to(spun) < 1e-7
        assert same.distance_to(spun) < 1e-9
    tilted = true @ Pose.from_rotvec([0.1, 0, 0.7], [0, 0, 0])
    brute = min(Pose.from_matrix(m).angle_to(tilted) for m in true.matrix @ group(CAN, 5000))
    assert nearest(true, tilted, CAN).angle_to(tilted) == pytest.approx(brute, abs=1e-5)


def test_scores_that_are_probabilities_have_no_calibration_error_and_others_have_their_gap():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 1, 40_000)
    assert expected_error(reliability(scores, rng.uniform(0, 1, 40_000) < scores)) < 0.012
    assert expected_error(reliability(np.full(10, 0.95), np.arange(10) < 7)) == pytest.approx(0.25)
    [low, high] = reliability([0.02, 0.04, 1.0], [False, True, True])
    assert (low.count, low.score, low.right) == (2, pytest.approx(0.03), 0.5)
    assert (high.low, high.high, high.right) == (0.9, 1.0, 1.0)


def test_calibration_error_is_that_of_a_loop_over_bins():
    rng = np.random.default_rng(3)
    scores, right = rng.uniform(0, 1, 500), rng.uniform(0, 1, 500) < 0.4
    expected = 0.0
    for k in range(10):
        own = [i for i in range(500) if k / 10 <= scores[i] < (k + 1) / 10]
        expected += abs(sum(float(right[i]) - scores[i] for i in own)) / 500
    assert expected_error(reliability(scores, right)) == pytest.approx(expected, abs=1e-6)


def test_errors_drawn_from_a_covariance_fill_its_ellipsoids_as_claimed():
    rng = np.random.default_rng(0)
    A = rng.normal(0, 0.02, (6, 6))
    covariance = A @ A.T
    lengths = []
    for error in rng.multivariate_normal(np.zeros(6), covariance, 2000):
        found = Pose.random(rng, [0, 0, 1])
        true = Pose(Rotation.from_rotvec(error[3:]).as_matrix() @ found.rotation, found.translation + error[:3])
        np.testing.assert_allclose(true.minus(found), error, atol=1e-9)
        lengths.append(coverage.squared_lengths(error, covariance))
    for part, freedom in (("translation", 3), ("rotation", 3), ("pose", 6)):
        squared = np.array([entry[part] for entry in lengths])
        assert coverage.CHI_SQUARE_LIMITS[part] == pytest.approx(chi2.ppf(0.95, freedom), abs=1e-6)
        assert coverage.coverage(squared, part) == pytest.approx(0.95, abs=0.015)
        assert squared.mean() == pytest.approx(freedom, rel=0.06)
    halved = np.array([coverage.squared_lengths(np.r_[0.03, 0, 0, 0, 0, 0], np.eye(6) * 1e-4)["translation"]])
    assert halved[0] == pytest.approx(9)  # three standard deviations


def test_no_covariance_claims_nothing_and_a_flat_one_too_much():
    assert np.isnan(coverage.squared_lengths(np.ones(6), np.full((6, 6), np.nan))["pose"])
    assert coverage.squared_lengths(np.ones(6), np.zeros((6, 6)))["pose"] == np.inf
    assert coverage.coverage(np.array([np.nan]), "pose") is None


def test_precision_and_recall_over_the_score():
    right = np.array([True, False, True, True])
    scores, precision, recall = precision_recall(np.array([0.9, 0.8, 0.8, 0.3]), right, right, 4)
    np.testing.assert_allclose(scores, [0.9, 0.8, 0.3])
    np.testing.assert_allclose(precision, [1, 2 / 3, 3 / 4])
    np.testing.assert_allclose(recall, [1 / 4, 2 / 4, 3 / 4])
    assert average_precision(precision, recall) == pytest.approx(1 / 4 + (1 / 4) * (3 / 4) * 2)
    assert average_precision(*precision_recall(np.zeros(0), np.zeros(0, bool), np.zeros(0, bool), 3)[1:]) == 0
