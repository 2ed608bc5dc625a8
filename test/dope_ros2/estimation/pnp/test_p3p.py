"""Poses from triples of points, many at once."""

import numpy as np
import pytest

from dope_ros2.estimation.pnp.p3p import p3p, quartic_roots
from dope_ros2.geometry.pose import Pose


def triples(count, seed=0):
    """Random triples, their rays, and the poses that they are seen at."""
    rng = np.random.default_rng(seed)
    poses = [Pose.random(rng, rng.uniform([-0.3, -0.3, 0.4], [0.3, 0.3, 1.5])) for _ in range(count)]
    points = rng.uniform(-0.1, 0.1, (count, 3, 3))
    seen = np.array([pose.apply(three) for pose, three in zip(poses, points, strict=True)])
    return poses, points, seen[..., :2] / seen[..., 2:]


def test_the_true_pose_is_among_the_answers():
    found = 0
    for pose, points, rays in zip(*triples(1000), strict=True):
        rotations, translations, _ = p3p(points[None], rays[None])
        assert len(rotations) <= 4
        off = np.abs(rotations - pose.rotation).max((1, 2)) + np.abs(translations - pose.translation).max(1)
        found += off.min(initial=1) < 1e-5
    assert found >= 990


def test_every_answer_is_a_rotation_that_puts_the_points_on_their_rays():
    _, points, rays = triples(300, seed=1)
    for three, two in zip(points, rays, strict=True):
        for R, t in zip(*p3p(three[None], two[None])[:2], strict=True):
            np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
            assert np.linalg.det(R) == pytest.approx(1)
            seen = three @ R.T + t
            assert (seen[:, 2] > 0).all()
            np.testing.assert_allclose(seen[:, :2] / seen[:, 2:], two, atol=1e-3)


def test_many_at_once_are_the_same_as_one_by_one():
    _, points, rays = triples(50, seed=2)
    rotations, translations, which = p3p(points, rays)
    single = [p3p(three[None], two[None]) for three, two in zip(points, rays, strict=True)]
    np.testing.assert_allclose(rotations, np.concatenate([r for r, _, _ in single]), atol=1e-12)
    np.testing.assert_allclose(translations, np.concatenate([t for _, t, _ in single]), atol=1e-12)
    assert which.tolist() == [k for k, (r, _, _) in enumerate(single) for _ in r]


@pytest.mark.parametrize("count", [0, 5])
def test_triples_on_a_line_or_in_a_point_give_nothing(count):
    rng = np.random.default_rng(3)
    line = np.arange(3)[None, :, None] * rng.normal(size=(count, 1, 3))
    flat = np.arange(3)[None, :, None] * rng.normal(size=(count, 1, 2))
    some, seen = rng.normal(size=(count, 3, 3)), rng.normal(size=(count, 3, 2))
    for points, rays in ((line, seen), (some, flat), (0 * some, seen), (some, 0 * seen)):
        rotations, translations, which = p3p(points, rays)
        assert which.shape == (0,)
        assert rotations.shape == (0, 3, 3)
        assert translations.shape == (0, 3)


def test_the_roots_of_a_quartic_are_those_it_was_made_of():
    roots = np.random.default_rng(4).normal(1, 2, (500, 4))
    found = np.sort(quartic_roots(np.array([np.poly(four)[1:] for four in roots])).real, axis=1)
    np.testing.assert_allclose(found, np.sort(roots, axis=1), atol=1e-6)


def test_pairs_of_equal_and_of_complex_roots_are_found():
    coefficients = np.array([np.poly(four)[1:] for four in ([2, 2, -1, -1], [1j, -1j, 3, -2], [0, 0, 0, 0])]).real
    for own, four in zip(quartic_roots(coefficients), ([2, 2, -1, -1], [1j, -1j, 3, -2], [0, 0, 0, 0]), strict=True):
        assert all(np.abs(own - root).min() < 1e-6 for root in four)
