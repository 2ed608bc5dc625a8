"""Which of many objects, sure ones and unsure ones, are looked at closer."""

from dataclasses import replace

import numpy as np
import pytest

from dope_ros2.geometry.pose import Pose
from helpers.drawn_scenes import BOX, CAMERA, Drawn, draw, estimator, picture, pixels_of, places_in

TWIN = replace(BOX, name="twin", class_id=2)
GRID = [(x, y) for y in np.linspace(-1.05, 1.05, 8) for x in np.linspace(-1.4, 1.4, 9)]
KEYPOINTS = np.array([pixels_of(Pose.from_rotvec([0.3, 0.1 * k, 0.1], [*at, 2.0])) for k, at in enumerate(GRID)])


def looked_at(keypoints, heights):
    """Which of boxes and twins, in turn, that are so surely seen (N,) are looked at closer."""
    maps = [draw(keypoints[kind::2], heights[kind::2, None]) for kind in (0, 1)]
    belief, affinity = (np.stack(each) for each in zip(*maps, strict=True))
    names, pixels = places_in(estimator(Drawn(belief, affinity), [BOX, TWIN], crop=160), picture(), CAMERA)
    own = [pixels[[name == model.name for name in names]] for model in (BOX, TWIN)]
    away = [np.linalg.norm(own[k % 2] - centre, axis=1) for k, centre in enumerate(keypoints[:, 8])]
    return np.array([distances.min(initial=np.inf) < 2 for distances in away])


def test_of_more_objects_than_can_be_looked_at_the_surest_are():
    heights = np.random.default_rng(0).permutation(np.linspace(0.5, 1, len(KEYPOINTS)))
    found = looked_at(KEYPOINTS, heights)
    assert 0 < np.count_nonzero(~found) < 20
    assert heights[~found].max() < heights[found].min()


@pytest.mark.parametrize("height", [0.3, 0.5])
def test_an_object_of_which_a_first_look_is_half_sure_is_looked_at(height):
    assert looked_at(KEYPOINTS[30:34], np.array([1.0, height, 1.0, 1.0])).tolist() == [True] * 4


def test_a_shadow_of_an_object_is_not_looked_at():
    assert looked_at(KEYPOINTS[30:34], np.array([1.0, 0.17, 1.0, 1.0])).tolist() == [True, False, True, True]
