"""What an image shows, in numbers; the names in files follow the DOPE community's JSON where it has one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dope_datagen.renderers.renderer import Rendering
from dope_datagen.scenes.scene import Scene
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.objects.symmetry import canonical


@dataclass(frozen=True, eq=False)
class Label:
    """One instance of a known object in one image.

    Attributes:
        pose: T_camera_object; of a symmetric object the canonical one of all that look the same.
        keypoints: (9, 2) projected cuboid [px], inside the image or not; all nine lie in front of the camera.
        visibility: visible pixels over those of the object alone, in the frame or not.
        truncation: share of the object alone that lies outside the frame.
        bbox: left, top, width, height of the visible pixels [px]; zeros when there are none.
        px_visible, px_all: those pixels.
    """

    name: str
    class_id: int
    pose: Pose
    keypoints: np.ndarray
    visibility: float
    truncation: float
    bbox: tuple[int, int, int, int]
    px_visible: int
    px_all: int

    def to_dict(self) -> dict:
        """As JSON-able values."""
        left, top, width, height = self.bbox
        return {
            "class": self.name,
            "class_id": self.class_id,
            "location": self.pose.translation.round(6).tolist(),
            "quaternion_xyzw": self.pose.quaternion.round(8).tolist(),
            "projected_cuboid": np.round(self.keypoints, 3).tolist(),
            "visibility": round(self.visibility, 4),
            "truncation": round(self.truncation, 4),
            "bounding_box_minx_maxx_miny_maxy": [left, left + width, top, top + height],
            "px_count_visib": self.px_visible,
            "px_count_all": self.px_all,
        }

    @classmethod
    def from_dict(cls, entry: dict) -> Label:
        """Back from `to_dict`."""
        left, right, top, bottom = entry["bounding_box_minx_maxx_miny_maxy"]
        return cls(
            name=entry["class"],
            class_id=entry["class_id"],
            pose=Pose.from_quaternion(entry["quaternion_xyzw"], entry["location"]),
            keypoints=np.array(entry["projected_cuboid"]),
            visibility=entry["visibility"],
            truncation=entry["truncation"],
            bbox=(left, top, right - left, bottom - top),
            px_visible=entry["px_count_visib"],
            px_all=entry["px_count_all"],
        )


def label(scene: Scene, rendering: Rendering, objects: dict[str, ObjectModel]) -> list[Label]:
    """Label every target of a rendered scene; label k belongs to the id k + 1."""
    visible = np.bincount(rendering.ids.ravel(), minlength=len(scene.targets) + 1)
    labels = []
    for k, body in enumerate(scene.targets):
        model, (px_all, px_inside) = objects[body.name], rendering.alone[k]
        pose = canonical(body.pose, model)
        px_all = max(px_all, float(visible[k + 1]), 1.0)
        labels.append(
            Label(
                name=body.name,
                class_id=model.class_id,
                pose=pose,
                keypoints=scene.camera.project(pose.apply(model.keypoints)),
                visibility=float(visible[k + 1]) / px_all,
                truncation=float(np.clip(1 - px_inside / px_all, 0, 1)),
                bbox=cv2.boundingRect((rendering.ids == k + 1).astype(np.uint8)) if visible[k + 1] else (0, 0, 0, 0),
                px_visible=int(visible[k + 1]),
                px_all=round(px_all),
            )
        )
    return labels


def camera_to_dict(camera: CameraModel) -> dict:
    """The camera's part of an image's JSON."""
    K = camera.K
    intrinsics = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
    return {"width": camera.width, "height": camera.height, "intrinsics": {k: float(v) for k, v in intrinsics.items()}}


def camera_from_dict(entry: dict) -> CameraModel:
    """Back from `camera_to_dict`."""
    k = entry["intrinsics"]
    K = np.array([[k["fx"], 0, k["cx"]], [0, k["fy"], k["cy"]], [0, 0, 1]])
    return CameraModel(K, entry["width"], entry["height"])
