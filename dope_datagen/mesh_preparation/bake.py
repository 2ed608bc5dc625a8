"""A new texture for a mesh that lost its own: unwrapped, and coloured from the nearest points of the original."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import xatlas
from scipy.ndimage import distance_transform_edt

from dope_datagen.mesh_preparation.surface import Nearest, Surface
from dope_ros2.geometry.bounding_box import BoundingBox

PADDING = 4  # [px] between charts
FILLED = 0.6  # of an atlas is covered by charts, about
MIN_TEXTURE_SIZE, TEXTURE_SIZE_STEP = 256, 256  # [px] edge of a texture
TEXELS_PER_TRIANGLE = 8  # that a coloured mesh without textures is worth
SAMPLES = 300_000  # of the original surface
SUBPIXEL = 8  # bits


def bake(original: Surface, positions: np.ndarray, triangles: np.ndarray, largest: int) -> Surface:
    """Give a mesh near the original the original's look.

    Args:
        original: with any number of textures.
        positions: (N, 3), in the original's unit.
        triangles: (M, 3) int.
        largest: edge of the texture at most [px].

    Returns:
        The mesh with one texture.
    """
    uvs, (width, height) = unwrap(positions, triangles, edge(original, largest))
    shrink = min(1.0, largest / max(width, height))
    width, height = max(1, round(width * shrink)), max(1, round(height * shrink))
    bare = Surface(
        positions, triangles, uvs, np.zeros(len(triangles), int), (), np.zeros((len(triangles), 3, 3), np.float32)
    )
    triangle_of = rasterise(uvs, width, height)
    rows, columns = np.nonzero(triangle_of >= 0)
    triangle = triangle_of[rows, columns]
    weights = flat_weights(uvs[triangle] * [width, height], np.stack([columns + 0.5, height - rows - 0.5], -1))
    finer = matched(original, bare, width * height * FILLED)
    # The seed is fixed: the same mesh gives the same texture.
    nearest = Nearest(original, np.random.default_rng(0), SAMPLES)
    there, there_weights, _ = nearest(bare.points(triangle, weights), bare.crosses[triangle])
    image = np.zeros((height, width, 3), np.uint8)
    image[rows, columns] = np.round(finer.colors(there, there_weights)).clip(0, 255)
    empty, nearest_texel = distance_transform_edt(triangle_of < 0, return_indices=True)
    return replace(bare, images=(np.where(empty[..., None] > 0, image[tuple(nearest_texel)], image),))


def edge(original: Surface, largest: int) -> int:
    """Edge [px] of a square texture that keeps the detail of the original's."""
    sizes = np.array([image.shape[0] * image.shape[1] for image in original.images] + [0])
    texels = (flat_areas(original.uvs) * sizes[original.image_of]).sum()
    texels += TEXELS_PER_TRIANGLE * (original.image_of < 0).sum()
    wanted = int(np.ceil(np.sqrt(texels / FILLED) / TEXTURE_SIZE_STEP)) * TEXTURE_SIZE_STEP
    return min(max(wanted, MIN_TEXTURE_SIZE), largest)


def matched(original: Surface, target: Surface, texels: float) -> Surface:
    """The original with textures as coarse as a target of so many texels, so that fine print does not flicker."""
    scale = np.sqrt(texels / max(target.areas.sum(), 1e-300))  # texels along one unit
    images = []
    for index, image in enumerate(original.images):
        own = original.image_of == index
        used = (flat_areas(original.uvs[own]) * image.shape[0] * image.shape[1]).sum()
        ratio = scale / max(np.sqrt(used / max(original.areas[own].sum(), 1e-300)), 1e-9)
        shape = [max(1, round(n * ratio)) for n in image.shape[1::-1]]
        images.append(cv2.resize(image, shape, interpolation=cv2.INTER_AREA) if ratio < 0.9 else image)
    return replace(original, images=tuple(images))


def flat_areas(uvs: np.ndarray) -> np.ndarray:
    """(M,) areas of (M, 3, 2) triangles in the texture."""
    a, b = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    return np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2


def unwrap(positions: np.ndarray, triangles: np.ndarray, edge: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Cut a mesh into flat charts: (M, 3, 2) texture coordinates, v up, and the atlas's width and height [px]."""
    box = BoundingBox.of(positions)
    unit = np.float32((positions - box.low) / max(float(box.size.max()), 1e-12))
    corners = unit[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    atlas, packing = xatlas.Atlas(), xatlas.PackOptions()
    packing.padding, packing.texels_per_unit = PADDING, edge * np.sqrt(FILLED / max(area, 1e-12))
    atlas.add_mesh(unit, np.uint32(triangles))
    atlas.generate(xatlas.ChartOptions(), packing)
    _, corner, flat = atlas.get_mesh(0)
    return np.asarray(flat, float)[corner], (atlas.width, atlas.height)


def rasterise(uvs: np.ndarray, width: int, height: int) -> np.ndarray:
    """Which triangle covers or touches each texel: (height, width) int32, -1 for none."""
    triangle_of = np.full((height, width), -1, np.int32)
    texels = np.stack([uvs[..., 0] * width - 0.5, height - uvs[..., 1] * height - 0.5], -1)  # x right, y down
    for index, corners in enumerate(np.int32(np.round(texels * 2**SUBPIXEL))):
        cv2.fillConvexPoly(triangle_of, corners, index, cv2.LINE_8, SUBPIXEL)
    return triangle_of


def flat_weights(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Weights (P, 3) of the corners (P, 3, 2) at (P, 2) points, kept inside the triangles."""
    a, b, off = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    area = np.where(np.abs(area) < 1e-12, 1e-12, area)
    s = (off[:, 0] * b[:, 1] - off[:, 1] * b[:, 0]) / area
    t = (a[:, 0] * off[:, 1] - a[:, 1] * off[:, 0]) / area
    weights = np.clip(np.stack([1 - s - t, s, t], -1), 0, None)
    return weights / weights.sum(1, keepdims=True)
