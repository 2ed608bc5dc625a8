"""Features of an image matched with those of an object: each with the nearest that is clearly nearer than any other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from dope_ros2.feature_matching.print_features import PrintFeatures
from dope_ros2.feature_matching.sift import Features

OTHER_PLACE = 0.06  # features that lie farther apart are of different places [diameters]
MAX_RATIO = 0.95  # of the distances of the nearest feature and the nearest one of another place
MAX_DISTANCE = 0.8  # of descriptors of length 1
MAX_MATCHES = 200  # the clearest of an object


class Matches(NamedTuple):
    """Features of an image, and what they may be of an object, the clearest first.

    Attributes:
        pixels: (N, 2) where they are seen [px].
        sizes: (N,) diameter of each [px].
        angles: (N,) direction of each [rad], from x towards y.
        points: (N, 3) where they are on the object [m].
        normals: (N, 3) of the surface, outward.
        tangents: (N, 3) direction of each on the surface.
        extents: (N,) diameter of each [m].
    """

    pixels: np.ndarray
    sizes: np.ndarray
    angles: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    tangents: np.ndarray
    extents: np.ndarray

    def where(self, chosen: np.ndarray) -> Matches:
        """Those of an index array or mask."""
        return Matches(*(each[chosen] for each in self))

    @property
    def sigmas(self) -> np.ndarray:
        """(N,) standard deviations of their places in the image [px]: large blobs are found less exactly."""
        return 0.7 + 0.08 * self.sizes


class Matcher:
    """Finds the features of one object among those of an image."""

    def __init__(self, own: PrintFeatures) -> None:
        self.own = own.surface
        around = cKDTree(self.own.points).query_ball_point(self.own.points, OTHER_PLACE * own.diameter)
        widest = max(map(len, around))
        self._same_place = np.array([near + near[:1] * (widest - len(near)) for near in around])

    def __call__(self, seen: Features) -> Matches:
        """Match the features of an image."""
        alike = seen.descriptors @ self.own.descriptors.T
        best = alike.argmax(1)
        nearest = distances(alike[np.arange(len(best)), best])
        alike[np.arange(len(best))[:, None], self._same_place[best]] = -1
        ratios = nearest / np.maximum(distances(alike.max(1)), 1e-6)
        clear = np.flatnonzero((nearest < MAX_DISTANCE) & (ratios < MAX_RATIO))
        rows = clear[np.argsort(ratios[clear], kind="stable")[:MAX_MATCHES]]
        own, features = self.own, best[rows]
        on_surface = (each[features] for each in (own.points, own.normals, own.tangents, own.extents))
        return Matches(seen.pixels[rows], seen.sizes[rows], seen.angles[rows], *on_surface)


def distances(cosines: np.ndarray) -> np.ndarray:
    """Distances of vectors of length 1 from their products."""
    return np.sqrt(np.maximum(2 - 2 * cosines, 0))
