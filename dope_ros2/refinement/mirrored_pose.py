"""The other pose in which a face of an object looks much the same: where a refinement went wrong, it may be right."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.geometry.pose import Pose

MIN_TILT = np.deg2rad(5)  # of a face to the ray, from which on its mirrored pose is another one


def mirrored_face(pose: Pose, box: BoundingBox) -> Pose | None:
    """The pose with the best seen face tilted the other way; None where that changes little.

    A plane seen in weak perspective has two poses, whose normals lie on different sides of the ray (Oberkampf,
    DeMenthon and Davis, "Iterative Pose Estimation Using Coplanar Feature Points", CVIU 1996).
    """
    centre, size = pose.apply(box.centre), box.size
    to_eye = -centre / np.linalg.norm(centre)
    cosines = pose.rotation.T @ to_eye
    areas = np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]])
    axis = int((np.abs(cosines) * areas).argmax())
    normal = pose.rotation[:, axis] * np.sign(cosines[axis])
    hinge = np.cross(to_eye, normal)
    tilt = float(np.arctan2(np.linalg.norm(hinge), to_eye @ normal))
    if tilt < MIN_TILT:
        return None
    turn = Rotation.from_rotvec(-2 * tilt * hinge / np.linalg.norm(hinge)).as_matrix()
    return turned_about(pose, box.centre, turn)


def turned_about(pose: Pose, point: np.ndarray, turn: np.ndarray) -> Pose:
    """A pose turned by `turn` (3, 3) in the camera's frame, about a point (3,) of the object [m]."""
    rotation = turn @ pose.rotation
    return Pose(rotation, pose.apply(point) - rotation @ point)
