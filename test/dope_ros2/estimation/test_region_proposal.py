"""Regions: how large an object is without its pose, and which of the places where something may be are looked at."""

from dataclasses import replace

import numpy as np
import pytest

from dope_ros2.estimation.map_decoder import KeypointInstance
from dope_ros2.estimation.object_crops import ObjectRegion
from dope_ros2.estimation.region_proposal import (
    MAX_REGIONS,
    MIN_REGION_BELIEF,
    expected_regions,
    instance_region,
    is_new,
    pose_region,
    propose_regions,
)
from dope_ros2.geometry.pose import Pose
from helpers.fake_network import BOX, CAMERA

NEAR = Pose.from_rotvec([0.4, -0.8, 1.1], [0.05, -0.03, 0.5])
FAR = Pose.from_rotvec([-0.9, 0.3, 0.2], [-0.3, 0.2, 1.4])
EDGE = Pose.from_rotvec([0.1, 1.2, 0.4], [0.34, 0.1, 0.7])
CAN = replace(BOX, name="can")


def instance(corners, pixels):
    keypoints = np.full((9, 2), np.nan)
    keypoints[[*corners, 8]] = pixels[[*corners, 8]]
    return KeypointInstance(0, keypoints, np.ones(9), np.ones(9))


@pytest.mark.parametrize("pose", [NEAR, FAR, EDGE])
def test_corners_say_how_large_an_object_is(pose):
    pixels = CAMERA.project(pose.apply(BOX.keypoints))
    region = instance_region("box", instance(range(8), pixels), None, 8)
    assert region.extent == pytest.approx(np.ptp(pixels, axis=0).max(), rel=0.25)
    np.testing.assert_array_equal(region.centre, pixels[8])


def test_where_corners_are_missing_its_cells_say_it():
    pixels = CAMERA.project(NEAR.apply(BOX.keypoints))
    seen = np.zeros((60, 80), bool)
    column, row = np.rint((pixels[8] - 3.5) / 8).astype(int)
    seen[row - 5 : row + 6, column - 8 : column + 9] = True
    seen[2:5, 2:9] = True  # another object of the class
    assert instance_region("box", instance([], pixels), seen, 8).extent == pytest.approx(2 * 8 * 8, abs=10)
    assert instance_region("box", instance([3], pixels), seen, 8).extent == pytest.approx(2 * 8 * 8, abs=10)
    for nothing in (None, np.zeros((60, 80), bool)):
        assert instance_region("box", instance([], pixels), nothing, 8).extent == 8


def believed(scores, at=0.0, class_index=0):
    return KeypointInstance(class_index, np.full((9, 2), at), np.asarray(scores, float), np.ones(9))


def test_the_best_believed_instances_are_proposed_and_weak_ones_are_not():
    weak, fair, good = (believed(np.full(9, height)) for height in (0.99 * MIN_REGION_BELIEF, 0.3, 0.8))
    fair, good = replace(fair, class_index=1), replace(good, keypoints=np.full((9, 2), 40.0))
    regions = propose_regions([weak, fair, good], ["box", "can"], None, 8)
    assert regions == [ObjectRegion("box", 40.0, 40.0, 8.0), ObjectRegion("can", 0.0, 0.0, 8.0)]


def test_of_more_instances_than_are_looked_at_the_best_stay():
    count = MAX_REGIONS + 6
    order = np.random.default_rng(0).permutation(count)
    instances = [believed(np.full(9, 0.3 + 0.5 * k / count), at=float(k)) for k in order]
    regions = propose_regions(instances, ["box"], None, 8)
    assert [region.x for region in regions] == [float(k) for k in range(count - 1, count - 1 - MAX_REGIONS, -1)]


def test_a_region_of_an_object_that_is_looked_at_anyway_is_not_new():
    known = [ObjectRegion("box", 100.0, 80.0, 60.0)]
    assert not is_new(ObjectRegion("box", 110.0, 80.0, 50.0), known)
    assert is_new(ObjectRegion("can", 110.0, 80.0, 50.0), known)
    assert is_new(ObjectRegion("box", 130.0, 80.0, 50.0), known)
    assert is_new(ObjectRegion("box", 100.0, 80.0, 60.0), [])


def test_what_is_expected_out_of_view_or_behind_the_camera_is_not_looked_for():
    aside = Pose(NEAR.rotation, np.array([5.0, 0, 0.7]))
    behind = Pose(NEAR.rotation, np.array([0.0, 0, -0.7]))
    assert [pose_region(BOX, pose, CAMERA) for pose in (aside, behind)] == [None, None]
    region = pose_region(BOX, NEAR, CAMERA)
    pixels = CAMERA.project(NEAR.apply(BOX.keypoints))
    assert (region.name, region.extent) == ("box", pytest.approx(np.ptp(pixels, axis=0).max()))
    np.testing.assert_allclose(region.centre, pixels[8])


def test_where_objects_are_expected_comes_before_other_places_and_each_object_once():
    near = pose_region(BOX, NEAR, CAMERA)
    other = ObjectRegion("box", 20.0, 30.0, 40.0)
    can = other._replace(name="can")
    assert expected_regions([(BOX, NEAR)], [near, other, other, can], ["box", "can"], CAMERA) == [near, other, can]
    assert expected_regions([(BOX, NEAR), (CAN, FAR)], [other, can], ["can"], CAMERA) == [
        pose_region(CAN, FAR, CAMERA),
        can,
    ]
