"""Boxes whose axes are named otherwise: old weights know a box whose axes need not be those of the object's mesh.

Axes are written as text such as "z,-y,x": which axes of the weights' box are x, y and z of the object.
"""

from __future__ import annotations

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.geometry import cuboid

IDENTITY_AXES = "x,y,z"
RIGHT_ANGLE_TOLERANCE = 0.01  # of a rotation's numbers, when it is by right angles
UNITS = dict(zip("xyz", np.eye(3), strict=True))


def parse(text: str) -> np.ndarray:
    """The rotation R_box_object (3, 3) that axes mean.

    Raises:
        UserError: they are not three axes at right angles, or a mirror image.
    """
    words = [word.strip().removeprefix("+") for word in text.split(",")]
    if len(words) == 3 and all(word.removeprefix("-") in UNITS for word in words):
        rotation = np.column_stack([UNITS[w[-1]] * (-1 if w[0] == "-" else 1) for w in words])
        if np.linalg.det(rotation) > 0.5:
            return rotation
    raise UserError(
        f"axes {text!r}: name which axes of the weights' box are the object's x, y and z, such as z,x,y or x,-z,y; "
        "a mirror image is no rotation"
    )


def named(rotation: np.ndarray) -> str | None:
    """R_box_object (3, 3) as text; None when it does not turn by right angles."""
    if np.abs(rotation - np.rint(rotation)).max() > RIGHT_ANGLE_TOLERANCE:
        return None
    columns = np.rint(rotation).T
    return ",".join(("-" if column.sum() < 0 else "") + "xyz"[int(np.abs(column).argmax())] for column in columns)


def keypoint_order(rotation: np.ndarray) -> np.ndarray:
    """(9,): which of the weights' keypoints each keypoint of the object is, R_box_object (3, 3) by right angles."""
    in_box = cuboid.SIGNS @ rotation.T
    return (in_box[:, None] == cuboid.SIGNS[None]).all(-1).argmax(1)
