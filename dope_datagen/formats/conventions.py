"""Which unit, camera frame and corner order a dataset has: every combination is tried, and reprojection decides.

A label in such data is a pose and nine pixels. Under the right reading, the pose puts the corners of the object's box
on those pixels; under a wrong one it does not. Several tools and versions are told apart this way:

- unit of the location: metres, centimetres, millimetres;
- camera frame: OpenCV (y down, z forward) or OpenGL (y up, looking along -z);
- corner order: any of the 48 ways to name a box's axes and their signs;
- the frame that the pose belongs to: the mesh's, or one turned against it by right angles, around the mesh's origin
  or around the centre of its box.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import UNITS, ObjectModel

TOLERANCE_PX, TOLERANCE_SHARE = 2.0, 0.01  # a label fits within the larger: pixels, or a share of its own extent
SLACK = 0.3  # [px], readings whose errors differ by less are told apart by simplicity, not by error
UNIT_NAMES = {"m": "metres", "cm": "centimetres", "mm": "millimetres"}
CAMERAS = {"OpenCV": np.diag([1.0, 1.0, 1.0]), "OpenGL": np.diag([1.0, -1.0, -1.0])}  # optical frame from it
ORIGINS = ("mesh", "box")


def _axes() -> list[np.ndarray]:
    """All 48 matrices that permute axes and change their signs; the simplest first."""
    swaps, signs = permutations(range(3)), list(product((1.0, -1.0), repeat=3))
    return [np.diag(sign)[:, list(swap)] for swap in swaps for sign in signs]


IDENTITY, MIRROR_Y = np.eye(3), np.diag([1.0, -1.0, 1.0])
_PLAIN = [(IDENTITY, IDENTITY), (IDENTITY, MIRROR_Y), (IDENTITY, np.diag([-1.0, -1.0, 1.0]))]
_OTHER = [(IDENTITY, axes) for axes in _axes() if not any(np.array_equal(axes, order) for _, order in _PLAIN)]
_TURNED = [  # half turns are left out: as corner orders they are among the above
    (axes, order)
    for axes in _axes()
    if np.linalg.det(axes) > 0 and np.any(np.abs(axes) != IDENTITY)
    for order in (IDENTITY, MIRROR_Y)
]
_FRAMES = _PLAIN + _OTHER + _TURNED  # pairs of R_pose_mesh and corner order


@dataclass(frozen=True, eq=False)
class Convention:
    """One way to read poses and corners.

    Attributes:
        unit: m, cm or mm.
        camera: OpenCV or OpenGL.
        turn: R_pose_mesh (3, 3), of right angles; the identity where poses are those of the mesh.
        order: (3, 3); row i is the mesh's axis that the corner order takes for its axis i.
        origin: mesh or box; what the location is the place of.
    """

    unit: str
    camera: str
    turn: np.ndarray
    order: np.ndarray
    origin: str

    def pose(self, raw: Pose, model: ObjectModel) -> Pose:
        """`T_camera_object` in metres, optical frame and mesh's frame, from a pose as it is in the file."""
        offset = -self.turn @ model.centre if self.origin == "box" else np.zeros(3)
        there = Pose(raw.rotation, raw.translation * UNITS[self.unit])
        return Pose(CAMERAS[self.camera], np.zeros(3)) @ there @ Pose(self.turn, offset)

    def __str__(self) -> str:
        parts = [UNIT_NAMES[self.unit], f"{self.camera} camera", _order_text(self.order)]
        if not np.array_equal(self.turn, IDENTITY):
            parts.append(f"poses of a frame whose x, y, z are the mesh's {_axes_text(self.turn)}")
        if self.origin == "box":
            parts.append("location of the box's centre")
        return ", ".join(parts)


CONVENTIONS = [
    Convention(unit, camera, turn, order, origin)
    for (turn, order), origin, camera, unit in product(_FRAMES, ORIGINS, CAMERAS, UNITS)
]


def errors(raw: Pose, pixels: np.ndarray, camera: CameraModel, model: ObjectModel) -> np.ndarray:
    """How badly a label fits each of `CONVENTIONS`.

    Args:
        raw: the pose as it is in the file.
        pixels: (9, 2) projected corners and centre as they are in the file.
        camera: of the image.
        model: the object.

    Returns:
        (len(CONVENTIONS),) root mean square of the distances [px]; infinite where a corner would lie behind the camera.
    """
    turns, orders = np.array([turn for turn, _ in _FRAMES]), np.array([order for _, order in _FRAMES])
    corners = (cuboid.SIGNS @ orders) * np.array(model.size) / 2  # (F, 9, 3)
    origins = np.stack([np.array(model.centre, float), np.zeros(3)])  # as ORIGINS
    points = np.einsum("fij,fokj->foki", turns, corners[:, None] + origins[:, None])  # (F, O, 9, 3)
    points = (points @ raw.rotation.T)[:, :, None] + np.outer(list(UNITS.values()), raw.translation)[:, None]
    points = points[:, :, None] * np.array([np.diag(axes) for axes in CAMERAS.values()])[:, None, None]
    u = points.reshape(-1, cuboid.COUNT, 3) @ camera.K.T
    behind = (u[..., 2] <= 0).any(1)
    away = u[..., :2] / np.where(u[..., 2:] > 0, u[..., 2:], 1.0) - pixels
    return np.where(behind, np.inf, np.sqrt((away**2).sum(-1).mean(-1)))


def tolerance(pixels: np.ndarray) -> float:
    """Error up to which a label (9, 2) counts as fitting [px]."""
    return max(TOLERANCE_PX, TOLERANCE_SHARE * float(np.linalg.norm(np.ptp(pixels, axis=0))))


def decide(misfits: np.ndarray) -> np.ndarray:
    """Explain images by as few conventions as possible.

    Args:
        misfits: (P, len(CONVENTIONS)) error of each image's worst label [px]; infinite where it does not fit.

    Returns:
        (P,) index of each image's convention; -1 where none fits.
    """
    fits = np.isfinite(misfits)
    chosen = np.full(len(misfits), -1)
    while (open_ := (chosen < 0) & fits.any(1)).any():
        counts = fits[open_].sum(0)
        most = np.flatnonzero(counts == counts.max())
        mean = np.array([misfits[open_ & fits[:, index], index].astype(float).mean() for index in most])
        index = most[np.flatnonzero(mean <= mean.min() + SLACK)[0]]
        chosen[open_ & fits[:, index]] = index
    return chosen


def _order_text(order: np.ndarray) -> str:
    if np.array_equal(order, IDENTITY):
        return "DOPE's corner order"
    if np.array_equal(order, MIRROR_Y):
        return "corner order of BlenderProc from June 2024 to August 2025 (y mirrored)"
    return f"corner order whose x, y, z are the mesh's {_axes_text(order)}"


def _axes_text(axes: np.ndarray) -> str:
    """Such as "+x, -z, +y": which axis each row is."""
    return ", ".join(("+" if row.sum() > 0 else "-") + "xyz"[int(np.abs(row).argmax())] for row in axes)
