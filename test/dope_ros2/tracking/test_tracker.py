"""Tracks keep their names, and their poses are nearer to the truth than what was measured."""

from dataclasses import replace

import numpy as np
import pytest

from dope_ros2.estimation.pnp.solver import Gate, solve
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose, transport_covariance
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.objects.symmetry import group
from dope_ros2.tracking.kalman_filter import State
from dope_ros2.tracking.tracker import MIN_CONSISTENT_FRAMES, Smoothing, Tracker

CARTON = ObjectModel(name="carton", class_id=1, size=(0.16, 0.11, 0.06))
SOUP = ObjectModel(name="soup", class_id=2, size=(0.07, 0.07, 0.10), symmetries_continuous=({"axis": [0, 0, 1]},))
FLIP = ObjectModel(
    name="flip", class_id=3, size=(0.1, 0.1, 0.05), centre=(0.02, 0.0, 0.0),
    symmetries_discrete=((-1, 0, 0, 0.04, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1),),
)  # fmt: skip
CAMERA = CameraModel.from_focal(600.0, 640, 480)
SPREAD = np.diag([0.001, 0.001, 0.004, 0.01, 0.01, 0.01]) ** 2
RATE = 1 / 30
START = Pose.from_rotvec([0.3, 0.5, 0.2], [0.05, 0.02, 1.0])
ASIDE = Pose.from_rotvec([0.3, 0.5, 0.2], [0.55, 0.02, 1.0])


def detection(pose, model=CARTON, score=0.9, covariance=SPREAD):
    return Detection(model, score, pose, covariance, np.full((9, 2), 7.0), 0.5)


def noisy(rng, pose, covariance=SPREAD):
    return pose.plus(rng.multivariate_normal(np.zeros(6), covariance))


def names(found):
    return sorted(d.track for d in found)


def tracker():
    return Tracker([CARTON, SOUP, FLIP])


@pytest.mark.parametrize("seed", range(3))
def test_a_static_object_at_a_metre_stays_within_a_millimetre_and_half_a_degree(seed):
    rng, track, poses = np.random.default_rng(seed), tracker(), []
    pixels = CAMERA.project(START.apply(CARTON.keypoints))
    for frame in range(300):
        measured = pixels + rng.normal(0, 0.5, pixels.shape)
        solution = solve(CARTON.keypoints, measured, CAMERA.K, np.full(9, 0.5), Gate())
        [found] = track([detection(solution.pose, covariance=solution.covariance)], frame * RATE)
        poses.append(found.pose)
    settled = np.array([pose.minus(START) for pose in poses[90:]])
    jitter = settled.std(0)
    assert np.linalg.norm(jitter[:3]) < 0.001
    assert np.rad2deg(np.linalg.norm(jitter[3:])) < 0.5
    assert np.linalg.norm(settled.mean(0)[:3]) < 0.001


def test_a_moving_object_is_followed_without_lagging_behind():
    rng, track = np.random.default_rng(0), tracker()
    errors = []
    for frame in range(150):
        t = max(0, frame - 60) * RATE  # stands for two seconds, then goes at 0.4 m/s and turns at one rad/s
        truth = START.plus(np.array([0.4 * t, -0.1 * t, 0.2 * t, 0, 0, t]))
        [found] = track([detection(noisy(rng, truth))], frame * RATE)
        assert found.track == "carton_0"
        errors.append(found.pose.minus(truth))
    assert np.abs(errors).max(0)[:3].max() < 0.05
    late = np.array(errors[100:])
    assert np.linalg.norm(late[:, :3], axis=1).max() < 0.015
    assert np.rad2deg(np.linalg.norm(late[:, 3:], axis=1).max()) < 3


def test_the_covariance_says_how_far_off_the_filtered_pose_is():
    squared = []
    for seed in range(40):
        rng, track = np.random.default_rng(seed), tracker()
        for frame in range(20):
            [found] = track([detection(noisy(rng, START))], frame * RATE)
        error = found.pose.minus(START)
        squared.append(error @ np.linalg.solve(found.covariance, error))
    assert 3.5 < np.mean(squared) < 8  # 6 degrees of freedom


def test_two_objects_that_pass_each_other_keep_their_names():
    rng, track = np.random.default_rng(1), tracker()
    for frame in range(120):
        x = 0.3 - 0.6 * frame / 120
        left, right = (Pose(START.rotation, np.array([side * x, 0.08 * side, 1.0])) for side in (-1, 1))
        order = [detection(noisy(rng, left), score=rng.random()), detection(noisy(rng, right), score=rng.random())]
        found = {d.track: d for d in track(order, frame * RATE)}
        if frame == 0:
            of = {name: -1 if d.pose.translation[0] < 0 else 1 for name, d in found.items()}
        assert set(found) == {"carton_0", "carton_1"}
        for name, d in found.items():
            assert abs(d.pose.translation[0] - of[name] * x) < 0.05


def test_an_absence_is_bridged_and_the_name_comes_back():
    track = tracker()
    for frame in range(10):
        track([detection(START)], frame * RATE)
    last = 9 * RATE
    [bridged] = track([], last + 0.2)
    assert bridged.track == "carton_0"
    assert bridged.score < 0.9
    assert np.isnan(bridged.keypoints).all()
    assert np.trace(bridged.covariance) > np.trace(track([detection(START)], last + 0.21)[0].covariance)
    assert track([], last + 0.7) == []
    assert names(track([detection(START)], last + 1.5)) == ["carton_0"]
    far = Pose(START.rotation, START.translation + np.array([1, 0, 0]))
    assert names(track([detection(far)], last + 1.6)) == ["carton_0", "carton_1"]
    assert names(track([detection(far)], last + 6)) == ["carton_0"]  # all forgotten: numbers are free again


def test_what_was_seen_once_is_not_bridged():
    track = tracker()
    track([detection(START)], 0.0)
    assert track([], RATE) == []


@pytest.mark.parametrize("model", [SOUP, FLIP])
def test_a_symmetric_object_does_not_jump_between_poses_that_look_the_same(model):
    rng, track = np.random.default_rng(2), tracker()
    equal, last = group(model), None
    for frame in range(1000):
        drawn = Pose.from_matrix(START.matrix @ equal[rng.integers(len(equal))])
        [found] = track([detection(noisy(rng, drawn), model)], frame * RATE)
        if last is not None:
            step = found.pose.minus(last)
            assert np.linalg.norm(step[:3]) < 0.01
            assert np.rad2deg(np.linalg.norm(step[3:])) < 4
        last = found.pose


def test_one_wrong_rotation_is_ignored_and_a_lasting_one_believed():
    track = tracker()
    for frame in range(20):
        track([detection(START)], frame * RATE)
    wrong = START.plus(np.array([0, 0, 0, 0, 0, 2.0]))
    [found] = track([detection(wrong)], 20 * RATE)
    assert np.rad2deg(found.pose.angle_to(START)) < 1
    for frame in range(21, 20 + MIN_CONSISTENT_FRAMES):
        [found] = track([detection(wrong)], frame * RATE)
    assert np.rad2deg(found.pose.angle_to(wrong)) < 1
    assert found.track == "carton_0"


def test_without_smoothing_poses_are_as_measured_and_named():
    rng, track = np.random.default_rng(3), tracker()
    for frame in range(20):
        measured = detection(noisy(rng, START))
        [found] = track([measured], frame * RATE, Smoothing(strength=0))
        assert found.pose is measured.pose
        assert found.track == "carton_0"
    assert track([], 20 * RATE, Smoothing(strength=0)) == []


def test_at_rest_the_variance_is_that_of_a_mean():
    rng, track = np.random.default_rng(5), tracker()
    for frame in range(8):
        [found] = track([detection(noisy(rng, START))], float(frame), Smoothing(at_rest=True))
    np.testing.assert_allclose(found.covariance, SPREAD / 8, atol=1e-9)


def test_a_clock_that_goes_back_begins_anew():
    track = tracker()
    track([detection(START), detection(ASIDE, score=0.5)], 100.0)
    [found] = track([detection(ASIDE)], 50.0)
    assert found.track == "carton_0"


def test_what_is_remembered_goes_on_as_if_nothing_had_been_in_between():
    rng, track, other = np.random.default_rng(6), tracker(), tracker()
    seen = [[detection(noisy(rng, START)), detection(noisy(rng, ASIDE), SOUP)] for _ in range(20)]
    for number in range(10):
        track(seen[number], RATE * number)
    memory = track.memory()
    expected = [track(seen[number], RATE * number) for number in range(10, 20)]
    for tracks in (track, other):
        tracks.recall(memory)
        for number in range(10, 20):
            for found, then in zip(tracks(seen[number], RATE * number), expected[number - 10], strict=True):
                assert found.track == then.track
                np.testing.assert_array_equal(found.pose.matrix, then.pose.matrix)
                np.testing.assert_array_equal(found.covariance, then.covariance)


def test_covariances_of_zeros_and_frames_of_the_same_stamp_do_no_harm():
    track = tracker()
    for time in (0.0, 0.0, 0.1, 0.1):
        [found] = track([detection(START, covariance=np.zeros((6, 6)))], time)
        assert np.isfinite(found.covariance).all()


def test_a_pose_s_covariance_follows_its_origin():
    rng, arm = np.random.default_rng(4), np.array([0.1, -0.2, 0.05])
    root = rng.normal(size=(6, 6)) * 1e-3
    errors = rng.normal(size=(200_000, 6)) @ root.T
    there = np.column_stack([errors[:, :3] + np.cross(errors[:, 3:], arm), errors[:, 3:]])
    np.testing.assert_allclose(transport_covariance(root @ root.T, arm), np.cov(there.T), rtol=0.02, atol=2e-7)


def test_a_state_waits_as_long_in_one_step_as_in_many():
    state = replace(State.first(START, SPREAD), velocity=np.array([0.1, 0, 0.2, 0, 0.5, 0]))
    many = state
    for _ in range(10):
        many = many.after(0.05)
    once = state.after(0.5)
    np.testing.assert_allclose(many.covariance, once.covariance, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(many.pose.matrix, once.pose.matrix, atol=1e-12)
