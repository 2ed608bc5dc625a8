"""Reads COLLADA (.dae): triangles, polygons, diffuse colours and textures, the scene's transforms and the unit."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import cv2
import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.mtl import find_file
from dope_ros2.meshes.obj import fans
from dope_ros2.meshes.parts import Part, linear_to_levels

FACES = ("triangles", "polylist", "polygons")
Look = tuple[np.ndarray | None, np.ndarray | None]  # texture (H, W, 3) and colour (3,), sRGB


def read_collada(path: Path, shape_only: bool = False) -> tuple[list[Part], float | None]:
    """Read the parts of a COLLADA file.

    Args:
        path: the file.
        shape_only: leave out textures and diffuse colours; the images may be missing.

    Returns:
        The parts in the file's unit and axes, and metres in one unit if the file says so.

    Raises:
        UserError: a texture is missing or not a readable image.
        Exception: of any kind, if the file is broken.
    """
    root = ElementTree.parse(path).getroot()
    for element in root.iter():  # names without their namespace
        element.tag = element.tag.rpartition("}")[2]
    document = _Document(path, root, shape_only)
    unit = root.find("asset/unit")
    scene = document.target(root.find("scene/instance_visual_scene"))
    nodes = [scene] if scene is not None else root.findall("library_visual_scenes/visual_scene")
    parts = [part for node in nodes for part in document.parts(node, np.eye(4))]
    if not nodes:  # geometry without a scene
        parts = [p for g in root.iter("geometry") for p in document.geometry(g, np.eye(4), {})]
    return parts, None if unit is None else float(unit.get("meter", "1"))


class _Document:
    """Elements by id, and what they say as arrays."""

    def __init__(self, path: Path, root: ElementTree.Element, shape_only: bool) -> None:
        self._path, self._shape_only = path, shape_only
        self._by_id = {element.get("id"): element for element in root.iter() if element.get("id")}
        self._looks: dict[str, Look] = {}

    def target(self, instance: ElementTree.Element | None) -> ElementTree.Element | None:
        """The element that an instance's or input's reference means."""
        if instance is None:
            return None
        reference = instance.get("url") or instance.get("source") or instance.get("target") or ""
        return self._by_id.get(reference.removeprefix("#"))

    def parts(self, node: ElementTree.Element, T_scene_parent: np.ndarray) -> list[Part]:
        """Everything below a node of the scene."""
        T_scene_node = T_scene_parent @ _transform(node)
        parts = []
        for child in node:
            if child.tag == "node" or child.tag == "instance_node":
                below = child if child.tag == "node" else self.target(child)
                parts += [] if below is None else self.parts(below, T_scene_node)
            elif child.tag == "instance_geometry":
                bound = {b.get("symbol"): b.get("target", "")[1:] for b in child.iter("instance_material")}
                geometry = self.target(child)
                parts += [] if geometry is None else self.geometry(geometry, T_scene_node, bound)
        return parts

    def geometry(self, geometry: ElementTree.Element, matrix: np.ndarray, bound: dict[str, str]) -> list[Part]:
        """The parts of a geometry; `bound`: ids of materials by the symbols that faces use."""
        faces = [element for tag in FACES for element in geometry.findall(f"mesh/{tag}")]
        parts = [self._part(element, matrix, bound) for element in faces]
        return [part for part in parts if len(part.corners)]

    def _part(self, faces: ElementTree.Element, matrix: np.ndarray, bound: dict[str, str]) -> Part:
        inputs = {i.get("semantic"): i for i in reversed(faces.findall("input"))}
        index = _triangles(faces, 1 + max(int(i.get("offset", 0)) for i in faces.findall("input")))  # (M, 3, inputs)
        vertices = self.target(inputs["VERTEX"])
        at = index[..., int(inputs["VERTEX"].get("offset", 0))]
        position = next(i for i in vertices.findall("input") if i.get("semantic") == "POSITION")
        corners = self._array(position)[at] @ matrix[:3, :3].T + matrix[:3, 3]
        uvs = self._array(inputs["TEXCOORD"])[index[..., int(inputs["TEXCOORD"].get("offset", 0))]][..., :2] \
            if "TEXCOORD" in inputs else None  # fmt: skip
        symbol = faces.get("material", "")
        image, color = self._look(bound.get(symbol, symbol))
        colors = None if color is None else np.broadcast_to(color, corners.shape)
        if "COLOR" in inputs and image is None:
            levels = 255 * self._array(inputs["COLOR"])[..., :3]
            colors = levels[index[..., int(inputs["COLOR"].get("offset", 0))]]
        normals = None
        if "NORMAL" in inputs:
            at = index[..., int(inputs["NORMAL"].get("offset", 0))]
            normals = self._array(inputs["NORMAL"])[at] @ np.linalg.inv(matrix[:3, :3])
            normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-20)
        part = Part(corners, uvs, image, colors, normals)
        if np.linalg.det(matrix[:3, :3]) >= 0:
            return part
        # A mirrored part would show its inside.
        turned = {
            name: value[:, ::-1] for name, value in part._asdict().items() if name != "image" and value is not None
        }
        return part._replace(**turned)

    def _array(self, reference: ElementTree.Element) -> np.ndarray:
        """The rows of a source."""
        source = self.target(reference)
        accessor = source.find("technique_common/accessor")
        return _numbers(source.find("float_array")).reshape(-1, int(accessor.get("stride", 1)))

    def _look(self, material: str) -> Look:
        if material not in self._looks:
            self._looks[material] = self._read_look(material)
        return self._looks[material]

    def _read_look(self, material: str) -> Look:
        element = None if self._shape_only else self._by_id.get(material)
        effect = None if element is None else self.target(element.find("instance_effect"))
        diffuse = None if effect is None else next(effect.iter("diffuse"), None)
        if diffuse is None:
            return None, None
        color, texture = diffuse.find("color"), diffuse.find("texture")
        if texture is None:
            return None, None if color is None else linear_to_levels(_numbers(color)[:3])
        return self._image(effect, texture.get("texture", "")), None

    def _image(self, effect: ElementTree.Element, name: str) -> np.ndarray:
        """Follow texture, sampler and surface to an image."""
        named = {p.get("sid"): p for p in effect.iter("newparam")}
        for _ in range(2):
            if name in named:
                inner = next((e for e in named[name].iter() if e.tag in ("source", "init_from")), None)
                name = name if inner is None or not inner.text else inner.text.strip()
        image = self._by_id.get(name)
        file = None if image is None else next((e.text for e in image.iter("init_from") if e.text), None)
        where = find_file(file or name, self._path, self._path)
        pixels = cv2.imread(str(where), cv2.IMREAD_COLOR) if where else None
        if pixels is None:
            where = where or self._path.parent / unquote((file or name).strip().removeprefix("file://"))
            raise UserError(
                f"{self._path}: its texture {where} is missing or not a readable image; put it there, or export again"
            )
        return pixels[..., ::-1]


def _numbers(element: ElementTree.Element) -> np.ndarray:
    return np.array((element.text or "").split(), float)


def _triangles(faces: ElementTree.Element, inputs: int) -> np.ndarray:
    """Indices (M, 3, inputs) of a faces element, polygons cut into fans."""
    lists = [_numbers(p).astype(int).reshape(-1, inputs) for p in faces.findall("p")]
    rows = np.concatenate([*lists, np.zeros((0, inputs), int)])
    if faces.tag == "triangles":
        return rows.reshape(-1, 3, inputs)
    counts = _numbers(faces.find("vcount")).astype(int) if faces.tag == "polylist" else np.array([*map(len, lists)])
    return rows[fans(counts)]


def _transform(node: ElementTree.Element) -> np.ndarray:
    """The (4, 4) matrix of a node's own transforms, in their order."""
    matrix = np.eye(4)
    for child in node:
        step = np.eye(4)
        if child.tag == "matrix":
            step = _numbers(child).reshape(4, 4)
        elif child.tag == "translate":
            step[:3, 3] = _numbers(child)
        elif child.tag == "scale":
            step[:3, :3] = np.diag(_numbers(child))
        elif child.tag == "rotate":
            axis, angle = _numbers(child)[:3], np.deg2rad(_numbers(child)[3])
            step = Pose.from_rotvec(axis / np.linalg.norm(axis) * angle, np.zeros(3)).matrix
        matrix = matrix @ step
    return matrix
