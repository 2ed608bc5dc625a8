"""A low peak is a less exact keypoint, from the maps to the pose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dope_ros2.estimation.map_decoder import decode
from dope_ros2.network.calibration import PeakCalibration
from helpers.drawn_scenes import SPEC, draw, found_in, is_right, pixels_of, random_pose

POSE = random_pose(np.random.default_rng(5), (300, 240), 0.6)
lengths = st.floats(0.01, 3)


@given(sure=lengths, slope=lengths)
def test_a_keypoint_is_as_exact_as_measured_at_height_one_and_by_so_much_less_at_height_zero(sure, slope):
    sigmas = PeakCalibration(sigma_sure=sure, sigma_slope=slope).sigmas(np.array([1.0, 0.5, 0.0]))
    np.testing.assert_allclose(sigmas, [sure, sure + slope / 2, sure + slope])


def test_keypoints_of_half_the_height_are_decoded_as_less_exact():
    sigmas = []
    for height in (1.0, 0.5):
        belief, affinity = draw(pixels_of(POSE), height)
        [found] = decode(belief[None], affinity[None], SPEC, 0.15, PeakCalibration(sigma_sure=0.2, sigma_slope=0.8))
        sigmas.append(found.sigmas / SPEC.stride)
    np.testing.assert_allclose(sigmas[0], 0.2, atol=0.03)
    np.testing.assert_allclose(sigmas[1], 0.6, atol=0.03)


def test_a_pose_from_faint_peaks_claims_less():
    [sure], [faint] = (found_in(*draw(pixels_of(POSE), height)) for height in (1.0, 0.5))
    assert is_right(sure, POSE)
    assert is_right(faint, POSE)
    deviations = np.sqrt([np.diag(found.covariance) for found in (sure, faint)])
    assert (deviations[1] > 2 * deviations[0]).all()


@pytest.mark.parametrize("corner", range(4))
def test_a_faint_corner_in_a_wrong_place_bends_the_pose_less_than_a_sure_one(corner):
    keypoints = pixels_of(POSE)
    keypoints[corner] += [5.0, -4.0]
    heights = np.ones((2, 9))
    heights[1, corner] = 0.25
    [sure], [faint] = (found_in(*draw(keypoints, height)) for height in heights)
    assert faint.pose.distance_to(POSE) < 0.5 * sure.pose.distance_to(POSE)
