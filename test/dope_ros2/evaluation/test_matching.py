import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dope_ros2.evaluation.live_statistics import HEADING, LiveStatistics, line
from dope_ros2.evaluation.matching import LabelledPose, match
from dope_ros2.geometry.pose import Pose


def instance(x=0.0, z=1.0, angle=0.0, name="carton", score=1.0):
    pose = Pose.from_rotvec([0, 0, angle], [x, 0, z])
    return LabelledPose(name, score, pose, pose.translation)


@settings(deadline=None)
@given(st.permutations(range(5)))
def test_the_order_of_detections_does_not_matter(order):
    truths = [instance(x=0.3 * i) for i in range(5)]
    matches = match(truths, [truths[i] for i in order])
    assert [order[m.detection] for m in matches] == [0, 1, 2, 3, 4]
    assert all(m.found and m.translation == 0 for m in matches)


def test_two_detections_on_one_object_are_one_match():
    matches = match([instance(), instance(x=1)], [instance(x=0.001), instance(x=0.002)])
    assert [m.detection for m in matches] == [0, None]


def test_close_objects_are_paired_so_that_the_sum_of_distances_is_least():
    matches = match([instance(x=0), instance(x=0.05)], [instance(x=0.04), instance(x=0.09)])
    assert [m.detection for m in matches] == [0, 1]


@pytest.mark.parametrize(
    ("detection", "found"),
    [
        (instance(x=0.099), True),
        (instance(x=0.101), False),
        (instance(angle=np.deg2rad(19)), True),
        (instance(angle=np.deg2rad(21)), False),
        (instance(name="mustard"), False),
    ],
)
def test_found_means_within_ten_percent_and_twenty_degrees_of_the_same_class(detection, found):
    assert match([instance()], [detection])[0].found is found


def test_a_symmetry_forgives_the_rotation_under_which_the_object_looks_the_same():
    half_turn = Pose.from_rotvec([0, 0, np.pi], [0, 0, 0]).rotation
    [forgiven] = match([instance()], [instance(angle=np.pi)], {"carton": [half_turn]})
    assert forgiven.rotation == pytest.approx(0, abs=1e-6)
    assert match([instance()], [instance(angle=np.pi)])[0].rotation == pytest.approx(np.pi)


def test_the_tally_counts_what_came_in_any_order():
    tally = LiveStatistics(min_visibility=0.6)
    tally.add_detections(1_000_000_000, [instance(z=1.02), instance(x=5)], 1.1)
    tally.add_truth(1_000_000_000, [instance(), instance(x=0.5), instance(x=-0.5, score=0.3)])
    tally.add_truth(2_000_000_000, [instance()])
    tally.add_truth(3_000_000_000, [instance()])
    tally.add_detections(3_000_000_000, [instance(angle=0.1)], 3.3)
    summary = tally.summary()
    assert (summary["frames"], summary["answered"], summary["dropped"]) == (3, 2, 1)
    assert (summary["truths"], summary["found"], summary["false_positives"]) == (3, 2, 1)
    assert summary["recall"] == pytest.approx(2 / 3)
    assert summary["translation_error"] == pytest.approx(0.01)
    assert summary["rotation_error_deg"] == pytest.approx(np.rad2deg(0.05))
    assert summary["latency_p50_ms"] == pytest.approx(200)
    assert summary["fps"] == pytest.approx(1 / 2.2)


def test_a_line_of_the_table_is_as_wide_as_its_heading_also_with_nothing_to_say():
    assert len(line(LiveStatistics().summary())) == len(HEADING)
