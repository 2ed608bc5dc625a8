"""The measurement update of a Kalman filter: it is the textbook's, and what it leaves is a covariance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dope_ros2.geometry.pose import Pose
from dope_ros2.tracking.kalman_filter import State, kalman_update

laws = settings(deadline=None, max_examples=50)
numbers = st.floats(-1, 1)


def covariances(size, least=1e-3):
    return arrays(float, (size, size), elements=numbers).map(lambda root: root @ root.T + least * np.eye(size))


def measurements(count):
    """Rows (k, 6), innovation (k,) and noise (k, k)."""
    rows, innovations = arrays(float, (count, 6), elements=numbers), arrays(float, count, elements=numbers)
    return st.tuples(rows, innovations, covariances(count))


several = st.integers(1, 6).flatmap(measurements)


@laws
@given(covariances(6), several)
def test_an_update_is_that_of_the_plain_formula_and_of_information(prior, measurement):
    rows, innovation, noise = measurement
    error, covariance = kalman_update(prior, rows, innovation, noise)
    gain = prior @ rows.T @ np.linalg.inv(rows @ prior @ rows.T + noise)
    np.testing.assert_allclose(error, gain @ innovation, atol=1e-8)
    np.testing.assert_allclose(covariance, (np.eye(6) - gain @ rows) @ prior, atol=1e-8)
    information = np.linalg.inv(prior) + rows.T @ np.linalg.inv(noise) @ rows
    np.testing.assert_allclose(covariance @ information, np.eye(6), atol=1e-6)


@laws
@given(covariances(6), several)
def test_what_an_update_leaves_is_symmetric_positive_and_no_larger(prior, measurement):
    _, covariance = kalman_update(prior, *measurement)
    np.testing.assert_array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert np.linalg.eigvalsh(prior - covariance).min() > -1e-9


@laws
@given(covariances(6), arrays(float, (1, 6), elements=numbers).filter(lambda row: np.abs(row).max() > 0.1))
def test_an_exact_measurement_leaves_no_doubt_about_what_it_measures(prior, row):
    error, covariance = kalman_update(prior, row, np.array([0.4]), np.zeros((1, 1)))
    assert row @ error == pytest.approx(0.4)
    np.testing.assert_allclose(row @ covariance, 0, atol=1e-9)
    assert np.linalg.eigvalsh(covariance).min() > -1e-12


@laws
@given(covariances(6), covariances(2), covariances(1), arrays(float, (3, 6), elements=numbers))
def test_two_independent_measurements_are_one_after_the_other_or_both_at_once(prior, two, one, rows):
    noise = np.zeros((3, 3))
    noise[:2, :2], noise[2:, 2:] = two, one
    innovation = np.array([0.3, -0.2, 0.5])
    error, covariance = kalman_update(prior, rows, innovation, noise)
    first, between = kalman_update(prior, rows[:2], innovation[:2], two)
    second, last = kalman_update(between, rows[2:], innovation[2:] - rows[2:] @ first, one)
    np.testing.assert_allclose(first + second, error, atol=1e-7)
    np.testing.assert_allclose(last, covariance, atol=1e-7)


@laws
@given(covariances(6), covariances(6))
def test_a_pose_that_is_as_expected_moves_nothing_and_makes_it_surer(known, measured):
    state = State.first(Pose.from_rotvec([0.3, 0.1, 0.2], [0.1, 0, 1]), known)
    seen = state.seen(state.pose, measured)
    np.testing.assert_allclose(seen.pose.matrix, state.pose.matrix, atol=1e-12)
    np.testing.assert_array_equal(seen.velocity, np.zeros(6))
    expected = np.linalg.inv(np.linalg.inv(known) + np.linalg.inv(measured))
    np.testing.assert_allclose(seen.covariance[:6, :6], expected, atol=1e-6)
