"""Reads a mesh file with all its materials. PLY, glTF and STL are parsed by trimesh, OBJ and COLLADA here."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dope_datagen.mesh_preparation.assemble import Part, assemble, linear_to_levels
from dope_datagen.mesh_preparation.surface import Surface
from dope_ros2.common.errors import UserError
from dope_ros2.meshes.collada import read_collada
from dope_ros2.meshes.mtl import file_name, find_file, looks_of, read_materials
from dope_ros2.meshes.obj import read_obj
from dope_ros2.meshes.obj_parts import obj_parts

INVENTED = 12  # numbers in a picture of 2 x 2 px
SUFFIXES = (".obj", ".ply", ".gltf", ".glb", ".dae", ".stl")


@dataclass(frozen=True, eq=False)
class Source:
    """What a mesh file holds.

    Attributes:
        path: the file.
        surface: its triangles, in its unit.
        vertices: number of vertices, as stored.
        materials: number of parts with a material of their own.
        declared: metres in one unit, if the file says so.
        notes: what a user should know about the file, a sentence each.
    """

    path: Path
    surface: Surface
    vertices: int
    materials: int
    declared: float | None
    notes: tuple[str, ...]


def read(path: Path) -> Source:
    """Read a mesh file.

    Raises:
        UserError: it is not a readable mesh, has no triangles, positions that are not finite, or a texture that is
            named and missing.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"{path}: the suffix {path.suffix!r} is not one of {', '.join(SUFFIXES)}; export it as OBJ")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    named = _textures(path)
    _missing(path, named)
    try:
        vertices, parts, declared = read_parts(path)
    except UserError:
        raise
    except Exception as error:  # a parser meets anything in a broken file, and raises anything
        raise UserError(
            f"{path}: not a readable mesh ({type(error).__name__}: {error}); export it again as OBJ"
        ) from error
    _refuse_unusable(path, vertices, parts)
    surface, notes = assemble(parts)
    if surface.areas.sum() <= 1e-12 * surface.size.max() ** 2:
        raise UserError(f"{path}: all {sum(len(p.corners) for p in parts)} triangles have zero area; export it again")
    if named and not surface.images:
        notes += (f"the texture {named[0]} is not used: no face has it",)
    return Source(path, surface, len(vertices), len(parts), declared, notes)


def _refuse_unusable(path: Path, vertices: np.ndarray, parts: list[Part]) -> None:
    broken = ~np.isfinite(vertices).all(1)
    if broken.any():
        raise UserError(
            f"{path}: {broken.sum()} of {len(vertices)} vertices are not finite (NaN or infinite), the first is number "
            f"{int(broken.argmax()) + 1}; remove them and export the mesh again"
        )
    if not sum(len(part.corners) for part in parts):
        raise UserError(
            f"{path}: the mesh has no triangles ({len(vertices)} vertices); a point cloud must be turned into a mesh "
            "first, and curves or empty groups must be exported as faces"
        )


def _missing(path: Path, named: list[str]) -> None:
    """Refuse a file whose textures or material library are not there or not readable."""
    for name in named:
        place = find_file(name, path, path) or find_file(file_name(name), path, path)
        if place is None:
            raise UserError(
                f"{path}: {name}, which it names, is not in {path.parent}; put the file there, or remove the line that "
                "names it to go without a texture"
            )
        try:
            Image.open(place).close()
        except (OSError, SyntaxError) as error:
            raise UserError(f"{path}: its texture {place} is not a readable picture; save it again as PNG") from error


def _textures(path: Path) -> list[str]:
    """Textures that a file names, and material libraries that are not there."""
    suffix = path.suffix.lower()
    if suffix == ".obj":
        libraries = _lines(path.read_text(errors="replace"), "mtllib")
        there = {name: found for name in libraries if (found := find_file(name, path, path))}
        textures = [n for library in there.values() for n in _lines(library.read_text(errors="replace"), "map_Kd")]
        return textures + [name for name in libraries if name not in there]
    if suffix == ".ply":
        with path.open("rb") as file:
            head = file.read(4096).split(b"end_header")[0].decode(errors="replace")
        return _lines(head, "comment TextureFile")
    if suffix == ".gltf":
        try:
            uris = [image.get("uri", "") for image in json.loads(path.read_bytes()).get("images", [])]
        except (ValueError, AttributeError):
            return []  # the parser says what is wrong
        return [uri for uri in uris if uri and not uri.startswith("data:")]
    return []


def _lines(text: str, key: str) -> list[str]:
    """What follows a word at the beginning of a line."""
    return re.findall(rf"^[ \t]*{key}[ \t]+(\S.*?)\s*$", text, re.M)


def read_parts(path: Path) -> tuple[np.ndarray, list[Part], float | None]:
    """(N, 3) vertices, parts, and metres in one unit if the file says so.

    Raises:
        Exception: of any kind, if the file is broken; textures that are missing are left out, but for COLLADA's.
    """
    if path.suffix.lower() == ".dae":
        parts, unit = read_collada(path)
        corners = np.concatenate([part.corners.reshape(-1, 3) for part in parts] or [np.zeros((0, 3))])
        return np.unique(corners, axis=0), parts, unit
    if path.suffix.lower() == ".obj":
        obj = read_obj(path)
        parts = obj_parts(obj, looks_of(obj.names, read_materials(path, obj.libraries)))
        return obj.positions, [part._replace(image=_picture(part.image)) for part in parts], None
    import trimesh

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


def _picture(file: Path | None) -> np.ndarray | None:
    return None if file is None else np.asarray(Image.open(file).convert("RGB"))


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
