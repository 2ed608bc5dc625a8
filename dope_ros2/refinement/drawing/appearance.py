"""What an object looks like, small enough for a weights file: points of its surface with colours, and its edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.refinement.drawing.silhouette import OutlineMesh

VERSION = 1  # of the arrays in files
ELEMENTS = 30_000  # of an object: 12 bytes each
LEVELS = 6  # of detail; each has half of the elements of the one before
NORMAL_LEVER = 0.1  # of the diameter, that a point lies apart where its normal is another one: two sides of a sheet
MAX_ELEMENTS, MAX_TRIANGLES = 65_535, 4000  # in a file


@dataclass(frozen=True, eq=False)
class Elements:
    """Points spread evenly over a surface, each with the mean colour of its surroundings.

    Attributes:
        points: (N, 3) float32 in the object's frame [m].
        normals: (N, 3) float32 unit vectors, outward.
        colors: (N, 3) float32 sRGB levels from 0 to 255.
        spacing: about how far they are apart [m].
    """

    points: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    spacing: float


@dataclass(frozen=True, eq=False)
class Appearance:
    """An object's surface and its edges, as made from its mesh (`mesh_appearance`).

    Attributes:
        points: (N, 3) uint16 in the box, from its lower to its upper corner; any first part is spread evenly, too.
        normals: (N, 3) int8, 127 times unit vectors.
        colors: (N, 3) uint8 sRGB.
        box: of the points [m].
        area: of the surface [m2].
        outline: the edges.
    """

    points: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    box: BoundingBox
    area: float
    outline: OutlineMesh

    @cached_property
    def diameter(self) -> float:
        """Length of the diagonal of the box [m]."""
        return float(np.linalg.norm(self.box.size))

    @cached_property
    def corners(self) -> np.ndarray:
        """(8, 3) corners of the box [m]."""
        ends = np.array([self.box.low, self.box.high])
        return ends[np.indices((2, 2, 2)).reshape(3, -1).T, [0, 1, 2]]

    @cached_property
    def levels(self) -> list[Elements]:
        """The elements, and ever fewer of them with ever smoother colours."""
        points = np.float32(self.box.low + self.points / 65_535 * self.box.size)
        normals = np.float32(self.normals) / np.maximum(np.linalg.norm(self.normals, axis=1, keepdims=True), 1)
        normals, colors = np.float32(normals), np.float32(self.colors)
        places = np.hstack([points, NORMAL_LEVER * self.diameter * normals])
        levels = []
        for level in range(LEVELS):
            count = max(len(points) >> level, 1)
            own = colors if level == 0 else mean_of_nearest(places[:count], places, colors)
            levels.append(Elements(points[:count], normals[:count], own, float(np.sqrt(self.area / count))))
        return levels

    def level(self, spacing: float) -> Elements:
        """The fewest elements that are at most so far apart [m], or else all of them."""
        return next((each for each in reversed(self.levels) if each.spacing <= spacing), self.levels[0])

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file keeps of it."""
        frame = [*self.box.low, *self.box.high, self.area]
        scaled = (self.outline.vertices - self.box.low) / np.maximum(self.box.size, 1e-9) * 65_535
        return {
            "version": np.array([VERSION], np.int32),
            "frame": np.array(frame, np.float64),
            "points": self.points,
            "normals": self.normals,
            "colors": self.colors,
            "vertices": np.uint16(np.clip(np.rint(scaled), 0, 65_535)),
            "triangles": np.uint16(self.outline.triangles),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], where: str) -> Appearance:
        """As a file keeps it.

        Raises:
            UserError: it is of another version, or damaged.
        """
        version = next(iter(np.ravel(arrays.get("version", 0)).tolist()), 0)
        if version != VERSION:
            raise UserError(
                f"{where}: appearance of version {version}, this release reads {VERSION}; make it again with "
                "`dope assets appearance`"
            )
        try:
            return cls._checked(arrays)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise UserError(
                f"{where}: damaged appearance ({error}); make it again with `dope assets appearance`"
            ) from error

    @classmethod
    def _checked(cls, arrays: Mapping[str, np.ndarray]) -> Appearance:
        points, normals, colors = (np.asarray(arrays[key]) for key in ("points", "normals", "colors"))
        vertices, triangles = np.asarray(arrays["vertices"]), np.asarray(arrays["triangles"])
        frame = np.asarray(arrays["frame"], float)
        if frame.shape != (7,) or not np.isfinite(frame).all() or not (frame[3:6] >= frame[:3]).all() or frame[6] <= 0:
            raise ValueError("its box and area are none")
        if not {points.shape, normals.shape, colors.shape} == {(len(points), 3)} or not 3 < len(points) <= MAX_ELEMENTS:
            raise ValueError(f"points {points.shape}, normals {normals.shape}, colors {colors.shape}")
        if (points.dtype, normals.dtype, colors.dtype) != (np.uint16, np.int8, np.uint8):
            raise ValueError(f"points {points.dtype}, normals {normals.dtype}, colors {colors.dtype}")
        if not vertices.shape[1:] == triangles.shape[1:] == (3,) or not 0 < len(triangles) <= MAX_TRIANGLES:
            raise ValueError(f"vertices {vertices.shape}, triangles {triangles.shape}")
        if not vertices.dtype == triangles.dtype == np.uint16 or triangles.max() >= len(vertices):
            raise ValueError(f"vertices {vertices.dtype}, triangles {triangles.dtype} to {triangles.max()}")
        box = BoundingBox(frame[:3], frame[3:6])
        outline = OutlineMesh.of(box.low + vertices / 65_535 * box.size, np.int64(triangles))
        return cls(points, normals, colors, box, float(frame[6]), outline)


def mean_of_nearest(places: np.ndarray, samples: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean (N, C) float32 of the values (M, C) of those samples (M, D) that are nearest to each of places (N, D)."""
    # Away from 0, beside which the tree's splits are denormal numbers: where these are flushed, as in training, it
    # divides for ever.
    away = 1 + float(np.abs(samples).max())
    _, owner = cKDTree(np.float64(places) + away).query(np.float64(samples) + away)
    counts = np.maximum(np.bincount(owner, minlength=len(places)), 1)
    sums = [np.bincount(owner, values[:, c], len(places)) for c in range(values.shape[1])]
    return np.float32(np.stack(sums, axis=1) / counts[:, None])
