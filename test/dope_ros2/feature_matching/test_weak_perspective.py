"""Two poses of three points, as parallel projection has them."""

import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.feature_matching.weak_perspective import weak_perspective

COUNT = 300


def triangles(distance):
    """Points (N, 3, 3) of 5 cm, their poses, and the rays they are seen along from so far away [m]."""
    rng = np.random.default_rng(1)
    points = 0.05 * rng.normal(size=(COUNT, 3, 3))
    R = Rotation.random(COUNT, random_state=2).as_matrix()
    t = distance * np.column_stack([rng.uniform(-0.3, 0.3, (COUNT, 2)), np.ones(COUNT)])
    places = points @ R.transpose(0, 2, 1) + t[:, None]
    return points, R, t, places[..., :2] / places[..., 2:]


def test_one_of_both_poses_is_the_right_one_the_nearer_the_farther_away():
    for distance, degrees, share in ((5.0, 2.0, 0.02), (500.0, 0.02, 2e-4)):
        points, R, t, rays = triangles(distance)
        rotations, translations, which = weak_perspective(points, rays)
        angles = Rotation.from_matrix(rotations @ R[which].transpose(0, 2, 1)).magnitude()
        off = np.linalg.norm(translations - t[which], axis=1) / distance
        best = np.minimum(*np.degrees(angles).reshape(2, -1))
        assert len(best) > 0.8 * COUNT
        assert np.quantile(best, 0.9) < degrees
        assert np.quantile(np.minimum(*off.reshape(2, -1)), 0.9) < share


def test_a_triangle_seen_from_straight_ahead_has_a_pose_however_noisy_its_corners():
    corners = np.array([[0.0, 0, 0], [0.04, 0, 0], [0, 0.03, 0]])
    noise = np.random.default_rng(3).normal(0, 1e-3, (COUNT, 3, 2))
    rays = (corners[:, :2] / 0.8) + noise
    rotations, translations, which = weak_perspective(np.tile(corners, (COUNT, 1, 1)), rays)
    assert set(which) == set(range(COUNT))
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-9)
    assert np.abs(translations[:, 2] - 0.8).max() < 0.2


def test_points_on_a_line_give_no_pose():
    line = np.arange(3)[None, :, None] * np.array([0.01, 0.02, 0.0])
    assert len(weak_perspective(line, np.zeros((1, 3, 2)) + np.arange(3)[None, :, None])[0]) == 0
