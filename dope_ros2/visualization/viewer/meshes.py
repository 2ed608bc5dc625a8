"""Meshes in the viewer rerun: each is sent once, and drawn at every pose of its object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.mesh import Mesh
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import UNITS, ObjectModel

TEXTURE = 1024  # most columns of a texture
NOWHERE = Pose.identity()

Recording = Any  # rerun.RecordingStream, where rerun is installed


class Meshes:
    """The meshes of one recording."""

    def __init__(self, rr: ModuleType, recording: Recording, read: Callable[[ObjectModel], Mesh]) -> None:
        """`read`: returns a mesh in the unit of its file, or raises UserError."""
        self._rr, self._recording, self._read = rr, recording, read
        self._worker = ThreadPoolExecutor(1)  # large meshes take seconds, and poses go on meanwhile
        self._asked: set[str] = set()
        self.faults: list[str] = []

    def close(self) -> None:
        """Send no more."""
        self._worker.shutdown(cancel_futures=True)

    def place(self, found: Sequence[Detection]) -> None:
        """Draw the mesh of each detection at its pose, and no others."""
        for model in {d.model.name: d.model for d in found if d.model.mesh}.values():
            if model.name not in self._asked:
                self._asked.add(model.name)
                self._worker.submit(self._send, model)
        for name in self._asked:
            self._place(name, [d.pose for d in found if d.model.name == name])

    def _place(self, name: str, poses: list[Pose]) -> None:
        """Without poses rerun draws a mesh once, so one that is not there is drawn infinitely small."""
        drawn = poses or [NOWHERE]
        self._recording.log(
            f"scene/meshes/{name}",
            self._rr.InstancePoses3D(
                translations=np.array([pose.translation for pose in drawn]),
                quaternions=np.array([pose.quaternion for pose in drawn]),
                scales=np.full((len(drawn), 3), float(bool(poses))),
            ),
        )

    def _send(self, model: ObjectModel) -> None:
        try:
            mesh = self._read(model)
            texture = _texture(mesh.texture)
        except (UserError, OSError) as error:
            self.faults.append(f"no mesh of {model.name}: {error}")
            return
        self._recording.log(
            f"scene/meshes/{model.name}",
            self._rr.Mesh3D(
                vertex_positions=mesh.positions * UNITS[model.mesh_unit],
                vertex_normals=mesh.normals,
                triangle_indices=mesh.triangles,
                vertex_texcoords=mesh.uvs * [1, -1] + [0, 1],  # v downwards
                albedo_texture=texture,
                albedo_factor=[*mesh.color, 1.0],
            ),
            static=True,
        )


def _texture(source: Path | bytes | None) -> np.ndarray | None:
    """A texture (H, W, 3) uint8 RGB, no wider than need be; None where there is none that can be read."""
    if source is None:
        return None
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        return None
    scale = min(1.0, TEXTURE / bgr.shape[1])
    return cv2.cvtColor(cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
