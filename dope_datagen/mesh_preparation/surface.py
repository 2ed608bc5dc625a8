"""Triangles whose every point has a colour, and the point of them that is nearest to a given one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.meshes.mesh import barycentric_weights

CHUNK = 100_000  # points at a time, so that a texture of 2048 px needs no gigabytes
CANDIDATES = 3  # samples that are looked at around a point
WEIGHT_OF_THE_WRONG_SIDE = 16.0  # on squared distances to triangles that face away


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles with colours, in one unit of length, whichever.

    Attributes:
        positions: (N, 3) float, no two alike.
        triangles: (M, 3) int, into positions.
        uvs: (M, 3, 2) float, v up, per corner; zeros where there is no texture.
        image_of: (M,) int, into images; -1 where a triangle has no texture.
        images: (H, W, 3) uint8 each, sRGB.
        corner_colors: (M, 3, 3) float32, sRGB 0 to 255, of triangles without a texture.
    """

    positions: np.ndarray
    triangles: np.ndarray
    uvs: np.ndarray
    image_of: np.ndarray
    images: tuple[np.ndarray, ...]
    corner_colors: np.ndarray

    @cached_property
    def box(self) -> BoundingBox:
        """The bounding box of all positions."""
        return BoundingBox.of(self.positions)

    @cached_property
    def corners(self) -> np.ndarray:
        """(M, 3, 3) positions of the triangles' corners."""
        return self.positions[self.triangles]

    @cached_property
    def crosses(self) -> np.ndarray:
        """(M, 3) normals, as long as twice the triangle's area."""
        return np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])

    @cached_property
    def areas(self) -> np.ndarray:
        """(M,) areas."""
        return np.linalg.norm(self.crosses, axis=1) / 2

    @property
    def plain(self) -> bool:
        """Whether it is of one colour all over, without a texture."""
        return not self.images and bool(np.ptp(self.corner_colors.reshape(-1, 3), axis=0).max() < 1)

    def points(self, triangle: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(P, 3) points from (P,) triangles and (P, 3) weights of their corners."""
        return np.einsum("pk,pkd->pd", weights, self.corners[triangle])

    def colors(self, triangle: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(P, 3) float32 colours, sRGB 0 to 255, of such points."""
        colors = np.einsum("pk,pkd->pd", weights, self.corner_colors[triangle]).astype(np.float32)
        uvs = np.einsum("pk,pkd->pd", weights, self.uvs[triangle])
        for index, image in enumerate(self.images):
            chosen = self.image_of[triangle] == index
            colors[chosen] = bilinear(image, uvs[chosen])
        return colors

    def sample(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw points uniformly by area: (count,) triangles and (count, 3) weights of their corners."""
        triangle = np.searchsorted(np.cumsum(self.areas), rng.uniform(0, self.areas.sum(), count))
        s, t = np.sqrt(rng.uniform(size=count)), rng.uniform(size=count)
        return triangle.clip(max=len(self.triangles) - 1), np.stack([1 - s, s * (1 - t), s * t], -1)


def bilinear(image: np.ndarray, uvs: np.ndarray) -> np.ndarray:
    """Look up (P, 2) texture coordinates, v up, in an image that repeats; (P, 3) float32."""
    height, width = image.shape[:2]
    # The image repeats, so whole periods are taken off; texel centres are integers.
    at = (uvs % 1) * [width, -height] + [-0.5, height - 0.5]
    base = np.floor(at).astype(int)
    right, down = np.float32(at - base).T[..., None]
    x, y = base.T
    rows, columns = (y % height, (y + 1) % height), (x % width, (x + 1) % width)
    top = image[rows[0], columns[0]] * (1 - right) + image[rows[0], columns[1]] * right
    bottom = image[rows[1], columns[0]] * (1 - right) + image[rows[1], columns[1]] * right
    return top * (1 - down) + bottom * down


class Nearest:
    """Finds the nearest point of a surface through a tree of samples; exact but for a fraction of their spacing."""

    def __init__(self, surface: Surface, rng: np.random.Generator, count: int) -> None:
        drawn, weights = surface.sample(count, rng)
        every = np.arange(len(surface.triangles))  # so that none is missed, however small
        self._surface = surface
        self._triangle = np.concatenate([drawn, every])
        points = np.vstack([surface.points(drawn, weights), surface.corners.mean(1)])
        self._tree = cKDTree(points)

    def __call__(
        self, points: np.ndarray, facing: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the nearest points of the surface.

        Args:
            points: (P, 3).
            facing: (P, 3) normals; triangles that face away from them are taken only if much nearer.

        Returns:
            (P,) triangles, (P, 3) weights of their corners and (P,) distances.
        """
        found = [
            self._nearest(points[k : k + CHUNK], None if facing is None else facing[k : k + CHUNK])
            for k in range(0, len(points), CHUNK)
        ]
        return tuple(np.concatenate(part) for part in zip(*found, strict=True))

    def _nearest(self, points: np.ndarray, facing: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = np.arange(len(points))
        nearest = self._tree.query(points, CANDIDATES)[1].clip(max=len(self._triangle) - 1)
        best, squared, cost = None, None, None
        for candidate in self._triangle[nearest].T:
            weights = barycentric_weights(self._surface.corners[candidate], points)
            off = ((self._surface.points(candidate, weights) - points) ** 2).sum(1)
            price = off
            if facing is not None:
                away = np.einsum("pd,pd->p", self._surface.crosses[candidate], facing) < 0
                price = off * np.where(away, WEIGHT_OF_THE_WRONG_SIDE, 1.0)
            if best is None:
                best, squared, cost = [candidate, weights], off, price
                continue
            better = rows[price < cost]
            best[0] = np.where(price < cost, candidate, best[0])
            best[1][better], squared[better], cost[better] = weights[better], off[better], price[better]
        return best[0], best[1], np.sqrt(squared)


def agreement(first: Surface, second: Surface, rng: np.random.Generator, count: int = 20_000) -> np.ndarray:
    """Differences (count,) in colour at points of one surface and the nearest of the other, mean of R, G, B [levels].

    Both surfaces are in the same unit.
    """
    triangle, weights = first.sample(count, rng)
    facing = first.crosses[triangle]
    there, there_weights, _ = Nearest(second, rng, 5 * count)(first.points(triangle, weights), facing)
    return np.abs(first.colors(triangle, weights) - second.colors(there, there_weights)).mean(1)
