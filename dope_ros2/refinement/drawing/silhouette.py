"""Where the outline of an object lies in an image: edges of its mesh between faces that are seen and that are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dope_ros2.geometry.pose import Pose

MAX_LINES = 160  # points of an outline at most
MIN_LINES = 12  # and at least; fewer say too little
SPACING = 2.0  # between them [px]


class Contour(NamedTuple):
    """Points of an outline, evenly spread.

    Attributes:
        points: (N, 3) in the object's frame [m].
        pixels: (N, 2) [px].
        normals: (N, 2) unit vectors in the image, away from the object.
    """

    points: np.ndarray
    pixels: np.ndarray
    normals: np.ndarray

    def where(self, chosen: np.ndarray) -> Contour:
        """Those in the given mask."""
        return Contour(*(values[chosen] for values in self))


@dataclass(frozen=True, eq=False)
class OutlineMesh:
    """A coarse closed mesh, of which only the edges are used.

    Attributes:
        vertices: (V, 3) in the object's frame [m].
        triangles: (T, 3) int, counterclockwise as seen from outside.
        edges: (E, 2) vertices of each edge that two triangles share, and `sides`: (E, 2) those triangles.
        normals, middles: (T, 3) of the triangles.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    edges: np.ndarray
    sides: np.ndarray
    normals: np.ndarray
    middles: np.ndarray

    @classmethod
    def of(cls, vertices: np.ndarray, triangles: np.ndarray) -> OutlineMesh:
        """Of triangles that wind either way, but all the same way."""
        corners = vertices[triangles]
        doubled = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        if ((corners[:, 0] - vertices.mean(0)) * doubled).sum() < 0:  # six times the volume
            triangles, doubled = triangles[:, ::-1], -doubled
        ends = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
        owners = np.tile(np.arange(len(triangles)), 3)
        edges, inverse, counts = np.unique(ends, axis=0, return_inverse=True, return_counts=True)
        order = np.argsort(inverse.ravel(), kind="stable")
        first = np.cumsum(counts) - counts
        shared = counts == 2
        sides = np.stack([owners[order[first[shared]]], owners[order[first[shared] + 1]]], axis=1)
        lengths = np.maximum(np.linalg.norm(doubled, axis=1, keepdims=True), 1e-20)
        return cls(vertices, triangles, edges[shared], sides, doubled / lengths, corners.mean(1))

    def contour(self, pose: Pose, K: np.ndarray) -> Contour | None:
        """The outline at T_camera_object in the image of a camera matrix (3, 3), inner edges included; None: too short.

        An edge lies on it where one of its triangles faces the camera and the other does not.
        """
        eye = -pose.rotation.T @ pose.translation
        facing = ((eye - self.middles) * self.normals).sum(1) > 0
        on_it = facing[self.sides[:, 0]] != facing[self.sides[:, 1]]
        start, end = (self.vertices[self.edges[on_it, k]] for k in (0, 1))
        a, b = (pose.apply(points) @ K.T for points in (start, end))
        if not len(a) or min(a[:, 2].min(), b[:, 2].min()) <= 0:
            return None
        from_, to = a[:, :2] / a[:, 2:], b[:, :2] / b[:, 2:]
        lengths = np.maximum(np.linalg.norm(to - from_, axis=1), 1e-9)
        count = int(min(lengths.sum() / SPACING, MAX_LINES))
        if count < MIN_LINES:
            return None
        until = np.cumsum(lengths)
        at = (np.arange(count) + 0.5) / count * until[-1]
        chosen = np.searchsorted(until, at)
        share = 1 - (until[chosen] - at) / lengths[chosen]
        near, far = a[chosen, 2], b[chosen, 2]
        share_of_edge = share * near / (share * near + (1 - share) * far)  # perspective: not the share in the image
        points = start[chosen] + share_of_edge[:, None] * (end - start)[chosen]
        pixels = from_[chosen] + share[:, None] * (to - from_)[chosen]
        x, y = ((to - from_)[chosen] / lengths[chosen, None]).T
        normals = np.stack([y, -x], axis=1)
        sides = self.sides[on_it]
        inner = pose.apply(self.middles[np.where(facing[sides[:, 0]], sides[:, 0], sides[:, 1])]) @ K.T
        inward = ((inner[:, :2] / inner[:, 2:])[chosen] - pixels) * normals
        return Contour(points, pixels, np.where(inward.sum(1)[:, None] > 0, -normals, normals))
