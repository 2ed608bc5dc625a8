"""Belief and affinity maps to instances: peaks, sub-cell positions, grouping by votes for the centroid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from dope_ros2.geometry import cuboid
from dope_ros2.network.belief_maps import OFFSET_SCALE, MapSpec
from dope_ros2.network.calibration import PeakCalibration

MAX_PEAKS = 64  # of a map: more are noise, which must not take all the time there is
MIN_BELIEF = 1e-3  # beliefs below are noise; keeps logarithms finite
MAX_PEAK_OFFSET = 0.75  # a peak lies at most this far from its cell's centre [cells]
MAX_VOTE_ERROR = (1.5, 0.35)  # a vote may miss the centroid by this [cells] plus this share of its length
BELIEF_WEIGHT = 2.0  # a belief higher by 0.5 outweighs the largest allowed error of a vote
VOTE_RADIUS = 1.25  # votes that end this close mean one centroid [cells]
MIN_CENTROID_DISTANCE = 2.25  # two of them are farther apart [cells]
MIN_VOTERS = 4  # different corners that must vote for a centroid without a peak
MAX_UNIT_VOTE_ERROR = 0.5  # or, for unit vectors, by this distance between them


@dataclass(frozen=True, eq=False)
class KeypointInstance:
    """Keypoints that belong together.

    Attributes:
        class_index: which of the network's objects.
        keypoints: (9, 2) [px], NaN where none was found.
        scores: (9,) belief at the peaks, 0 where none was found.
        sigmas: (9,) standard deviations of the keypoints [px].
    """

    class_index: int
    keypoints: np.ndarray
    scores: np.ndarray
    sigmas: np.ndarray


@dataclass(frozen=True, eq=False)
class Peaks:
    """Local maxima of a stack of maps.

    Attributes:
        index: (N,) which map.
        cell: (N, 2) x, y of the highest cell.
        position: (N, 2) x, y of the top [cells].
        score: (N,) height of the top, at most 1.
    """

    index: np.ndarray
    cell: np.ndarray
    position: np.ndarray
    score: np.ndarray

    def where(self, rows: np.ndarray) -> Peaks:
        """Those at the given indices or True in the given mask."""
        return Peaks(self.index[rows], self.cell[rows], self.position[rows], self.score[rows])


def find_peaks(maps: np.ndarray, threshold: float, sigma: float) -> Peaks:
    """Find the 3x3 local maxima at or above a threshold in (N, h, w) maps, to a fraction of a cell; map by map."""
    h, w = maps.shape[1:]
    index, y, x = np.nonzero(maps >= threshold)
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    shifts = np.arange(3)
    patch = padded[index, y + shifts[:, None, None], x + shifts[:, None]]  # (3, 3, n), row first
    around, middle = patch.reshape(9, -1), patch[1, 1]
    highest = (middle > around[:4]).all(0) & (middle >= around[5:]).all(0)  # ties go to the first cell
    index, y, x, patch = index[highest], y[highest], x[highest], patch[..., highest]
    patch = np.where(np.isneginf(patch), 0, patch)
    offset = np.column_stack([_sub_cell(patch.sum(0), x, w, sigma), _sub_cell(patch.sum(1), y, h, sigma)])
    between = np.clip(offset, -0.5, 0.5)  # the top lies between cells, and is higher than the highest of them
    height = maps[index, y, x] * np.exp((between**2).sum(1) / (2 * sigma**2))
    return Peaks(index, np.column_stack([x, y]), np.column_stack([x, y]) + offset, np.minimum(height, 1))


def _sub_cell(levels: np.ndarray, cell: np.ndarray, cells: int, sigma: float) -> np.ndarray:
    """Offset of a Gaussian's top from its highest cell, along one axis, exact for a Gaussian of any width.

    ln exp(-(x - d)^2 / 2 s^2) is a parabola, so three logarithms give d; at the border, where one neighbour is
    missing, two of them and the known width do. Sums across the axis are as Gaussian as the cells, with less noise.

    Args:
        levels: (3, n) beliefs summed across the axis: before the highest cell, there, after it.
        cell: (n,) the highest cell.
        cells: how many there are along the axis.
        sigma: of the Gaussians, used at the border.
    """
    low, mid, high = np.log(np.maximum(levels, MIN_BELIEF))
    curvature = np.minimum(low - 2 * mid + high, -1e-6)
    offset = 0.5 * (low - high) / curvature
    offset = np.where(cell == 0, 0.5 + sigma**2 * (high - mid), offset)
    offset = np.where(cell == cells - 1, -0.5 - sigma**2 * (low - mid), offset)
    return np.clip(offset, -MAX_PEAK_OFFSET, MAX_PEAK_OFFSET)


def decode(
    belief: np.ndarray,
    affinity: np.ndarray,
    spec: MapSpec,
    peak_threshold: float,
    calibration: PeakCalibration | None = None,
) -> list[KeypointInstance]:
    """Read the instances of all classes out of their maps.

    Args:
        belief: (C, 9, h, w).
        affinity: (C, 16, h, w).
        spec: how the maps were drawn.
        peak_threshold: lowest belief that counts as a keypoint.
        calibration: how the peaks err; that of an unknown network if None.

    Returns:
        One instance per centroid peak, with the corners whose votes agree.
    """
    calibration = calibration or PeakCalibration()
    found = find_peaks(belief.reshape(-1, *belief.shape[2:]), peak_threshold, spec.sigma)
    peaks = _highest_of_each_map(found)
    votes = affinity.reshape(len(belief), cuboid.CENTRE, 2, *affinity.shape[2:])
    classes, kinds = np.divmod(peaks.index, cuboid.COUNT)
    peaks, is_corner = replace(peaks, index=kinds), kinds < cuboid.CENTRE
    instances: list[KeypointInstance] = []
    for c in np.unique(classes).tolist():
        corners, centroids = peaks.where((classes == c) & is_corner), peaks.where((classes == c) & ~is_corner)
        instances += _class_instances(c, corners, centroids, votes[c], belief[c, cuboid.CENTRE], spec, calibration)
    return instances


def _highest_of_each_map(peaks: Peaks) -> Peaks:
    """At most `MAX_PEAKS` of each map, the highest first, map by map."""
    peaks = peaks.where(np.lexsort((-peaks.score, peaks.index)))
    first = np.searchsorted(peaks.index, peaks.index)
    return peaks.where(np.arange(len(first)) - first < MAX_PEAKS)


def _class_instances(
    class_index: int,
    corners: Peaks,
    centroids: Peaks,
    votes: np.ndarray,
    belief: np.ndarray,
    spec: MapSpec,
    calibration: PeakCalibration,
) -> list[KeypointInstance]:
    """The instances of one class.

    Args:
        class_index: which.
        corners: peaks of its corners' maps, which are numbered 0 to 7.
        centroids: peaks of its centroid's map.
        votes: (8, 2, h, w) affinities of its corners.
        belief: (h, w) map of its centroid.
        spec: how the maps were drawn.
        calibration: how the peaks err.
    """
    voted = votes[corners.index, :, corners.cell[:, 1], corners.cell[:, 0]]  # (M, 2)
    centres, beliefs = _centroids(centroids, corners, voted, belief, spec)
    rows, owners = assign(corners.position, corners.score, corners.index, voted, centres, spec.affinity)
    kinds, heights = corners.index[rows], corners.score[rows]
    positions, scores = np.full((len(centres), cuboid.COUNT, 2), np.nan), np.zeros((len(centres), cuboid.COUNT))
    positions[:, cuboid.CENTRE], scores[:, cuboid.CENTRE] = centres, beliefs
    shrinkage = calibration.shrinkage * (1 - heights)
    positions[owners, kinds] = _outward(corners.position[rows], centres[owners], shrinkage)
    scores[owners, kinds] = heights
    pixels = positions * spec.stride + (spec.stride - 1) / 2
    sigmas = spec.stride * calibration.sigmas(scores)
    return [KeypointInstance(class_index, *instance) for instance in zip(pixels, scores, sigmas, strict=True)]


def _outward(corners: np.ndarray, centres: np.ndarray, by: np.ndarray) -> np.ndarray:
    """(M, 2) corners moved away from their centroids (M, 2) by (M,), all in cells."""
    arms = corners - centres
    return corners + arms / np.maximum(np.linalg.norm(arms, axis=1, keepdims=True), 1e-6) * by[:, None]


def _centroids(
    peaks: Peaks, corners: Peaks, votes: np.ndarray, belief: np.ndarray, spec: MapSpec
) -> tuple[np.ndarray, np.ndarray]:
    """Centroids of one class: the peaks of their map, and places that enough corners vote for.

    Where two objects overlap in the image, their centroids melt into one peak and the corners of the hidden one
    would go to the other. Their votes still meet at its centre.

    Args:
        peaks: of the centroid's map.
        corners: peaks of the corners' maps, M.
        votes: (M, 2) affinities there.
        belief: (h, w) map of the centroid.
        spec: how the maps were drawn.

    Returns:
        Positions (N, 2) [cells] and beliefs there (N,).
    """
    centres, beliefs = peaks.position, peaks.score
    if spec.affinity == "unit" or not len(corners.index):  # such votes have no end
        return centres, beliefs
    ends = corners.position + votes * OFFSET_SCALE
    x, y = ends.T
    near = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 < VOTE_RADIUS**2  # (M, M)
    voters = (near @ np.eye(cuboid.CENTRE)[corners.index] > 0).sum(1)
    weights = near * corners.score
    meetings = weights @ ends / np.maximum(weights.sum(1, keepdims=True), MIN_BELIEF)
    from_peaks = np.square(meetings[:, None] - centres).sum(-1).min(1, initial=np.inf)
    enough = np.flatnonzero(
        (voters >= MIN_VOTERS) & np.isfinite(meetings).all(1) & (from_peaks > MIN_CENTROID_DISTANCE**2)
    )
    for at in meetings[enough[np.argsort(-corners.score[enough], kind="stable")]]:
        if np.linalg.norm(centres - at, axis=1).min(initial=np.inf) <= MIN_CENTROID_DISTANCE:
            continue
        column, row = np.rint(at).astype(int)
        if 0 <= row < len(belief) and 0 <= column < len(belief[0]) and belief[row, column] > MIN_BELIEF:
            centres, beliefs = np.vstack([centres, at]), np.append(beliefs, belief[row, column])
    return centres, beliefs


def assign(
    corners: np.ndarray, scores: np.ndarray, kinds: np.ndarray, votes: np.ndarray, centres: np.ndarray, affinity: str
) -> tuple[np.ndarray, np.ndarray]:
    """Give each centroid at most one corner of a kind, and each corner at most one centroid, at least total cost.

    The cost is the vote's error less the belief: where a channel answers at several corners of one object, as an
    unsure network does, the strongest answer wins.

    Args:
        corners: (M, 2) positions [cells].
        scores: (M,) beliefs there.
        kinds: (M,) which corner each is, in order.
        votes: (M, 2) affinities there.
        centres: (N, 2) centroids [cells].
        affinity: kind of the votes.

    Returns:
        Rows of `corners` and of `centres` that belong together.
    """
    to_centre = centres[None] - corners[:, None]  # (M, N, 2)
    length = np.linalg.norm(to_centre, axis=-1)
    if affinity == "unit":
        directions = votes / np.maximum(np.linalg.norm(votes, axis=-1, keepdims=True), 1e-6)
        error = np.linalg.norm(directions[:, None] - to_centre / np.maximum(length, 1e-6)[..., None], axis=-1)
        cost = error / MAX_UNIT_VOTE_ERROR
        ranked = cost + 0.02 * length
    else:
        cost = np.linalg.norm(votes[:, None] * OFFSET_SCALE - to_centre, axis=-1)
        cost = cost / (MAX_VOTE_ERROR[0] + MAX_VOTE_ERROR[1] * np.linalg.norm(votes * OFFSET_SCALE, axis=-1)[:, None])
        ranked = cost
    allowed = cost <= 1
    ranked = np.where(allowed, ranked - BELIEF_WEIGHT * scores[:, None], 1e3)
    pairs = [(np.zeros(0, int), np.zeros(0, int))]
    bounds = np.searchsorted(kinds, np.arange(cuboid.COUNT))
    for first, last in pairwise(bounds.tolist()):
        if first < last and len(centres):
            rows, columns = linear_sum_assignment(ranked[first:last])
            pairs.append((rows + first, columns))
    rows, columns = (np.concatenate(each) for each in zip(*pairs, strict=True))
    kept = allowed[rows, columns]
    return rows[kept], columns[kept]
