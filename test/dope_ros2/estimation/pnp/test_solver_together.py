"""Objects that are solved together do not know of each other."""

import numpy as np
from hypothesis import given, settings

from dope_ros2.estimation.pnp.solver import Correspondences, Gate, solve, solve_all
from helpers.pnp_cases import CAMERA, CARTON, draw, keep, seeds


@given(seed=seeds)
@settings(deadline=None, max_examples=20)
def test_objects_are_solved_together_as_they_are_alone(seed):
    rng, sightings = np.random.default_rng(seed), []
    for k in range(6):
        _, pixels, _ = draw([seed, k])
        pixels = keep(pixels, rng.choice(9, rng.integers(3, 10), replace=False))
        pixels[0] += rng.choice([0, 50])
        sightings.append(Correspondences(CARTON, pixels, CAMERA.K, np.full(9, 1.0)))
    together = solve_all(sightings, Gate())
    for sighting, found in zip(sightings, together, strict=True):
        alone = solve(sighting.points, sighting.pixels, sighting.K, sighting.sigmas, Gate())
        assert (alone is None) == (found is None)
        if found is not None:
            np.testing.assert_allclose(found.pose.matrix, alone.pose.matrix, atol=1e-5)
            assert found.inliers.tolist() == alone.inliers.tolist()


def test_nothing_to_solve_is_solved():
    assert solve_all([], Gate()) == []
