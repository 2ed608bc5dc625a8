"""Files as other tools would write them: every unit, camera frame and corner order, from one made-up image."""

import json

import cv2
import numpy as np

from dope_ros2.geometry import cuboid
from dope_ros2.geometry.pose import Pose
from helpers.handmade_images import CARTON, HEIGHT, MUG, WIDTH, sample

MODELS = {"carton": CARTON, "mug": MUG}
SCALE = {"metres": 1, "centimetres": 100, "millimetres": 1000}
FLIP = {"OpenCV": np.eye(3), "OpenGL": np.diag([1.0, -1, -1])}
DOPE, BLENDERPROC = "DOPE's corner order", "corner order of BlenderProc from June 2024 to August 2025 (y mirrored)"
ORDERS = {
    DOPE: np.eye(3),
    BLENDERPROC: np.diag([1.0, -1, 1]),
    "corner order whose x, y, z are the mesh's -x, -y, +z": np.diag([-1.0, -1, 1]),
    "corner order whose x, y, z are the mesh's +y, -z, -x": np.array([[0, 1.0, 0], [0, 0, -1], [-1, 0, 0]]),
}
STRAIGHT, TURNED = np.eye(3), np.array([[0, 1.0, 0], [0, 0, 1], [1, 0, 0]])  # R_pose_mesh


def entry(label, model, unit="metres", camera="OpenCV", order=DOPE, turn=STRAIGHT, origin="mesh", picture=None):
    """One object as a file would have it that follows these conventions."""
    T_file_camera = Pose(FLIP[camera], np.zeros(3))
    T_mesh_pose = Pose(turn.T, np.array(model.centre) if origin == "box" else np.zeros(3))
    raw = T_file_camera @ label.pose @ T_mesh_pose
    corners = np.array(model.centre) + cuboid.SIGNS @ ORDERS[order] * np.array(model.size) / 2
    return {
        "class": model.name,
        "visibility": round(label.visibility, 4),
        "location": (raw.translation * SCALE[unit]).tolist(),
        "quaternion_xyzw": raw.quaternion.tolist(),
        "projected_cuboid": picture.camera.project(label.pose.apply(corners)).round(3).tolist(),
    }


def write_picture(folder, number, objects, camera=None, suffix=".png", digits=6):
    folder.mkdir(parents=True, exist_ok=True)
    picture = sample(number)
    stem = folder / f"{number:0{digits}d}"
    cv2.imwrite(str(stem.with_suffix(suffix)), picture.rgb[..., ::-1])
    K = picture.camera.K
    intrinsics = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
    data = {"width": WIDTH, "height": HEIGHT, "intrinsics": intrinsics} if camera is None else camera
    stem.with_suffix(".json").write_text(json.dumps({"camera_data": data, "objects": objects}))
    return stem.with_suffix(".json")


def objects_of(number, **convention):
    picture = sample(number)
    return [entry(label, MODELS[label.name], picture=picture, **convention) for label in picture.objects[:2]]
