"""The appearance of an object, made from its mesh."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from dope_ros2.common.errors import UserError, one_line
from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.meshes.decimate import decimate
from dope_ros2.meshes.mesh import Mesh
from dope_ros2.meshes.parts import linear_to_levels, weld
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.meshes.surface_points import check_size, spread
from dope_ros2.objects.object_model import UNITS, ObjectModel
from dope_ros2.refinement.drawing.appearance import ELEMENTS, MAX_TRIANGLES, NORMAL_LEVER, Appearance, mean_of_nearest
from dope_ros2.refinement.drawing.silhouette import OutlineMesh

SAMPLES = 16  # of the texture for each element
OUTLINE_TRIANGLES = 800  # small enough to be quick, fine enough for a can
HASTES = (4.0, 7.0)  # of their decimation; a can's rim is off by a tenth of what the second makes of it
MANY_TRIANGLES = 100_000  # of a mesh; corners of a finer one are put together first, since decimating takes long
CLUSTERS = 128  # cells along its longest edge for that
LARGEST_TEXTURE = 4096  # [px] of a side; larger ones are shrunk, which no element of a surface shows
REDUCED = {  # how JPEGs with sides from so many pixels on are read
    8 * LARGEST_TEXTURE: cv2.IMREAD_REDUCED_COLOR_8,
    4 * LARGEST_TEXTURE: cv2.IMREAD_REDUCED_COLOR_4,
    2 * LARGEST_TEXTURE: cv2.IMREAD_REDUCED_COLOR_2,
}
JPEG_BEGINS, JPEG_FRAMES = b"\xff\xd8", {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # segments with the image's size
REMAP_COLUMNS = 30_000  # OpenCV's remap takes images of less than 32768 columns


def of_object(model: ObjectModel) -> Appearance:
    """Of an object of objects.yaml, in its frame.

    Raises:
        UserError: its mesh or texture cannot be read, or the mesh is not of its size.
    """
    path = model.mesh_path
    try:
        mesh = read_mesh(path, flat=True).scaled(UNITS[model.mesh_unit])
        check_size(mesh.positions, model, path)
        return of_mesh(mesh, path)
    except MemoryError as error:
        raise UserError(f"{path}: too large for this machine's memory; `dope assets prepare` makes it small") from error


def of_mesh(mesh: Mesh, where: Path) -> Appearance:
    """Of a mesh in metres that came from a file.

    Raises:
        UserError: its texture cannot be read, or it has no area.
    """
    points, normals, uvs, area = surface_samples(mesh, ELEMENTS * SAMPLES, where)
    colors = texture_colors(mesh, uvs, where)
    first = np.random.default_rng(0).permutation(ELEMENTS) * SAMPLES + SAMPLES // 2
    box = BoundingBox.of(mesh.positions.astype(float))
    lever = NORMAL_LEVER * float(np.linalg.norm(box.size))
    places = np.hstack([points, lever * normals])
    size = np.maximum(box.size, 1e-9)
    return Appearance(
        np.uint16(np.clip(np.rint((points[first] - box.low) / size * 65_535), 0, 65_535)),
        np.int8(np.rint(127 * normals[first])),
        np.uint8(np.clip(np.rint(mean_of_nearest(places[first], places, colors)), 0, 255)),
        box,
        area,
        _outline(mesh),
    )


def surface_samples(mesh: Mesh, count: int, where: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Points (count, 3) spread evenly by area, their outward normals, texture coordinates (count, 2), and the area."""
    corners, uvs = mesh.positions[mesh.triangles].astype(float), mesh.uvs[mesh.triangles].astype(float)
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normals = np.cross(ab, ac)
    if ((a - mesh.box.centre) * normals).sum() < 0:  # six times the volume: they point inward
        normals = -normals
    doubled = np.linalg.norm(normals, axis=1)
    if not doubled.any():
        raise UserError(f"{where}: all {len(corners)} triangles have zero area; export it again")
    chosen, u, v = spread(doubled, count)
    coordinates = uvs[chosen, 0] + u * (uvs[chosen, 1] - uvs[chosen, 0]) + v * (uvs[chosen, 2] - uvs[chosen, 0])
    points = a[chosen] + u * ab[chosen] + v * ac[chosen]
    return points, normals[chosen] / doubled[chosen, None], coordinates, float(doubled.sum()) / 2


def texture_colors(mesh: Mesh, uvs: np.ndarray, where: Path) -> np.ndarray:
    """(N, 3) sRGB levels at texture coordinates (N, 2)."""
    tint = linear_to_levels(np.asarray(mesh.color, float)) / 255
    if mesh.texture is None:
        return np.tile(255 * tint, (len(uvs), 1))
    image = _texture(mesh.texture, where)
    height, width = image.shape[:2]
    uvs = np.nan_to_num(uvs)
    x, y = np.float32(uvs[:, 0] % 1 * width - 0.5), np.float32((1 - uvs[:, 1]) % 1 * height - 0.5)
    rows = [
        cv2.remap(image, x[None, k : k + REMAP_COLUMNS], y[None, k : k + REMAP_COLUMNS], cv2.INTER_LINEAR,
                  borderMode=cv2.BORDER_WRAP)[0]
        for k in range(0, len(x), REMAP_COLUMNS)
    ]  # fmt: skip
    return np.concatenate(rows)[:, ::-1] * tint


def _texture(texture: Path | bytes, where: Path) -> np.ndarray:
    """(H, W, 3) uint8 BGR, of at most LARGEST_TEXTURE; a large JPEG is shrunk while it is read, others afterwards."""
    try:
        with io.BytesIO(texture) if isinstance(texture, bytes) else texture.open("rb") as file:
            flag = next((f for side, f in REDUCED.items() if _jpeg_side(file) >= side), cv2.IMREAD_COLOR)
            file.seek(0)
            image = cv2.imdecode(np.frombuffer(file.read(), np.uint8), flag)
    except (OSError, cv2.error) as error:  # OpenCV reads up to 2^30 pixels
        raise UserError(f"{where}: its texture cannot be read ({one_line(error)}); make it smaller") from error
    if image is None:
        named = f" {texture}" if isinstance(texture, Path) else ""
        raise UserError(f"{where}: its texture{named} is no readable PNG or JPEG; save it again as one")
    shrink = LARGEST_TEXTURE / max(image.shape[:2])
    return image if shrink >= 1 else cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)


def _jpeg_side(file: BinaryIO) -> int:
    """The longer side of a JPEG, by its header [px]; 0 of anything else."""
    file.seek(len(JPEG_BEGINS))
    while (segment := file.read(4))[:1] == b"\xff" and len(segment) == 4:
        if segment[1] in JPEG_FRAMES:
            size = file.read(5)  # bits a sample, height, width
            return max(int.from_bytes(size[1:3], "big"), int.from_bytes(size[3:], "big"))
        file.seek(int.from_bytes(segment[2:], "big") - 2, io.SEEK_CUR)
    return 0


def _outline(mesh: Mesh) -> OutlineMesh:
    """Its edges, of few triangles."""
    corners = mesh.positions[mesh.triangles].astype(float)
    if len(corners) > MANY_TRIANGLES:
        corners = _clustered(corners)
    positions, triangles = weld(corners)
    for haste in HASTES:
        if len(triangles) > (OUTLINE_TRIANGLES if haste == HASTES[0] else MAX_TRIANGLES):
            uvs, parts = np.zeros((*corners.shape[:2], 2)), np.zeros(len(corners), int)
            positions, triangles = decimate(corners, uvs, parts, OUTLINE_TRIANGLES, haste)[:2]
    if len(triangles) > MAX_TRIANGLES:  # of many small pieces, that no edge connects: the largest of them
        corners = positions[triangles]
        areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        positions, triangles = weld(corners[np.argsort(-areas, kind="stable")[:MAX_TRIANGLES]])
    return OutlineMesh.of(positions, triangles)


def _clustered(corners: np.ndarray) -> np.ndarray:
    """Fewer triangles (M, 3, 3), whose corners within a cell of a grid have moved to the middle of all of them."""
    rows = corners.reshape(-1, 3)
    box = BoundingBox.of(rows)
    cells = np.int64((rows - box.low) / max(float(box.size.max()), 1e-12) * (CLUSTERS - 1) + 0.5)
    _, owner, counts = np.unique(cells @ [CLUSTERS**2, CLUSTERS, 1], return_inverse=True, return_counts=True)
    owner = owner.ravel()
    middles = np.stack([np.bincount(owner, axis) / counts for axis in rows.T], axis=1)
    triangles = owner.reshape(-1, 3)
    triangles = triangles[(triangles != np.roll(triangles, 1, axis=1)).all(1)]
    return middles[triangles]
