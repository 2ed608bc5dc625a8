"""Keypoints to belief and affinity maps, and what the maps mean.

Cell (i, j) of a map at stride s is centred at pixel (s j + (s - 1) / 2, s i + (s - 1) / 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dope_ros2.geometry import cuboid

OFFSET_SCALE = 10.0  # cells; votes are divided by it so that the network's outputs are near one


@dataclass(frozen=True)
class MapSpec:
    """How maps are drawn.

    Attributes:
        stride: pixels per cell.
        sigma: standard deviation of a keypoint's Gaussian [cells].
        affinity: "unit", unit vectors from corner to centroid, or "offset", the whole vector in cells / OFFSET_SCALE.
        radius: affinities are drawn this far around a corner [cells].
    """

    stride: int = 8
    sigma: float = 1.0
    affinity: str = "offset"
    radius: float = 2.0


def encode(keypoints: np.ndarray, size: tuple[int, int], spec: MapSpec) -> tuple[np.ndarray, np.ndarray]:
    """Draw the maps of one class.

    Args:
        keypoints: (N, 9, 2) of its instances [px].
        size: width and height of the image [px].
        spec: how to draw.

    Returns:
        belief (9, h, w) and affinity (16, h, w) float32: channels 2k and 2k + 1 are x and y of corner k.
    """
    width, height = (side // spec.stride for side in size)
    cells = (np.asarray(keypoints, float).reshape(-1, 9, 2) - (spec.stride - 1) / 2) / spec.stride
    if not len(cells):
        return np.zeros((9, height, width), np.float32), np.zeros((16, height, width), np.float32)
    dx = np.arange(width) - cells[..., 0, None]
    dy = np.arange(height) - cells[..., 1, None]
    squared = dx[..., None, :] ** 2 + dy[..., :, None] ** 2  # (N, 9, h, w)
    in_map = ((cells > -0.5) & (cells < np.array([width, height]) - 0.5)).all(-1)
    squared[~in_map] = np.inf
    nearest = squared.min(0)
    arms = cells[:, cuboid.CENTRE :] - cells[:, : cuboid.CENTRE]  # (N, 8, 2), corner to centroid
    scale = np.linalg.norm(arms, axis=-1, keepdims=True) if spec.affinity == "unit" else OFFSET_SCALE
    arms = np.divide(arms, scale, where=np.broadcast_to(scale, arms.shape) > 0, out=np.zeros_like(arms))
    owner = squared[:, : cuboid.CENTRE].argmin(0)  # (8, h, w)
    votes = arms[owner, np.arange(8)[:, None, None]]  # (8, h, w, 2)
    votes[nearest[: cuboid.CENTRE] > spec.radius**2] = 0
    belief = np.exp(-nearest / (2 * spec.sigma**2))
    return belief.astype(np.float32), votes.transpose(0, 3, 1, 2).reshape(16, height, width).astype(np.float32)
