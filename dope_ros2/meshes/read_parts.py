"""Reads a mesh file into its parts; PLY, glTF and STL are parsed by trimesh, OBJ and COLLADA here.

Positions are in the file's own unit and axes. OBJ, PLY and STL do not say which unit that is; glTF is in metres by its
specification, and COLLADA states its unit in asset/unit. `mesh_unit` of objects.yaml decides for a known object.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

from dope_ros2.common.errors import UserError, one_line
from dope_ros2.common.python_packages import pip_install
from dope_ros2.meshes.collada import read_collada
from dope_ros2.meshes.mtl import Look, looks_of, read_materials
from dope_ros2.meshes.obj import read_obj
from dope_ros2.meshes.obj_parts import obj_parts
from dope_ros2.meshes.parts import Part, linear_to_levels

MESH_SUFFIXES = (".obj", ".ply", ".gltf", ".glb", ".dae", ".stl")
INVENTED = 12  # numbers in an image of 2 x 2 px


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """Turn whatever a parser raises within the block into a UserError that names the file."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a parser meets anything in a broken file, and raises anything
        reason = one_line(error) or type(error).__name__
        raise UserError(f"{path}: not a readable mesh ({reason}); export it again as OBJ") from error


def read_parts(path: Path, shape_only: bool = False) -> tuple[np.ndarray, list[Part], float | None]:
    """Read a mesh file into parts of one material each.

    Args:
        path: a file with one of MESH_SUFFIXES.
        shape_only: do not read materials, texture coordinates and normals of OBJ and textures of COLLADA, nor the files
            that have them; they may be missing.

    Returns:
        (N, 3) vertices, also those that no triangle has; the parts; and metres in one unit if the file says so.
        The images of an OBJ are files that have not been opened.

    Raises:
        UserError: the file is broken, a package is missing, or a texture of COLLADA; others' are left out.
    """
    with parsing(path):
        if path.suffix.lower() == ".dae":
            return _read_collada(path, shape_only)
        if path.suffix.lower() == ".obj":
            return _read_obj(path, shape_only)
        return _read_with_trimesh(path)


def _read_collada(path: Path, shape_only: bool) -> tuple[np.ndarray, list[Part], float | None]:
    parts, unit = read_collada(path, shape_only)
    corners = np.concatenate([np.zeros((0, 3)), *(part.corners.reshape(-1, 3) for part in parts)])
    return np.unique(corners, axis=0), parts, unit


def _read_obj(path: Path, shape_only: bool) -> tuple[np.ndarray, list[Part], None]:
    obj = read_obj(path, shape_only)
    looks = [Look()] * len(obj.names) if shape_only else looks_of(obj.names, read_materials(path, obj.libraries))
    return obj.positions, obj_parts(obj, looks), None


def _read_with_trimesh(path: Path) -> tuple[np.ndarray, list[Part], float | None]:
    trimesh = _trimesh(path)
    scene = trimesh.load_scene(path, process=False)
    linear = path.suffix.lower() in (".gltf", ".glb")
    vertices, parts, looks = [np.zeros((0, 3))], [], {}
    for node in scene.graph.nodes_geometry:
        matrix, name = scene.graph[node]
        geometry = scene.geometry[name]
        placed = trimesh.transform_points(np.asarray(geometry.vertices, float), matrix)
        vertices.append(placed)
        if isinstance(geometry, trimesh.Trimesh) and len(geometry.faces):
            turned = np.linalg.det(matrix[:3, :3]) < 0  # a mirrored part would show its inside
            faces = np.asarray(geometry.faces)[:, ::-1] if turned else np.asarray(geometry.faces)
            part = _part(geometry, placed, faces, linear, looks)
            parts.append(part._replace(normals=_normals(geometry, matrix, faces)))
    return np.concatenate(vertices), parts, 1.0 if linear else None


def _trimesh(path: Path) -> ModuleType:
    try:
        import trimesh
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path}: meshes other than OBJ and COLLADA are read with the Python package trimesh, which is not "
            f"installed: {pip_install('trimesh')}, or export the mesh as OBJ"
        ) from error
    return trimesh


def _normals(geometry: object, matrix: np.ndarray, faces: np.ndarray) -> np.ndarray | None:
    """The normals that the file has, (M, 3, 3), turned with a part; None if trimesh would make them up."""
    if "vertex_normals" not in geometry._cache:  # as trimesh's own exporters ask
        return None
    normals = np.asarray(geometry.vertex_normals, float) @ np.linalg.inv(matrix[:3, :3])
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20))[faces]


def _part(geometry: object, vertices: np.ndarray, faces: np.ndarray, linear: bool, looks: dict[int, tuple]) -> Part:
    """One geometry of trimesh; `linear`: its vertex colours are linear light, as glTF's; `looks`: known materials'."""
    visual = geometry.visual
    if visual.kind == "texture":
        key = id(visual.material)
        if key not in looks:
            looks[key] = _material(visual.material)
        image, color = looks[key]
        uvs = None if visual.uv is None else np.asarray(visual.uv, float)[faces]
        return Part(vertices[faces], uvs, image, None if color is None else np.broadcast_to(color, (*faces.shape, 3)))
    colors = None
    if visual.kind == "vertex":
        colors = np.asarray(visual.vertex_colors, float)[:, :3][faces]
    if visual.kind == "face":
        colors = np.asarray(visual.face_colors, float)[:, None, :3].repeat(3, axis=1)
    if colors is not None and linear:
        colors = linear_to_levels(colors / 255)
    return Part(vertices[faces], None, None, colors)


def _material(material: object) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Texture and colour (3,), sRGB, of a material of trimesh; factors are linear light."""
    image = getattr(material, "baseColorTexture", getattr(material, "image", None))
    factor = getattr(material, "baseColorFactor", None)  # glTF: multiplies the texture
    diffuse = getattr(material, "diffuse", None) if factor is None else factor
    color = None if diffuse is None else linear_to_levels(np.asarray(diffuse, float)[:3] / 255)
    if image is None:
        return None, color
    pixels = np.asarray(image.convert("RGB"))
    if pixels.size <= INVENTED and not np.ptp(pixels):  # what trimesh puts where there are only coordinates
        return None, None
    if factor is not None and min(factor[:3]) < 255:
        curve = linear_to_levels(np.linspace(0, 1, 4096))
        light = np.interp(np.arange(256), curve, np.linspace(0, 1, 4096))[pixels]
        pixels = np.uint8(np.round(linear_to_levels(light * np.asarray(factor[:3]) / 255)))
    return pixels, color
