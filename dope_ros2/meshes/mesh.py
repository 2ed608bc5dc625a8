"""A triangle mesh with one texture or colour."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.meshes.mtl import WHITE


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with one texture or colour.

    Attributes:
        positions, normals: (N, 3) float32; uvs: (N, 2) float32, v up; triangles: (M, 3) int32.
        texture: an image's file, or an image made here or brought along by the mesh's file, as PNG or JPEG, or None.
        color: linear RGB, multiplied with the texture.
    """

    positions: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    triangles: np.ndarray
    texture: Path | bytes | None = None
    color: tuple[float, float, float] = WHITE

    @cached_property
    def box(self) -> BoundingBox:
        """The bounding box of all positions."""
        return BoundingBox.of(self.positions)

    def scaled(self, factor: float) -> Mesh:
        """The mesh `factor` times as large."""
        return replace(self, positions=np.float32(self.positions * factor))

    def moved(self, by: np.ndarray) -> Mesh:
        """The mesh moved by a vector (3,)."""
        return replace(self, positions=np.float32(self.positions + by))


def facets(corners: np.ndarray, uvs: np.ndarray | None = None) -> Mesh:
    """A mesh of flat triangles from (M, 3, 3) corners and (M, 3, 2) texture coordinates."""
    normals = face_normals(corners)
    uvs = box_uvs(corners, normals) if uvs is None else uvs
    count = 3 * len(corners)
    return Mesh(
        np.float32(corners.reshape(count, 3)),
        np.float32(np.repeat(normals, 3, axis=0)),
        np.float32(uvs.reshape(count, 2)),
        np.arange(count, dtype=np.int32).reshape(-1, 3),
    )


def face_normals(corners: np.ndarray) -> np.ndarray:
    """Unit normals (M, 3) of (M, 3, 3) triangles."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


def box_uvs(corners: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Texture coordinates (M, 3, 2) by projecting each triangle along its normal's main axis."""
    axis = np.abs(normals).argmax(1)
    keep = np.array([[1, 2], [0, 2], [0, 1]])[axis]  # (M, 2)
    flat = np.take_along_axis(corners, keep[:, None, :].repeat(3, 1), axis=2)
    box = BoundingBox.of(corners)
    return (flat - box.low[keep][:, None]) / max(float(box.size.max()), 1e-9)


def barycentric_weights(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (P, 3) of points (P, 3), projected onto triangles (P, 3, 3) and kept inside them."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    off = points - corners[:, 0]
    aa, ab, bb = (np.einsum("pd,pd->p", *pair) for pair in ((a, a), (a, b), (b, b)))
    oa, ob = np.einsum("pd,pd->p", off, a), np.einsum("pd,pd->p", off, b)
    scale = np.maximum(aa * bb - ab * ab, 1e-300)
    s, t = (bb * oa - ab * ob) / scale, (aa * ob - ab * oa) / scale
    weights = np.clip(np.stack([1 - s - t, s, t], -1), 0, None)
    return weights / weights.sum(1, keepdims=True)
