"""Photographs of the carton at known poses, drawn from a finer sampling of its mesh than the one that is refined."""

from functools import cache

import cv2
import numpy as np

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.objects.object_model import load_objects
from dope_ros2.refinement.drawing import mesh_appearance
from dope_ros2.refinement.drawing.surface_view import splat, unhidden

CAMERA = CameraModel.from_focal(600, 640, 480)
FINER = 2  # times as large as the image that is made of it
POSES = [
    Pose.from_rotvec(np.array(turn), np.array(place))
    for turn, place in (
        ((2.2, 0.3, 0.2), (0.02, 0.01, 0.55)),
        ((-0.9, 0.8, 0.3), (-0.06, 0.03, 0.6)),
        ((0.4, -2.3, 0.6), (0.03, -0.05, 0.7)),
        ((1.2, 1.4, -0.8), (-0.02, 0.0, 0.5)),
    )
]


@cache
def appearance():
    """Of the carton."""
    return mesh_appearance.of_object(load_objects()["carton"])


@cache
def dense():
    """Points (N, 3), normals and colours of the carton, many times as many."""
    model = load_objects()["carton"]
    mesh = read_mesh(model.mesh_path)
    points, normals, uvs, _ = mesh_appearance.surface_samples(mesh, 600_000, model.mesh_path)
    return points, normals, np.asarray(mesh_appearance.texture_colors(mesh, uvs, model.mesh_path), float)


@cache
def photograph(index):
    """(480, 640, 3) uint8: the carton at a pose, lit from one side, over a coloured cloud, with noise."""
    rng = np.random.default_rng(100 + index)
    side = FINER * CAMERA.width
    background = cv2.resize(rng.uniform(40, 200, (12, 16, 3)), (side, side), interpolation=cv2.INTER_CUBIC)
    pose, (points, normals, colors) = POSES[index], dense()
    placed, turned = pose.apply(points), normals @ pose.rotation.T
    camera = CAMERA.resized(FINER * CAMERA.width, FINER * CAMERA.height)
    seen = np.flatnonzero((turned * placed).sum(1) < 0)
    pixels, depths = camera.project(placed[seen]), placed[seen, 2]
    slopes = np.linalg.norm(placed[seen], axis=1) / -(turned[seen] * placed[seen]).sum(1) * depths / camera.K[0, 0]
    open_to_view = unhidden(pixels, depths, slopes, side, 0.8, 0.005)
    seen, pixels = seen[open_to_view], pixels[open_to_view]
    lit = colors[seen] * (0.75 + 0.25 * turned[seen] @ np.array([0.5, -0.6, -0.6]))[:, None]
    sums = splat(pixels, lit, side)
    hull = cv2.convexHull(np.float32(camera.project(pose.apply(appearance().corners))))
    covered = np.zeros((side, side), np.uint8)
    cv2.fillConvexPoly(covered, np.int32(np.rint(hull * 16)), 255, cv2.LINE_AA, 4)
    covered = covered[..., None] / 255
    image = sums[..., :3] / np.maximum(sums[..., 3:], 1e-6) * covered + background * (1 - covered)
    image = cv2.resize(image[: FINER * CAMERA.height], (CAMERA.width, CAMERA.height), interpolation=cv2.INTER_AREA)
    return np.uint8(np.clip(image + rng.normal(0, 2, image.shape), 0, 255))
