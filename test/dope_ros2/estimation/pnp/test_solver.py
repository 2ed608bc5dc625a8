from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dope_ros2.estimation.pnp.gauss_newton import NormalizedPnP, refine_poses, residuals_and_jacobian
from dope_ros2.estimation.pnp.solver import MAX_REFINED, Gate, search, solve
from dope_ros2.estimation.pnp.surface_coordinates import NO_CELLS
from dope_ros2.geometry.pose import Pose
from helpers.pnp_cases import CAMERA, CARTON, draw, keep, seeds

FACE = [0, 1, 2, 3]
laws = settings(deadline=None, max_examples=60)


def find(pixels, sigma=1.0, gate=None):
    return solve(CARTON, pixels, CAMERA.K, np.full(9, sigma), gate or Gate())


def assert_found(solution, truth, tolerance=1e-6):
    assert solution is not None
    assert solution.pose.distance_to(truth) < tolerance * np.linalg.norm(truth.translation)
    assert np.linalg.norm(solution.pose.rotation - truth.rotation) < 10 * tolerance


def spans_space(chosen):
    """Whether the chosen keypoints are not all in one plane."""
    spread = np.linalg.svd(CARTON[chosen] - CARTON[chosen].mean(0), compute_uv=False)
    return spread[-1] > 0.01


@pytest.mark.parametrize("count", [9, 8, 6])
@given(seed=seeds)
@laws
def test_a_pose_is_recovered_exactly_from_its_keypoints(count, seed):
    truth, pixels, rng = draw(seed)
    chosen = rng.choice(9, count, replace=False)
    solution = find(keep(pixels, chosen), sigma=0.01)
    assert_found(solution, truth)
    assert solution.inliers.sum() == count
    assert solution.rms < 1e-5


@given(seed=seeds)
@laws
def test_four_corners_that_are_not_in_a_plane_give_the_pose_or_a_refusal(seed):
    truth, pixels, rng = draw(seed)
    chosen = rng.choice(8, 4, replace=False)
    solution = find(keep(pixels, chosen), sigma=0.01)
    if solution is not None:
        assert_found(solution, truth, tolerance=1e-5)


def test_nearly_all_sets_of_four_corners_that_span_space_determine_the_pose():
    answers = []
    for seed in range(60):
        _, pixels, rng = draw(seed)
        chosen = rng.choice(8, 4, replace=False)
        if spans_space(chosen):
            answers.append(find(keep(pixels, chosen), sigma=0.01))
    assert len(answers) > 30
    assert np.mean([answer is not None for answer in answers]) > 0.9


@given(seed=seeds, corner=st.integers(0, 8), direction=st.floats(0, 2 * np.pi))
@laws
def test_one_corner_moved_by_fifty_pixels_changes_nothing_but_is_named(seed, corner, direction):
    truth, pixels, _ = draw(seed)
    pixels[corner] += 50 * np.array([np.cos(direction), np.sin(direction)])
    solution = find(pixels)
    assert_found(solution, truth)
    assert np.flatnonzero(~solution.inliers).tolist() == [corner]


@given(seed=seeds, direction=st.floats(0, 2 * np.pi))
@laws
def test_with_six_corners_and_one_of_them_wrong_the_answer_is_right_or_none(seed, direction):
    truth, pixels, rng = draw(seed)
    chosen = rng.choice(8, 6, replace=False)
    pixels[chosen[0]] += 50 * np.array([np.cos(direction), np.sin(direction)])
    solution = find(keep(pixels, chosen))
    if solution is not None:
        assert_found(solution, truth, tolerance=1e-2)


numbers = st.floats(-2000, 2000) | st.floats() | st.sampled_from([0.0, 320.0, 240.0])
GARBAGE = {
    "pixels": arrays(float, (9, 2), elements=numbers),
    "sigmas": arrays(float, 9, elements=st.floats(0.01, 100) | st.floats()),
}


@given(pixels=GARBAGE["pixels"], sigmas=GARBAGE["sigmas"], loose=st.booleans())
@settings(deadline=None, max_examples=100)
def test_any_input_gives_none_or_a_finite_pose_in_front_of_the_camera(pixels, sigmas, loose):
    gate = Gate(outlier=1e4, rms=1e4, clearer=0) if loose else Gate()
    check_sound(solve(CARTON, pixels, CAMERA.K, sigmas, gate))


@given(seed=seeds, noise=st.floats(0, 200))
@laws
def test_keypoints_of_an_object_behind_the_camera_never_give_a_pose_behind_it(seed, noise):
    truth, _, rng = draw(seed)
    x = Pose(truth.rotation, -truth.translation).apply(CARTON) @ CAMERA.K.T
    pixels = x[:, :2] / x[:, 2:] + rng.normal(0, noise, (9, 2))
    check_sound(find(pixels, gate=Gate(outlier=1e4, rms=1e4)))
    check_sound(find(pixels))


def test_a_pose_with_an_unseen_corner_behind_the_camera_is_refused():
    truth = Pose.from_rotvec([0.3, 1.2, 0.2], [0.01, 0, 0.06])
    x = truth.apply(CARTON)
    seen = x[:, 2] > 0.01
    assert seen.sum() >= 5
    assert (x[:, 2] < 0).any()
    pixels = np.full((9, 2), np.nan)
    pixels[seen] = CAMERA.project(x[seen])
    assert find(pixels, sigma=0.01) is None


def check_sound(solution):
    if solution is None:
        return
    assert np.isfinite(solution.pose.matrix).all()
    np.testing.assert_allclose(solution.pose.rotation @ solution.pose.rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(solution.pose.rotation) > 0
    assert (solution.pose.apply(CARTON)[:, 2] > 0).all()
    assert np.isfinite(solution.covariance).all()
    assert solution.inliers.sum() >= 4
    assert np.isfinite(solution.rms)


@pytest.mark.parametrize("distance", [10, 20, 40])
def test_an_object_of_a_few_pixels_is_solved_although_it_is_too_small_for_the_direct_way(distance):
    truth = Pose.from_rotvec([0.4, -0.8, 1.1], [0.05, -0.03, distance])
    pixels = CAMERA.project(truth.apply(CARTON))
    assert np.ptp(pixels, axis=0).max() < 12
    assert_found(find(pixels, sigma=0.01), truth, tolerance=1e-5)


def test_keypoints_thrown_at_random_take_no_more_than_a_bounded_number_of_refinements(monkeypatch):
    calls = []

    def counted(guesses, *rest):
        calls.append(sum(len(guess.rotations) for guess in guesses))
        return refine_poses(guesses, *rest)

    monkeypatch.setattr("dope_ros2.estimation.pnp.solver.refine_poses", counted)
    rays = np.random.default_rng(0).uniform(-0.5, 0.5, (9, 2))
    search([NormalizedPnP.of(CARTON, rays, np.full(9, 0.002), np.eye(3), 1e4, NO_CELLS)], Gate())
    assert 1 <= len(calls) <= 2
    assert max(calls) <= MAX_REFINED


@pytest.mark.parametrize("pixels", [np.full((9, 2), 100.0), np.zeros((9, 2)), np.outer(np.arange(9.0), [10, 5])])
def test_keypoints_in_one_place_or_on_one_line_are_refused(pixels):
    assert find(pixels) is None


@given(seed=seeds)
@laws
def test_three_keypoints_are_too_few(seed):
    _, pixels, rng = draw(seed)
    assert find(keep(pixels, rng.choice(9, 3, replace=False)), sigma=0.01) is None


def test_a_small_face_far_away_has_two_answers_and_gets_none():
    truth = Pose.from_rotvec([0.5, 0.3, 0], [0, 0, 8.0])
    pixels = CAMERA.project(truth.apply(CARTON))
    assert find(keep(pixels, FACE), sigma=1.0) is None


def test_a_large_face_nearby_has_one_answer():
    truth = Pose.from_rotvec([0.9, 0.3, 0], [0, 0, 0.3])
    assert_found(find(keep(CAMERA.project(truth.apply(CARTON)), FACE), sigma=0.1), truth, tolerance=1e-5)


def test_keypoints_that_fit_no_pose_well_are_refused_by_the_gate():
    _, pixels, rng = draw(1)
    pixels += rng.choice([-4, 4], (9, 2))
    assert find(pixels, gate=Gate(outlier=50, rms=100)) is not None
    assert find(pixels, gate=Gate(outlier=50, rms=2)) is None
    assert find(pixels, gate=Gate(outlier=50, rms=100, fewest=10)) is None


@given(seed=seeds)
@laws
def test_the_jacobian_equals_finite_differences(seed):
    truth, pixels, _ = draw(seed)
    problem = NormalizedPnP.of(CARTON, pixels, np.ones(9), np.eye(3), 1.0, NO_CELLS)
    step, columns = 1e-6, []
    for motion in np.eye(6) * step:
        residuals = [linear(problem, truth.plus(sign * motion))[1] for sign in (1, -1)]
        columns.append((residuals[0] - residuals[1]) / (2 * step))
    np.testing.assert_allclose(linear(problem, truth)[0], np.stack(columns), atol=1e-6)


def linear(problem, pose):
    """Derivatives (6, 2, N) and residuals (2, N) at a pose."""
    both = residuals_and_jacobian(pose.rotation[None], pose.translation[None], problem.points.T, problem.rays.T)
    return both[0][0], both[1][0]


def test_the_covariance_says_how_far_off_poses_from_noisy_keypoints_are():
    truth, pixels, rng = draw(3)
    scores = []
    for _ in range(150):
        solution = find(pixels + rng.normal(0, 0.5, pixels.shape), sigma=0.5)
        error = np.concatenate([solution.pose.translation - truth.translation, turned(truth, solution.pose)])
        scores.append(error @ np.linalg.solve(solution.covariance, error))
    # Six degrees of freedom: 6 on average. Enlarging it when the residuals are large makes it a little less.
    assert 4.5 < np.mean(scores) < 7


def turned(one, other):
    """Rotation vector (3,) from one pose to another about the camera's axes, for small angles."""
    R = other.rotation @ one.rotation.T
    return np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]]) / 2


@given(seed=seeds)
@laws
def test_the_covariance_is_symmetric_positive_and_grows_with_the_square_of_the_noise(seed):
    _, pixels, _ = draw(seed)
    one, two = (find(pixels, sigma=sigma).covariance for sigma in (1.0, 2.0))
    np.testing.assert_allclose(one, one.T, rtol=1e-6, atol=1e-15)
    assert np.linalg.eigvalsh(one)[0] > 0
    np.testing.assert_allclose(two, 4 * one, rtol=1e-4, atol=1e-12)


def test_the_covariance_is_enlarged_when_the_keypoints_disagree_more_than_they_claim():
    _, pixels, rng = draw(4)
    noisy = pixels + rng.normal(0, 2, pixels.shape)
    modest, bold = (find(noisy, sigma=sigma).covariance for sigma in (2.0, 0.2))
    assert np.trace(bold) > 0.3 * np.trace(modest)


@given(seed=seeds, factor=st.floats(0.3, 3))
@laws
def test_the_pose_does_not_depend_on_the_size_of_the_picture(seed, factor):
    truth, _, _ = draw(seed)
    small = CAMERA.resized(round(640 * factor), round(480 * factor))
    pixels = small.project(truth.apply(CARTON))
    assert_found(solve(CARTON, pixels, small.K, np.full(9, 0.1), Gate()), truth)


@given(seed=seeds, noise=st.floats(0, 2))
@laws
def test_the_same_keypoints_give_the_same_pose_every_time(seed, noise):
    _, pixels, rng = draw(seed)
    pixels = keep(pixels + rng.normal(0, noise, (9, 2)), rng.choice(9, 6, replace=False))
    pixels[0] += 40
    one, two = find(pixels), find(pixels)
    assert (one is None) == (two is None)
    if one is not None:
        np.testing.assert_array_equal(one.pose.matrix, two.pose.matrix)


def test_a_better_keypoint_counts_more():
    truth, pixels, _ = draw(5)
    pixels[0, 0] += 4
    trusting, doubting = (
        solve(CARTON, pixels, CAMERA.K, np.array([sigma] + [1.0] * 8), replace(Gate(), rms=20)) for sigma in (1.0, 20.0)
    )
    assert doubting.pose.distance_to(truth) < 0.2 * trusting.pose.distance_to(truth)
