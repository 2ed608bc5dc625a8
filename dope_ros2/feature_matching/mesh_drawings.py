"""Drawings of a textured mesh from all sides, without OpenGL: dense samples of its surface, splatted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.mesh import Mesh
from dope_ros2.refinement.drawing import kernels
from dope_ros2.refinement.drawing.appearance import Elements
from dope_ros2.refinement.drawing.mesh_appearance import surface_samples, texture_colors
from dope_ros2.refinement.drawing.surface_view import NEAR_PLANE, SurfaceView, Window, facing, unhidden

SAMPLES = 240_000  # enough for drawings of 350 px
BACKGROUND = 128.0  # grey level
DISTANCE = 5.0  # of the eye from the box's centre [diameters]
FILL = 0.9  # share of a drawing's side that the diameter spans
MIN_COSINE = 0.01  # of the angle between a normal and the ray to it
OCCLUSION_MARGIN = 0.03  # [diameters]
GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))  # [rad]


@dataclass(frozen=True, eq=False)
class DenseSurface:
    """A surface, sampled finely enough to be drawn.

    Attributes:
        elements: points [m], normals, colours.
        box: of the mesh [m].
    """

    elements: Elements
    box: BoundingBox

    @classmethod
    def of(cls, mesh: Mesh, where: Path) -> DenseSurface:
        """Of a mesh in metres that came from a file.

        Raises:
            UserError: its texture cannot be read, or it has no area.
        """
        points, normals, uvs, area = surface_samples(mesh, SAMPLES, where)
        colors, spacing = texture_colors(mesh, uvs, where), float(np.sqrt(area / SAMPLES))
        return cls(Elements(points, normals, colors, spacing), BoundingBox.of(mesh.positions.astype(float)))

    @property
    def diameter(self) -> float:
        """Length of the box's diagonal [m]."""
        return float(np.linalg.norm(self.box.size))

    def every(self, stride: int) -> DenseSurface:
        """The same with fewer elements, for smaller drawings."""
        own = self.elements
        arrays = (np.ascontiguousarray(each[::stride]) for each in (own.points, own.normals, own.colors))
        return DenseSurface(Elements(*arrays, own.spacing * stride**0.5), self.box)

    def camera(self, side: int) -> CameraModel:
        """The camera of a square drawing that the object fills from `DISTANCE` [px]."""
        return CameraModel.from_focal(FILL * side * DISTANCE, side, side)

    def pose(self, rotation: np.ndarray, place: tuple[float, float] = (0.0, 0.0)) -> Pose:
        """T_camera_object of a rotation (3, 3), the box's centre in front of `camera`, or aside [diameters]."""
        centre = self.diameter * np.array([*place, DISTANCE])
        return Pose(rotation, centre - rotation @ self.box.centre)

    def view(self, pose: Pose, camera: CameraModel) -> SurfaceView:
        """What a square camera sees of it at a pose T_camera_object."""
        side, elements = camera.width, self.elements
        see = kernels.compiled(kernels.seen) if kernels.INSTALLED else facing
        place = pose.rotation, pose.translation, camera.K
        seen, pixels, depths = see(elements.points, elements.normals, *place, side, MIN_COSINE, NEAR_PLANE)
        spacing = elements.spacing * camera.K[0, 0] / float(pose.apply(self.box.centre)[2])
        to_eye = pose.inverse().translation - elements.points[seen]
        along = np.einsum("nd,nd->n", elements.normals[seen], to_eye)
        tangents = np.sqrt(np.maximum(np.einsum("nd,nd->n", to_eye, to_eye) / along**2 - 1, 0))
        slopes = tangents * depths / camera.K[0, 0]
        shown = unhidden(pixels, depths, slopes, side, spacing, OCCLUSION_MARGIN * self.diameter)
        window = Window(np.zeros((side, side, 3), np.float32), camera.K, np.ones((side, side), bool), np.eye(2, 3))
        return SurfaceView(window, pose, elements, seen[shown], pixels[shown], depths[shown], spacing)


def gray_levels(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) uint8 of a drawing (H, W, 3) before a plain background."""
    whole = np.where(mask[..., None], image, BACKGROUND)
    return cv2.cvtColor(np.uint8(np.clip(np.rint(whole), 0, 255)), cv2.COLOR_RGB2GRAY)


def directions(count: int) -> np.ndarray:
    """(count, 3) unit vectors, spread evenly over the sphere."""
    z = 1 - (2 * np.arange(count) + 1) / count
    turn, radius = GOLDEN_ANGLE * np.arange(count), np.sqrt(1 - z * z)
    return np.column_stack([radius * np.cos(turn), radius * np.sin(turn), z])


def looking_along(axis: np.ndarray) -> np.ndarray:
    """A rotation (3, 3) R_camera_object for an eye that looks at the object against a direction (3,) from it."""
    z = -axis / np.linalg.norm(axis)
    x = np.cross(z, np.eye(3)[np.abs(z).argmin()])
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])
