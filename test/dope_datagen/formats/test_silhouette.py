"""What the importers are made of: which conventions are tried and chosen, and masks drawn from a mesh."""

import cv2
import numpy as np
import pytest

from dope_datagen.formats import conventions, silhouette
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from helpers.handmade_images import HEIGHT, MUG, WIDTH, box_mesh


def test_few_conventions_explain_many_pictures():
    misfits = np.full((5, 4), np.inf)
    misfits[:3, 2] = 0.1
    misfits[0, 1] = 0.0  # fits one image better, but another fits three
    misfits[3, 3], misfits[3, 0] = 0.2, 0.4  # the simpler of two that fit alike
    np.testing.assert_array_equal(conventions.decide(misfits), [2, 2, 2, 0, -1])


def test_every_reading_of_a_box_is_tried_once():
    turns_and_orders = {(c.turn.tobytes(), c.order.tobytes()) for c in conventions.CONVENTIONS}
    assert len(conventions.CONVENTIONS) == len(turns_and_orders) * 3 * 2 * 2
    assert len({c.order.tobytes() for c in conventions.CONVENTIONS}) == 48


def test_a_silhouette_has_the_area_of_the_boxs_outline():
    camera = CameraModel.from_focal(300, WIDTH, HEIGHT)
    for seed in range(5):
        pose = Pose.random(np.random.default_rng(seed), (0.05, 0.02, 0.6))
        shape = silhouette.draw(box_mesh(MUG), pose, camera)
        hull = cv2.convexHull(np.float32(camera.project(pose.apply(MUG.keypoints))))
        assert shape.area == pytest.approx(cv2.contourArea(hull), rel=0.015)


def test_a_silhouette_beyond_the_frame_is_counted_but_not_shown():
    camera = CameraModel.from_focal(300, WIDTH, HEIGHT)
    pose = Pose(np.eye(3), np.array([0.3, 0, 0.6]))  # left edge at column 199, of 160
    shape = silhouette.draw(box_mesh(MUG), pose, camera)
    assert shape.area > 1000
    assert not shape.inside(camera).any()
    assert shape.bbox[0] > WIDTH
