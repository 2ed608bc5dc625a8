"""Maps as a network is trained to draw them, of one class, for tests that read maps."""

import numpy as np
import torch

from dope_ros2.network.belief_maps import MapSpec
from dope_training.objective.crop_batch import CropBatch
from dope_training.objective.targets import draw_targets


def encode(keypoints: np.ndarray, size: tuple[int, int], spec: MapSpec) -> tuple[np.ndarray, np.ndarray]:
    """Belief (9, h, w) and affinity (16, h, w) float32 of instances (N, 9, 2) [px] in an image of width and height."""
    points = torch.from_numpy(np.array(keypoints, float).reshape(-1, 9, 2))
    if not len(points):
        points = torch.full((1, 9, 2), -1e6, dtype=torch.float64)  # nowhere in the image
    targets = draw_targets(CropBatch.of_keypoints(points, size[::-1]), 1, spec)
    return targets.belief[0, 0].float().numpy(), targets.affinity[0, 0].float().numpy()
