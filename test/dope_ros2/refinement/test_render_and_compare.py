"""Laws of the refinement, on a carton that is drawn over noise, a gradient of light on it."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from dope_ros2.geometry.pose import Pose
from dope_ros2.refinement.render_and_compare import COMPLETE, FINE, refine
from helpers.drawn_carton import CAMERA, POSES, appearance, photograph


def started(pose, degrees, share, rng):
    """A pose that is off by this angle, about any axis, and by this share of the distance."""
    axis = rng.normal(size=3)
    centre = pose.apply(appearance().box.centre)
    turn = Pose.from_rotvec(np.deg2rad(degrees) * axis / np.linalg.norm(axis), np.zeros(3)).rotation
    return Pose(turn @ pose.rotation, centre * (1 + share) - turn @ pose.rotation @ appearance().box.centre)


def errors(found, pose):
    """Degrees, and share of the distance."""
    away = found.pose.apply(appearance().box.centre) - pose.apply(appearance().box.centre)
    return np.degrees(found.pose.angle_to(pose)), np.linalg.norm(away) / pose.translation[2]


@cache
def refined(index):
    """From 8 degrees and 5 % off."""
    start = started(POSES[index], 8.0, 0.05 * (-1) ** index, np.random.default_rng(index))
    return refine(photograph(index), CAMERA, appearance(), start)


@pytest.mark.parametrize("index", range(len(POSES)))
def test_a_start_that_is_off_ends_where_the_object_is(index):
    turn, move = errors(refined(index), POSES[index])
    assert turn < 0.2
    assert move < 0.001


def test_the_likeness_is_high_where_the_object_is_and_low_beside_it():
    there = refined(0).likeness
    beside = refine(photograph(0), CAMERA, appearance(), started(POSES[0], 60, 0, np.random.default_rng(5)), FINE[:1])
    assert there.print > 0.8
    assert there.outline > 0.5
    assert there.within == 1
    assert beside.likeness.print < 0.5


@pytest.mark.parametrize(("gain", "offset"), [(0.6, 0), (0.8, 40)])
def test_brightness_and_contrast_change_nothing(gain, offset):
    darker = np.uint8(np.clip(photograph(1) * gain + offset, 0, 255))
    start = started(POSES[1], 5.0, 0.02, np.random.default_rng(0))
    turn, move = errors(refine(darker, CAMERA, appearance(), start), POSES[1])
    assert turn < 0.4
    assert move < 0.003


def test_what_hides_a_part_does_not_pull():
    image = photograph(2).copy()
    u, v = CAMERA.project(POSES[2].apply(appearance().box.centre)).astype(int)
    image[v : v + 60, u : u + 90] = (40, 160, 60)
    start = started(POSES[2], 5.0, 0.02, np.random.default_rng(0))
    turn, move = errors(refine(image, CAMERA, appearance(), start), POSES[2])
    assert turn < 0.5
    assert move < 0.004


def test_the_answer_belongs_to_the_object_not_to_the_camera():
    """A crop of the image, with its camera, has the same answer."""
    start = started(POSES[0], 4.0, 0.02, np.random.default_rng(0))
    u, v = CAMERA.project(POSES[0].apply(appearance().box.centre)).astype(int) - 150
    image = np.ascontiguousarray(photograph(0)[v : v + 300, u : u + 300])
    one = refine(photograph(0), CAMERA, appearance(), start)
    two = refine(image, CAMERA.cropped(u, v, 300, 300), appearance(), start)
    assert np.degrees(one.pose.angle_to(two.pose)) < 0.1
    assert one.pose.distance_to(two.pose) < 3e-4


def test_the_order_of_the_elements_hardly_matters():
    own = appearance()
    order = np.random.default_rng(0).permutation(len(own.points))
    other = replace(own, points=own.points[order], normals=own.normals[order], colors=own.colors[order])
    start = started(POSES[1], 4.0, 0.02, np.random.default_rng(0))
    turn, move = errors(refine(photograph(1), CAMERA, other, start), POSES[1])
    assert turn < 0.4
    assert move < 0.003


def test_a_covariance_says_about_how_far_off_a_pose_is():
    motions = np.array([pose.minus(refined(index).pose) for index, pose in enumerate(POSES)])
    claimed = np.sqrt([np.diag(refined(index).covariance) for index in range(len(POSES))])
    ratios = np.abs(motions) / claimed
    assert 0.3 < np.median(ratios) < 1.5


@pytest.mark.parametrize("place", [(5.0, 0.0, 1.0), (0.0, 0.0, -1.0), (0.0, 0.0, 0.05)])
def test_what_is_beside_or_behind_the_camera_is_left_alone(place):
    assert refine(photograph(0), CAMERA, appearance(), Pose(np.eye(3), np.array(place)), COMPLETE[:1]) is None


def test_an_object_that_the_border_cuts_is_refined():
    cut = np.ascontiguousarray(photograph(0)[:, : int(CAMERA.project(POSES[0].apply(appearance().box.centre))[0]) + 30])
    camera = CAMERA.cropped(0, 0, cut.shape[1], cut.shape[0])
    start = started(POSES[0], 3.0, 0.01, np.random.default_rng(0))
    found = refine(cut, camera, appearance(), start)
    turn, _ = errors(found, POSES[0])
    assert turn < 0.7
    assert found.likeness.within < 0.95


def test_a_blank_image_gives_a_likeness_of_about_nothing():
    blank = np.full((CAMERA.height, CAMERA.width, 3), 128, np.uint8)
    found = refine(blank, CAMERA, appearance(), POSES[0])
    assert found is None or found.likeness.print < 0.2
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, blank.shape).astype(np.uint8), (0, 0), 1.5)
    found = refine(noise, CAMERA, appearance(), POSES[0])
    assert found is None or found.likeness.print < 0.4
