"""Which pixels an object alone would cover, drawn on the CPU from its mesh; needed where a file has to tell."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dope_datagen.assets.library import object_mesh
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.mesh import Mesh
from dope_ros2.objects.object_model import ObjectModel

FINE = 3  # drawn so many times as large, odd: OpenCV's polygons are half a pixel too wide
BEYOND = 1  # frames on each side of the image; what lies farther out is not counted
SHIFT = 4  # binary digits of a pixel's fraction


@dataclass(frozen=True, eq=False)
class Silhouette:
    """A window of the image plane: its top left pixel, which may lie outside the image, and (h, w) bool."""

    left: int
    top: int
    mask: np.ndarray

    @property
    def area(self) -> int:
        """Pixels of the object, inside the image or not."""
        return int(self.mask.sum())

    @property
    def bbox(self) -> tuple[int, int, int, int]:
        """Left, top, width, height of those pixels [px]; zeros when there are none."""
        left, top, width, height = cv2.boundingRect(self.mask.astype(np.uint8))
        return (left + self.left, top + self.top, width, height) if width else (0, 0, 0, 0)

    def inside(self, camera: CameraModel) -> np.ndarray:
        """The part in the image, (H, W) bool."""
        full = np.zeros((camera.height, camera.width), bool)
        height, width = self.mask.shape
        x0, y0 = max(self.left, 0), max(self.top, 0)
        x1, y1 = min(self.left + width, camera.width), min(self.top + height, camera.height)
        if x0 < x1 and y0 < y1:
            full[y0:y1, x0:x1] = self.mask[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left]
        return full


class Silhouettes:
    """Silhouettes of known objects; each mesh is read once. Objects without a mesh have none."""

    def __init__(self, models: list[ObjectModel]) -> None:
        self.missing: dict[str, str] = {}  # name: why
        self._meshes: dict[str, Mesh] = {}
        for model in models:
            try:
                self._meshes[model.name] = object_mesh(model)
            except UserError as error:
                self.missing[model.name] = str(error)

    def mesh(self, name: str) -> Mesh | None:
        """An object's mesh [m], if there is one."""
        return self._meshes.get(name)

    def of(self, name: str, pose: Pose, camera: CameraModel) -> Silhouette | None:
        """Draw an object at `T_camera_object`, all of it in front of the camera; None without a mesh."""
        mesh = self._meshes.get(name)
        return None if mesh is None else draw(mesh, pose, camera)


def draw(mesh: Mesh, pose: Pose, camera: CameraModel) -> Silhouette:
    """Draw a mesh [m] at `T_camera_object`."""
    points = camera.project(pose.apply(mesh.positions.astype(float)))
    frame = np.array([camera.width, camera.height])
    low = np.floor(np.clip(points.min(0), -BEYOND * frame, (1 + BEYOND) * frame)).astype(int)
    high = np.ceil(np.clip(points.max(0), -BEYOND * frame, (1 + BEYOND) * frame)).astype(int)
    width, height = high - low + 1
    canvas = np.zeros((height * FINE, width * FINE), np.uint8)
    fine = ((points - low) * FINE + FINE // 2) * 2**SHIFT
    corners = np.round(np.clip(fine, -(2**24), 2**24)).astype(np.int32)[mesh.triangles]  # (M, 3, 2)
    for triangle in corners:
        cv2.fillConvexPoly(canvas, triangle, 1, shift=SHIFT)
    return Silhouette(int(low[0]), int(low[1]), canvas[FINE // 2 :: FINE, FINE // 2 :: FINE] > 0)
