from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dope_ros2.evaluation.live_statistics import HEADING, LiveStatistics, line
from dope_ros2.evaluation.matching import DEFINITION, MAX_DISTANCE, LabelledPose, match, shares_of_limits, true_poses
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel
from helpers.symmetric_objects import PRISM, about_z, turned

SIZE = (0.16, 0.11, 0.06)


def instance(x=0.0, z=1.0, angle=0.0, name="carton", score=1.0, **entry):
    model = ObjectModel(name=name, class_id=1, size=SIZE, **entry)
    return LabelledPose(model, score, Pose.from_rotvec([0, 0, angle], [x, 0, z]))


class Label(NamedTuple):
    name: str
    pose: Pose
    visibility: float


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
    [forgiven] = match([instance(symmetries_discrete=(about_z(np.pi),))], [instance(angle=np.pi)])
    assert forgiven.rotation == pytest.approx(0, abs=1e-6)
    assert match([instance()], [instance(angle=np.pi)])[0].rotation == pytest.approx(np.pi)


def test_the_centre_is_compared_where_the_symmetry_puts_it():
    true = LabelledPose(PRISM, 1.0, Pose.from_rotvec([0.3, 0, 0], [0, 0, 0.2]))
    same = LabelledPose(PRISM, 1.0, turned(true.pose, PRISM, 1))
    off = np.linalg.norm(same.centre - true.centre) / np.linalg.norm(true.centre)
    assert off > MAX_DISTANCE
    [pair] = match([true], [same])
    assert (pair.found, pair.translation) == (True, pytest.approx(0, abs=1e-9))
    np.testing.assert_allclose(pair.nearest.matrix, same.pose.matrix, atol=1e-9)


def test_the_centre_follows_from_pose_and_model():
    found = instance(x=0.5, angle=np.pi / 2, centre=(0.01, 0, 0.02))
    np.testing.assert_allclose(found.centre, [0.5, 0.01, 1.02], atol=1e-12)


def test_only_labels_of_known_objects_are_true_poses():
    labels = [instance(name=name, score=0.4) for name in ("carton", "cup", "carton")]
    labels = [Label(pose.name, pose.pose, pose.score) for pose in labels]
    [first, second] = true_poses(labels, [instance().model])
    assert (first.name, first.score, second.pose) == ("carton", 0.4, labels[2].pose)


def test_what_the_limits_are_is_said_in_one_place():
    assert DEFINITION == "within 10 % of the distance and 20 degrees"
    assert shares_of_limits(0.05, np.deg2rad(30)) == pytest.approx((0.5, 1.5))


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


def test_symmetries_that_are_told_late_count_for_what_has_come_already():
    tally = LiveStatistics()
    tally.add_truth(1, [instance()])
    tally.add_detections(1, [instance(angle=np.pi)], 0.1)
    assert tally.summary()["recall"] == 0
    tally.know({"carton": replace(instance().model, symmetries_discrete=(about_z(np.pi),))})
    assert (tally.summary()["recall"], tally.summary()["false_positives"]) == (1, 0)


def test_a_line_of_the_table_is_as_wide_as_its_heading_also_with_nothing_to_say():
    assert len(line(LiveStatistics().summary())) == len(HEADING)
