"""Pieces of a mesh file, one material each, and the one surface that they make."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from dope_datagen.mesh_preparation.surface import Surface

GREY = 204.0  # sRGB level of what has no colour
SAME_PLACE = 1e-7  # of the bounding box's longest edge: closer corners are one


class Part(NamedTuple):
    """Triangles with one material.

    Attributes:
        corners: (M, 3, 3) positions.
        uvs: (M, 3, 2) v up, or None.
        image: (H, W, 3) uint8 sRGB, a file with such a picture, or None.
        colors: (M, 3, 3) sRGB 0 to 255 per corner, or None.
        normals: (M, 3, 3) of unit length per corner, or None.
    """

    corners: np.ndarray
    uvs: np.ndarray | None
    image: np.ndarray | Path | None
    colors: np.ndarray | None
    normals: np.ndarray | None = None


def linear_to_levels(color: np.ndarray) -> np.ndarray:
    """Encode linear light 0 to 1 as sRGB 0 to 255."""
    color = np.clip(np.asarray(color, float), 0, 1)
    return 255 * np.where(color <= 0.0031308, 12.92 * color, 1.055 * color ** (1 / 2.4) - 0.055)


def assemble(parts: list[Part]) -> tuple[Surface, tuple[str, ...]]:
    """Join parts into one surface, corners in the same place becoming one; also returns notes for the user."""
    corners = np.concatenate([part.corners for part in parts]).astype(float)
    positions, triangles = weld(corners)
    images: list[np.ndarray] = []
    image_of = np.concatenate([np.full(len(part.corners), _index(part, images)) for part in parts])
    uvs = np.concatenate([np.zeros((len(p.corners), 3, 2)) if p.uvs is None else p.uvs for p in parts])
    colors = np.concatenate([np.full(p.corners.shape, GREY) if p.colors is None else p.colors for p in parts])
    real = (triangles != np.roll(triangles, 1, axis=1)).all(1)
    keep = real if real.any() else np.ones_like(real)
    surface = Surface(
        positions, triangles[keep], uvs[keep], image_of[keep], tuple(images),
        colors[keep].astype(np.float32),
    )  # fmt: skip
    return surface, _notes(parts, int((~real).sum()))


def weld(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Make corners (M, 3, 3) in the same place one: (N, 3) positions and (M, 3) triangles."""
    low, longest = corners.min((0, 1)), max(float(np.ptp(corners.reshape(-1, 3), axis=0).max()), 1e-300)
    cells = np.round((corners.reshape(-1, 3) - low) / (longest * SAME_PLACE)).astype(np.int64)
    _, first, triangles = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    return corners.reshape(-1, 3)[first], triangles.reshape(-1, 3)


def _index(part: Part, images: list[np.ndarray]) -> int:
    """Index of a part's texture in `images`, to which it is added if new; -1 without."""
    if part.image is None or part.uvs is None:
        return -1
    index = next((k for k, known in enumerate(images) if same_picture(known, part.image)), len(images))
    if index == len(images):
        images.append(part.image)
    return index


def same_picture(one: np.ndarray | Path, two: np.ndarray | Path) -> bool:
    """Whether two parts' images are the same file, or alike in every pixel."""
    if isinstance(one, Path) or isinstance(two, Path):
        return isinstance(one, Path) and one == two
    return one is two or (one.shape == two.shape and bool((one == two).all()))


def _notes(parts: list[Part], dropped: int) -> tuple[str, ...]:
    notes = []
    if not any(part.image is not None or part.colors is not None for part in parts):
        notes.append("no texture and no colours: it will be drawn in one grey; give it a texture if the real one has")
    if any(part.image is not None and part.uvs is None for part in parts):
        notes.append("a texture without texture coordinates cannot be drawn; unwrap the mesh and export it again")
    if dropped:
        notes.append(f"{dropped} triangles without an area are left out")
    return tuple(notes)
