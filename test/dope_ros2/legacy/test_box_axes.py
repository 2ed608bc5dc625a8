"""Boxes whose axes are named otherwise."""

from itertools import permutations, product

import numpy as np
import pytest
import torch

from dope_ros2.common.errors import UserError
from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.legacy import box_axes
from dope_ros2.network.dope_paper import Paper

CAMERA = CameraModel.from_focal(600, 640, 480)
WORDS = [
    ",".join(s + a for s, a in zip(signs, xyz, strict=True))
    for xyz in permutations("xyz")
    for signs in product(["", "-"], repeat=3)
]


def is_rotation(words):
    try:
        box_axes.parse(words)
    except UserError:
        return False
    return True


ROTATIONS = [words for words in WORDS if is_rotation(words)]


def test_half_of_all_namings_are_rotations_and_the_others_mirror_images():
    assert len(WORDS) == 48
    assert len(ROTATIONS) == 24
    with pytest.raises(UserError, match=r"axes 'y,x,z': .* such as z,x,y or x,-z,y; a mirror image is no rotation"):
        box_axes.parse("y,x,z")


@pytest.mark.parametrize("words", ROTATIONS)
def test_a_rotation_has_the_name_that_it_was_read_from(words):
    rotation = box_axes.parse(words)
    np.testing.assert_array_equal(rotation @ rotation.T, np.eye(3))
    assert box_axes.named(rotation) == words
    assert box_axes.named(rotation + 0.005) == words


@pytest.mark.parametrize("words", ["", "x", "x,y", "x,x,z", "x,y,z,x", "x,y,w", "xy,y,z", "--x,y,z", ",,"])
def test_what_is_no_three_axes_is_refused(words):
    with pytest.raises(UserError, match="name which axes of the weights' box"):
        box_axes.parse(words)


def test_a_turn_by_another_angle_has_no_name():
    assert box_axes.named(Pose.from_rotvec([0, 0, 0.3], [0, 0, 0]).rotation) is None


@pytest.mark.parametrize("words", ROTATIONS)
def test_keypoints_of_the_box_in_that_order_are_those_of_the_object_at_the_pose_times_the_rotation(words):
    rotation = box_axes.parse(words)
    box = np.array([0.16, 0.21, 0.07])
    size = np.abs(rotation.T @ box)
    pose = Pose.from_rotvec([0.4, -0.8, 1.1], [0.05, -0.03, 0.7])
    seen = CAMERA.project(pose.apply(cuboid.keypoints(box)))
    turned = pose @ Pose(rotation, np.zeros(3))
    expected = CAMERA.project(turned.apply(cuboid.keypoints(size)))
    np.testing.assert_allclose(seen[box_axes.keypoint_order(rotation)], expected, atol=1e-9)


def test_a_renumbered_network_says_the_same_in_the_new_order_at_every_stage():
    torch.manual_seed(0)
    network = Paper().eval()
    order = box_axes.keypoint_order(box_axes.parse("z,x,y"))
    assert list(order) != list(range(9))
    pairs = [2 * corner + xy for corner in order[:8] for xy in (0, 1)]
    image = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        before = network.stages(image)
        network.renumber(order)
        after = network.stages(image)
    for (belief, affinity), (again, votes) in zip(before, after, strict=True):
        torch.testing.assert_close(again, belief[:, order])
        torch.testing.assert_close(votes, affinity[:, pairs])
