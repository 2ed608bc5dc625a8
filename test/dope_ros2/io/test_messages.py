"""What is read from messages, whoever made their classes."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.messages import read_depth, read_image, read_pose, read_seconds, read_transform
from helpers import node_recording

seeds = st.integers(0, 2**32 - 1)


def message(**fields):
    return SimpleNamespace(**fields)


def image(pixels, encoding):
    height, width = pixels.shape[:2]
    step = pixels.nbytes // height
    return message(
        data=pixels.tobytes(), encoding=encoding, width=width, height=height, step=step, is_bigendian=0
    )  # fmt: skip


@given(seeds)
def test_a_pose_survives_the_way_through_a_message(seed):
    rng = np.random.default_rng(seed)
    pose = Pose.random(rng, rng.normal(size=3))
    msg = node_recording.pose(pose)
    for read in (read_pose(msg), read_transform(message(rotation=msg.orientation, translation=msg.position))):
        np.testing.assert_allclose(read.matrix, pose.matrix, atol=1e-12)


@given(st.integers(0, 2**31 - 1), st.integers(0, 10**9 - 1))
def test_a_stamp_is_read_to_the_microsecond(sec, nanosec):
    assert read_seconds(message(sec=sec, nanosec=nanosec)) == pytest.approx(sec + nanosec / 1e9, abs=1e-6, rel=0)


@given(seeds)
def test_raw_and_compressed_images_of_the_same_pixels_are_the_same_picture(seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(read_image(image(rgb, "rgb8")), rgb)
    np.testing.assert_array_equal(read_image(node_recording.image(rgb, 0)), rgb)


def test_depth_is_in_metres_whatever_the_camera_sends():
    millimetres = np.array([[0, 530], [1, 65535]], np.uint16)
    np.testing.assert_allclose(read_depth(image(millimetres, "16UC1")), [[0, 0.53], [0.001, 65.535]])
    np.testing.assert_array_equal(read_depth(image(np.full((2, 3), 0.5, np.float32), "32FC1")), 0.5)


def test_what_cannot_be_read_names_its_topic():
    with pytest.raises(UserError, match="/cam/image_rect: encoding 'rgb9'"):
        read_image(image(np.zeros((2, 2, 3), np.uint8), "rgb9"), "/cam/image_rect")
    with pytest.raises(UserError, match="/cam/depth: encoding 'rgb8' is not one of depth"):
        read_depth(image(np.zeros((2, 2, 3), np.uint8), "rgb8"), "/cam/depth")
