import cv2
import numpy as np
import pytest
import torch

from dope_ros2 import maps
from dope_ros2.maps import MapSpec
from dope_training.augment import photograph, random_window
from dope_training.losses import belief_loss, draw_targets


def batch_of(keypoints, classes, visibility, size):
    return {
        "image": torch.zeros(1, size, size, 3, dtype=torch.uint8),
        "keypoints": torch.tensor(keypoints, dtype=torch.float32)[None],
        "classes": torch.tensor(classes)[None],
        "visibility": torch.tensor(visibility)[None],
    }


@pytest.mark.parametrize("affinity", ["unit", "offset"])
def test_targets_on_the_device_equal_the_encoders(affinity):
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(-40, 300, (4, 9, 2))
    spec = MapSpec(affinity=affinity)
    targets = draw_targets(batch_of(keypoints, [0, 1, 0, -1], [1.0, 1.0, 0.5, 1.0], 256), 2, spec)
    for index, chosen in enumerate(([0, 2], [1])):
        belief, affinities = maps.encode(keypoints[chosen], (256, 256), spec)
        np.testing.assert_allclose(targets.belief[0, index], belief, atol=1e-5)
        np.testing.assert_allclose(targets.affinity[0, index], affinities, atol=1e-4)


def test_a_hidden_instance_is_neither_asked_for_nor_forbidden():
    keypoints = np.full((1, 9, 2), 100.0)
    targets = draw_targets(batch_of(keypoints, [0], [0.05], 256), 1, MapSpec())
    assert targets.belief.max() == 0
    assert targets.belief_counts[0, 0, 0, 12, 12] == 0
    assert targets.belief_counts[0, 0, 0, 25, 25] == 1


def test_the_loss_is_zero_for_perfect_maps_and_only_there():
    keypoints = np.random.default_rng(1).uniform(20, 230, (2, 9, 2))
    targets = draw_targets(batch_of(keypoints, [0, 0], [1.0, 1.0], 256), 1, MapSpec())
    assert belief_loss(targets.belief, targets.affinity, targets)["loss"] == 0
    assert belief_loss(targets.belief + 0.01, targets.affinity, targets)["loss"] > 0


def test_keypoints_move_with_the_pixels():
    rng = np.random.default_rng(2)
    for _ in range(20):
        image = np.zeros((480, 640, 3), np.uint8)
        cv2.circle(image, (300, 200), 8, (255, 255, 255), -1)
        keypoints = np.tile([300.0, 200.0], (1, 9, 1)) + rng.uniform(-60, 60, (1, 9, 2))
        keypoints[0, 8] = [300, 200]
        A = random_window(rng, keypoints, image.shape, 320)
        moved = A[:, :2] @ [300, 200] + A[:, 2]
        crop = cv2.warpAffine(image, A, (320, 320))[..., 0].astype(float)
        ys, xs = np.mgrid[:320, :320]
        centre = np.array([(crop * xs).sum(), (crop * ys).sum()]) / max(crop.sum(), 1)
        if (moved > 20).all() and (moved < 300).all():
            np.testing.assert_allclose(centre, moved, atol=0.3)


def test_a_photograph_keeps_shape_and_type():
    rng = np.random.default_rng(3)
    for _ in range(50):
        image = photograph(rng, rng.integers(0, 256, (96, 96, 3), np.uint8))
        assert image.shape == (96, 96, 3)
        assert image.dtype == np.uint8
