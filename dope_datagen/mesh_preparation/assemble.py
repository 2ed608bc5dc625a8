"""Pieces of a mesh file, one material each, and the one surface that they make."""

from __future__ import annotations

import numpy as np

from dope_datagen.mesh_preparation.surface import Surface
from dope_ros2.meshes.parts import GREY, Part, same_picture, weld


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


def _index(part: Part, images: list[np.ndarray]) -> int:
    """Index of a part's texture in `images`, to which it is added if new; -1 without."""
    if part.image is None or part.uvs is None:
        return -1
    index = next((k for k, known in enumerate(images) if same_picture(known, part.image)), len(images))
    if index == len(images):
        images.append(part.image)
    return index


def _notes(parts: list[Part], dropped: int) -> tuple[str, ...]:
    notes = []
    if not any(part.image is not None or part.colors is not None for part in parts):
        notes.append("no texture and no colours: it will be drawn in one grey; give it a texture if the real one has")
    if any(part.image is not None and part.uvs is None for part in parts):
        notes.append("a texture without texture coordinates cannot be drawn; unwrap the mesh and export it again")
    if dropped:
        notes.append(f"{dropped} triangles without an area are left out")
    return tuple(notes)
