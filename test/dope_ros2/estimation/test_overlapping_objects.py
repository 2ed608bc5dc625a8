"""Boxes that overlap in the image, peaks in wrong places, votes that miss: what is one object and what are two."""

import numpy as np
import pytest

from dope_ros2.estimation.map_decoder import decode
from dope_ros2.estimation.settings import Settings
from helpers.drawn_scenes import SPEC, STRIDE, draw, draw_surface, found_in, is_right, pixels_of, random_pose

CENTRE = 8
EVERYTHING = Settings(min_score=0.0)


def decoded(belief, affinity):
    return decode(belief[None], affinity[None], SPEC, 0.15)


def box(seed, pixel=(300, 240), distance=0.55):
    return random_pose(np.random.default_rng(seed), pixel, distance)


def beside(keypoints, offset):
    """The same object, whose corners believe its centroid aside by an offset (2,) [px]: maps of its votes."""
    moved = keypoints.copy()
    moved[CENTRE] += offset
    return draw(moved)[1]


@pytest.mark.parametrize("seed", range(5))
def test_of_several_peaks_of_a_corner_that_vote_for_the_centroid_the_highest_is_the_corner(seed):
    keypoints = pixels_of(box(seed))
    belief, affinity = draw(keypoints)
    ghosts = keypoints[[6, 7, 4, 5, 2, 3, 0, 1, CENTRE]]  # each channel answers at the opposite corner, too
    unsure, exact = draw(ghosts, 0.6)
    _, off = draw(keypoints + np.where(np.arange(9)[:, None] == CENTRE, [5.0, 3.0], 0.0))
    affinity = np.where(affinity != 0, off, exact)  # and there its vote is the better one
    [found] = decoded(np.maximum(belief, unsure), affinity)
    np.testing.assert_allclose(found.keypoints, keypoints, atol=2)


@pytest.mark.parametrize("voters", [1, 2, 3])
def test_an_object_of_which_a_few_corners_vote_beside_the_centroid_is_one_object(voters):
    keypoints = pixels_of(box(2))
    belief, affinity = draw(keypoints)
    wrong = np.repeat(np.arange(8) < voters, 2)[:, None, None]
    affinity = np.where(wrong, beside(keypoints, 2.8 * STRIDE * np.array([0.6, 0.8])), affinity)
    assert len(decoded(belief, affinity)) == 1


@pytest.mark.parametrize("angle", np.arange(0, 6.28, np.pi / 4))
def test_an_object_whose_corners_all_vote_a_little_beside_its_centroid_is_one_object(angle):
    keypoints = pixels_of(box(3))
    belief, _ = draw(keypoints)
    aside = 1.7 * STRIDE * np.array([np.cos(angle), np.sin(angle)])
    [found] = decoded(belief, beside(keypoints, aside))
    np.testing.assert_allclose(found.keypoints, keypoints, atol=1)


@pytest.mark.parametrize("seed", range(5))
def test_two_objects_whose_centroids_melt_into_one_peak_are_two(seed):
    poses = box(seed), box(seed + 100, (300 + 3 * STRIDE, 240), 0.65)
    keypoints = np.array([pixels_of(pose) for pose in poses])
    belief, affinity = draw(keypoints, np.where(np.arange(9) == CENTRE, [[1.0], [0.1]], 1.0))
    found = np.array([instance.keypoints[CENTRE] for instance in decoded(belief, affinity)])
    assert len(found) == 2
    for truth in keypoints[:, CENTRE]:
        assert np.linalg.norm(found - truth, axis=1).min() < STRIDE


def overlapping(seed, apart, distance, beliefs, hidden):
    """A front box and one behind it, of which so many corners are hidden; `beliefs` are the heights of both."""
    rng = np.random.default_rng(seed)
    front = random_pose(rng, (300, 240), 0.55)
    behind = random_pose(rng, (300 + rng.uniform(-apart, apart), 240 + rng.uniform(-apart, apart)), distance)
    heights = np.outer(beliefs, np.ones(9))
    heights[1, rng.permutation(8)[:hidden]] = 0
    maps = draw([pixels_of(front), pixels_of(behind)], heights)
    return (front, behind), found_in(*maps, draw_surface([front, behind]), EVERYTHING)


def are_found(found, poses):
    return [any(is_right(detection, pose) for detection in found) for pose in poses]


@pytest.mark.parametrize("seed", [3, 15, 17])
def test_a_box_that_was_refused_among_the_cells_of_another_is_found_when_that_one_has_been(seed):
    poses, found = overlapping(seed, apart=40, distance=0.9, beliefs=(0.28, 1.0), hidden=5)
    assert are_found(found, poses)[1]


@pytest.mark.parametrize("seed", [1, 2, 6, 10])
def test_a_box_with_two_corners_in_view_is_found_behind_another_whose_cells_are_explained(seed):
    poses, found = overlapping(seed, apart=50, distance=0.75, beliefs=(0.9, 1.0), hidden=6)
    assert are_found(found, poses) == [True, True]
