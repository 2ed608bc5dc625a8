"""What a track takes for motion: a drift, however slow, and not one measurement that is off."""

import numpy as np
import pytest

from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.tracking.tracker import Tracker

CARTON = ObjectModel(name="carton", class_id=1, size=(0.16, 0.11, 0.06))
NOISE = np.diag([0.001, 0.001, 0.004, 0.01, 0.01, 0.01]) ** 2
START = Pose.from_rotvec([0.3, 0.5, 0.2], [0.05, 0.02, 1.0])
RATE = 1 / 30
RESTING = 60  # frames before something happens


def followed(aside, wild=None):
    """Errors (N, 6) of the filtered poses of an object that is `aside` (N,) [m] along x.

    It is measured without errors, though NOISE is claimed, but for one `wild` measurement (frame, how far off [m]).
    """
    track, errors = Tracker([CARTON]), []
    for frame, x in enumerate(aside):
        truth = START.plus(np.array([x, 0, 0, 0, 0, 0]))
        off = wild[1] if wild and frame == wild[0] else 0.0
        measured = truth.plus(np.array([off, 0, 0, 0, 0, 0]))
        [found] = track([Detection(CARTON, 0.9, measured, NOISE, np.zeros((9, 2)), 0.5)], frame * RATE)
        errors.append(found.pose.minus(truth))
    return np.array(errors)


@pytest.mark.parametrize("sigmas", [3, 5, 6])
def test_a_resting_object_does_not_follow_one_measurement_of_up_to_six_sigmas(sigmas):
    errors = followed(np.zeros(RESTING + 20), (RESTING, sigmas * 0.001))
    assert np.abs(errors[RESTING:, 0]).max() < 0.001


@pytest.mark.parametrize("speed", [0.02, 0.03, 0.1])
def test_a_drift_is_noticed_before_a_track_lags_by_more_than_three_sigmas(speed):
    errors = followed(speed * RATE * np.maximum(0, np.arange(RESTING + 60) - RESTING))
    assert np.abs(errors[RESTING:, 0]).max() < 0.0034
    assert np.abs(errors[RESTING + 40 :, 0]).max() < 0.001
