"""The appearance of an object, made from its mesh."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.meshes.decimate import decimate
from dope_ros2.meshes.mesh import Mesh
from dope_ros2.meshes.parts import linear_to_levels, weld
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.meshes.surface_points import R2_SEQUENCE, check_size
from dope_ros2.objects.object_model import UNITS, ObjectModel
from dope_ros2.refinement.appearance import ELEMENTS, NORMAL_LEVER, Appearance, mean_of_nearest
from dope_ros2.refinement.silhouette import OutlineMesh

SAMPLES = 16  # of the texture for each element
OUTLINE_TRIANGLES = 800  # small enough to be quick, fine enough for a can
LARGEST_TEXTURE = 4096  # [px] of a side; larger ones are shrunk, which no element of a surface shows
REMAP_COLUMNS = 30_000  # OpenCV's remap takes images of less than 32768 columns


def of_object(model: ObjectModel) -> Appearance:
    """Of an object of objects.yaml, in its frame.

    Raises:
        UserError: its mesh or texture cannot be read, or the mesh is not of its size.
    """
    path = model.mesh_path
    mesh = read_mesh(path).scaled(UNITS[model.mesh_unit])
    check_size(mesh.positions, model, path)
    return of_mesh(mesh, path)


def of_mesh(mesh: Mesh, where: Path) -> Appearance:
    """Of a mesh in metres that came from a file.

    Raises:
        UserError: its texture cannot be read, or it has no area.
    """
    points, normals, uvs, area = _samples(mesh, ELEMENTS * SAMPLES, where)
    colors = _colors(mesh, uvs, where)
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


def _samples(mesh: Mesh, count: int, where: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Points (count, 3) spread evenly by area, their outward normals, texture coordinates (count, 2), and the area."""
    corners, uvs = mesh.positions[mesh.triangles].astype(float), mesh.uvs[mesh.triangles].astype(float)
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normals = np.cross(ab, ac)
    if (a * normals).sum() < 0:  # six times the volume: they point inward
        normals = -normals
    doubled = np.linalg.norm(normals, axis=1)
    until = np.cumsum(doubled)
    if not until[-1] > 0:
        raise UserError(f"{where}: all {len(corners)} triangles have zero area; export it again")
    chosen = np.minimum(np.searchsorted(until, (np.arange(count) + 0.5) / count * until[-1]), len(corners) - 1)
    u, v = (np.arange(count)[:, None] * R2_SEQUENCE % 1).T[..., None]
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    coordinates = uvs[chosen, 0] + u * (uvs[chosen, 1] - uvs[chosen, 0]) + v * (uvs[chosen, 2] - uvs[chosen, 0])
    points = a[chosen] + u * ab[chosen] + v * ac[chosen]
    return points, normals[chosen] / doubled[chosen, None], coordinates, float(until[-1]) / 2


def _colors(mesh: Mesh, uvs: np.ndarray, where: Path) -> np.ndarray:
    """(N, 3) sRGB levels at texture coordinates (N, 2)."""
    tint = linear_to_levels(np.asarray(mesh.color, float)) / 255
    if mesh.texture is None:
        return np.tile(255 * tint, (len(uvs), 1))
    image = _texture(mesh.texture, where)
    height, width = image.shape[:2]
    x, y = np.float32(uvs[:, 0] % 1 * width - 0.5), np.float32((1 - uvs[:, 1]) % 1 * height - 0.5)
    rows = [
        cv2.remap(image, x[None, k : k + REMAP_COLUMNS], y[None, k : k + REMAP_COLUMNS], cv2.INTER_LINEAR,
                  borderMode=cv2.BORDER_WRAP)[0]
        for k in range(0, len(x), REMAP_COLUMNS)
    ]  # fmt: skip
    return np.concatenate(rows)[:, ::-1] * tint


def _texture(texture: Path | bytes, where: Path) -> np.ndarray:
    """(H, W, 3) uint8 BGR."""
    if isinstance(texture, bytes):
        image = cv2.imdecode(np.frombuffer(texture, np.uint8), cv2.IMREAD_COLOR)
    else:
        image = cv2.imread(str(texture), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(
            f"{where}: its texture {texture if isinstance(texture, Path) else ''} is no readable PNG or JPEG"
        )
    shrink = LARGEST_TEXTURE / max(image.shape[:2])
    return image if shrink >= 1 else cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)


def _outline(mesh: Mesh) -> OutlineMesh:
    """Its edges, of few triangles."""
    corners = mesh.positions[mesh.triangles].astype(float)
    if len(corners) > OUTLINE_TRIANGLES:
        flat, one = np.zeros((*corners.shape[:2], 2)), np.zeros(len(corners), int)
        return OutlineMesh.of(*decimate(corners, flat, one, OUTLINE_TRIANGLES)[:2])
    positions, triangles = weld(corners)
    return OutlineMesh.of(positions, triangles)
