"""The decoder of the published DOPE code, rebuilt from its description, for comparison in benchmarks only.

Targets: sigma 0.5 cell in the 3x3 cells around the keypoint, none within a cell of the border; unit vectors within
one cell. Decoding: blur of 3 cells, maxima over four neighbours, centre of mass of an 11x11 window plus 0.4395 cells,
corners to the centroid nearest among those within 0.5 of their direction, all nine keypoints required, EPnP.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from dope_ros2.geometry import cuboid
from dope_ros2.geometry.pose import Pose

STRIDE, SIGMA, BLUR, WINDOW = 8, 0.5, 3.0, 5
BLURRED_THRESHOLD, POINT_THRESHOLD, ANGLE_THRESHOLD, OFFSET = 0.01, 0.1, 0.5, 0.4395


def encode(keypoints: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw belief (9, h, w) and affinity (16, h, w) of (N, 9, 2) keypoints [px] in an image of (width, height)."""
    width, height = (side // STRIDE for side in size)
    belief, affinity = np.zeros((9, height, width)), np.zeros((16, height, width))
    ys, xs = np.mgrid[:height, :width]
    for points in keypoints / STRIDE:
        for k, (x, y) in enumerate(points):
            i, j = int(np.floor(x)), int(np.floor(y))
            if not (1 <= i < width - 1 and 1 <= j < height - 1):
                continue
            window = np.s_[j - 1 : j + 2, i - 1 : i + 2]
            squared = (xs[window] - x) ** 2 + (ys[window] - y) ** 2
            belief[k][window] = np.maximum(belief[k][window], np.exp(-squared / (2 * SIGMA**2)))
            if k < cuboid.CENTRE:
                arm = points[cuboid.CENTRE] - points[k]
                near = (xs - x) ** 2 + (ys - y) ** 2 <= 1
                affinity[2 * k : 2 * k + 2, near] = (arm / max(np.linalg.norm(arm), 1e-9))[:, None]
    return belief, affinity


def peaks(belief: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Positions (2,) [cells] and scores of one map's peaks."""
    blurred = gaussian_filter(belief, BLUR)
    padded = np.pad(blurred, 1)
    centre = padded[1:-1, 1:-1]
    found = centre > BLURRED_THRESHOLD
    for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        found &= centre >= neighbour
    result = []
    for y, x in zip(*np.nonzero(found), strict=True):
        rows = slice(max(0, y - WINDOW), y + WINDOW + 1)
        columns = slice(max(0, x - WINDOW), x + WINDOW + 1)
        weights = belief[rows, columns]
        ys, xs = np.mgrid[rows.start : rows.start + len(weights), columns.start : columns.start + weights.shape[1]]
        total = weights.sum()
        mean = np.array([(weights * xs).sum(), (weights * ys).sum()]) / total if total else np.array([x, y], float)
        if belief[y, x] >= POINT_THRESHOLD:
            result.append((mean + OFFSET, float(belief[y, x])))
    return result


def decode(belief: np.ndarray, affinity: np.ndarray) -> list[np.ndarray]:
    """Group the peaks; (9, 2) pixels per centroid, NaN where a corner is missing."""
    centres = [position for position, _ in peaks(belief[cuboid.CENTRE])]
    best = [[(np.inf, None)] * cuboid.CENTRE for _ in centres]
    for k in range(cuboid.CENTRE):
        for position, _ in peaks(belief[k]):
            column, row = np.clip(np.rint(position - OFFSET).astype(int), 0, np.array(belief.shape[:0:-1]) - 1)
            vector = affinity[2 * k : 2 * k + 2, row, column]
            direction = vector / max(np.linalg.norm(vector), 1e-9)
            candidates = []
            for index, centre in enumerate(centres):
                arm = centre - position
                distance = np.linalg.norm(arm)
                if np.linalg.norm(direction - arm / max(distance, 1e-9)) < ANGLE_THRESHOLD:
                    candidates.append((distance, index))
            if candidates:
                distance, index = min(candidates)
                if distance < best[index][k][0]:
                    best[index][k] = (distance, position)
    missing = np.full(2, np.nan)
    corners = [[missing if position is None else position for _, position in row] for row in best]
    return [np.array([*row, centre]) * STRIDE for row, centre in zip(corners, centres, strict=True)]


def solve(points: np.ndarray, pixels: np.ndarray, K: np.ndarray) -> Pose | None:
    """EPnP over all nine keypoints; None when one is missing. Solutions behind the camera are turned to its front."""
    if not np.isfinite(pixels).all():
        return None
    ok, rotvec, translation = cv2.solvePnP(points, np.ascontiguousarray(pixels), K, None, flags=cv2.SOLVEPNP_EPNP)
    if not ok:
        return None
    pose = Pose.from_rotvec(rotvec.ravel(), translation.ravel())
    if pose.translation[2] >= 0:
        return pose
    turn = Pose.from_rotvec(np.pi * pose.translation / np.linalg.norm(pose.translation), np.zeros(3))
    return Pose(turn.rotation @ pose.rotation, -pose.translation)
