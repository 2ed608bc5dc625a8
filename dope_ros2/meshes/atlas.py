"""One mesh with one image from the parts of a mesh file, whatever their materials."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from dope_ros2.meshes.decimate import decimate
from dope_ros2.meshes.mesh import Mesh, box_uvs, face_normals, facets
from dope_ros2.meshes.mtl import WHITE
from dope_ros2.meshes.normals import corner_normals
from dope_ros2.meshes.parts import GREY, Part, same_picture, weld

EDGE = 1024  # [px] of an image with several materials
MAX_TEXTURE_SIZE = 2048  # [px] of one that a file brings along
MATERIAL_MARGIN = 4  # [px] around a material, which keep its neighbours out when the image is seen from afar
REPEATS = 3  # a material's image may repeat so often along an edge
SMALL = 200_000  # numbers of an image that need not be squeezed
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]
if hasattr(cv2, "IMWRITE_JPEG_SAMPLING_FACTOR"):  # not before OpenCV 4.7, which halves the resolution of colour
    JPEG += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
MANY = 200  # triangles; if more are coloured, each is of one colour
BLOCK = 8  # [px] of a plain colour


def join(parts: list[Part], max_triangles: int | None = None, flat: bool = False) -> Mesh:
    """Make parts one mesh, decimated if it has too many triangles; its texture is that of all, or an atlas of theirs.

    Where it is to be flat, triangles share no corners and have normals of their own.

    Raises:
        UserError: it has too many, and the package fast-simplification is missing.
    """
    corners = np.concatenate([part.corners for part in parts]).astype(float)
    part_of = np.repeat(np.arange(len(parts)), [len(part.corners) for part in parts])
    uvs = np.concatenate([np.zeros((len(p.corners), 3, 2)) if p.uvs is None else p.uvs for p in parts])
    uvs = np.nan_to_num(uvs)
    colors = np.concatenate([np.full(p.corners.shape, GREY) if p.colors is None else p.colors for p in parts])
    if max_triangles is not None and len(corners) > max_triangles:
        points, triangles, old, weights = decimate(corners, uvs, part_of, max_triangles)
        corners, normals, part_of = points[triangles], corner_normals(points, triangles), part_of[old[:, 0]]
        uvs, colors = (np.einsum("mck,mckd->mcd", weights, values[old]) for values in (uvs, colors))
    elif not flat:
        normals = _normals(parts, corners)
    uvs, texture, color = _dressed(parts, part_of, corners, uvs, colors)
    if flat:
        return replace(facets(corners, uvs), texture=texture, color=color)
    rows = np.float32(np.concatenate([corners, normals, uvs], axis=-1)).reshape(-1, 8)
    _, first, triangles = np.unique(rows.view(np.dtype((np.void, 32))), return_index=True, return_inverse=True)
    rows = rows[first]
    return Mesh(rows[:, :3], rows[:, 3:6], rows[:, 6:], np.int32(triangles.reshape(-1, 3)), texture, color)


def _normals(parts: list[Part], corners: np.ndarray) -> np.ndarray:
    """The parts' own normals (M, 3, 3), smooth ones where they have none."""
    if all(part.normals is not None for part in parts):
        return np.concatenate([part.normals for part in parts])
    smooth, start, normals = corner_normals(*weld(corners)), 0, []
    for part in parts:
        end = start + len(part.corners)
        normals.append(smooth[start:end] if part.normals is None else part.normals)
        start = end
    return np.concatenate(normals)


def _dressed(
    parts: list[Part], part_of: np.ndarray, corners: np.ndarray, uvs: np.ndarray, colors: np.ndarray
) -> tuple[np.ndarray, Path | bytes | None, tuple[float, float, float]]:
    """Texture coordinates (M, 3, 2), texture, and linear colour of all triangles."""
    pictured = [part.image is not None and part.uvs is not None for part in parts]
    images = _distinct([part.image for part, has in zip(parts, pictured, strict=True) if has])
    if all(pictured) and len(images) == 1:
        return uvs, images[0] if isinstance(images[0], Path) else encoded(images[0]), WHITE
    if images:
        return _tiled(parts, pictured, images, part_of, uvs)
    if np.ptp(colors.reshape(-1, 3), axis=0).max() >= 1:
        image, uvs = cells(colors)
        return uvs, encoded(image, exact=True), WHITE
    mapped = all(part.uvs is not None for part in parts)
    uvs = uvs if mapped else box_uvs(corners, face_normals(corners))
    named = any(part.colors is not None for part in parts)
    return uvs, None, linear(colors[0, 0]) if named else WHITE


def _distinct(images: list) -> list:
    found: list = []
    for image in images:
        if not any(same_picture(image, known) for known in found):
            found.append(image)
    return found


def cells(colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An image of the colours (M, 3, 3) of triangles' corners: one texel for each if they are many, else 2 x 2.

    Between 2 x 2 texels colours are interpolated; of many small triangles they would mix with their neighbours'.

    Returns:
        (H, W, 3) uint8, and (M, 3, 2) texture coordinates, v up, at the centres of texels.
    """
    across = math.ceil(math.sqrt(len(colors)))
    down = -(-len(colors) // across)
    row, column = np.divmod(np.arange(len(colors))[:, None], across)
    if len(colors) > MANY:
        image = np.zeros((down, across, 3), np.uint8)
        image[row[:, 0], column[:, 0]] = np.round(colors.mean(1)).clip(0, 255)
        return image, _centres(np.repeat(column, 3, axis=1), np.repeat(row, 3, axis=1), image)
    # Linear in between if the fourth texel continues the three, which begin so that it is a colour, too.
    fourths = colors.sum(1, keepdims=True) - 2 * colors
    first = np.abs(fourths - fourths.clip(0, 255)).sum(-1).argmin(1)
    turned = (first[:, None] + [0, 1, 2]) % 3
    three = np.take_along_axis(colors, turned[..., None], axis=1)
    fourth = np.take_along_axis(fourths, first[:, None, None], axis=1)
    y, x = 2 * row + [0, 0, 1, 1], 2 * column + [0, 1, 0, 1]
    image = np.zeros((2 * down, 2 * across, 3), np.uint8)
    image[y, x] = np.round(np.concatenate([three, fourth], axis=1)).clip(0, 255)
    uvs = np.empty((len(colors), 3, 2))
    np.put_along_axis(uvs, turned[..., None], _centres(x, y, image)[:, :3], axis=1)
    return image, uvs


def _centres(x: np.ndarray, y: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Texture coordinates (..., 2), v up, of the centres of texels."""
    return np.stack([(x + 0.5) / image.shape[1], 1 - (y + 0.5) / image.shape[0]], -1)


def _tiled(
    parts: list[Part], pictured: list[bool], images: list, part_of: np.ndarray, uvs: np.ndarray
) -> tuple[np.ndarray, bytes, tuple[float, float, float]]:
    """Put all images, and one of the plain parts' colours, beside one another in a grid."""
    plain = [k for k, has in enumerate(pictured) if not has]
    means = [GREY * np.ones(3) if parts[k].colors is None else parts[k].colors.mean((0, 1)) for k in plain]
    palette = np.tile(np.uint8(np.round(means)).repeat(BLOCK, axis=0)[None], (BLOCK, 1, 1)) if plain else None
    tiles = [_pixels(image) for image in images] + ([palette] if plain else [])
    tile_of, uvs = np.full(len(uvs), len(images)), uvs.copy()
    for k, part in enumerate(parts):
        if pictured[k]:
            tile_of[part_of == k] = next(i for i, image in enumerate(images) if same_picture(image, part.image))
        else:
            uvs[part_of == k] = [(plain.index(k) + 0.5) / len(plain), 0.5]
    across = math.ceil(math.sqrt(len(tiles)))
    cell = max(EDGE // across, 4 * MATERIAL_MARGIN)
    sheet = np.zeros((-(-len(tiles) // across) * cell, across * cell, 3), np.uint8)
    for number, tile in enumerate(tiles):
        own = tile_of == number
        row, column = divmod(number, across)
        uvs[own] = _place(sheet, row * cell, column * cell, cell, tile, uvs[own])
    return uvs, encoded(sheet), WHITE


def _place(sheet: np.ndarray, top: int, left: int, cell: int, tile: np.ndarray, uvs: np.ndarray) -> np.ndarray:
    """Put an image into a cell of the sheet, as often as its uvs (M, 3, 2) repeat it; returns them in the sheet."""
    uvs = uvs - np.floor(uvs.min(1, keepdims=True) + 1e-6)  # whole periods are taken off
    uvs = uvs * np.minimum(1, REPEATS / np.maximum(uvs.max(1, keepdims=True), 1))  # the pattern becomes coarser
    times = np.ceil(uvs.max((0, 1), initial=1) - 1e-6).astype(int)
    room = cell - 2 * MATERIAL_MARGIN
    size = np.minimum(np.array(tile.shape[1::-1]), room // times)
    small = cv2.resize(tile, size.tolist(), interpolation=cv2.INTER_AREA)
    many = np.tile(small, (times[1], times[0], 1))
    padded = np.pad(many, ((MATERIAL_MARGIN, MATERIAL_MARGIN), (MATERIAL_MARGIN, MATERIAL_MARGIN), (0, 0)), mode="wrap")
    sheet[top : top + padded.shape[0], left : left + padded.shape[1]] = padded
    height, width = many.shape[:2]
    u, v = np.moveaxis(uvs / times, -1, 0)
    x, y = left + MATERIAL_MARGIN + u * width, top + MATERIAL_MARGIN + (1 - v) * height
    return np.stack([x / sheet.shape[1], 1 - y / sheet.shape[0]], -1)


def _pixels(image: np.ndarray | Path) -> np.ndarray:
    """A part's image, (H, W, 3) uint8 RGB; grey if its file cannot be read."""
    if not isinstance(image, Path):
        return image
    pixels = cv2.imread(str(image), cv2.IMREAD_COLOR)
    return np.full((BLOCK, BLOCK, 3), GREY, np.uint8) if pixels is None else pixels[..., ::-1]


def encoded(image: np.ndarray, exact: bool = False) -> bytes:
    """An image (H, W, 3) as PNG if every texel counts or it is small, else as JPEG, of at most 2048 px."""
    shrink = MAX_TEXTURE_SIZE / max(image.shape[:2])
    if shrink < 1:
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    suffix, options = (".png", []) if exact or image.size < SMALL else (".jpg", JPEG)
    return cv2.imencode(suffix, np.ascontiguousarray(image[..., ::-1]), options)[1].tobytes()


def linear(levels: np.ndarray) -> tuple[float, float, float]:
    """Linear light, 0 to 1, of an sRGB colour (3,) of 0 to 255."""
    x = np.clip(np.asarray(levels, float) / 255, 0, 1)
    return tuple(np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).tolist())
