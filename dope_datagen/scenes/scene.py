"""What is in one image: plain data that a renderer turns into pixels, and that can be stored as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        texture: "own" (the mesh's), "none", "file:<path>" or "procedural:<kind>:<seed>".
        tint: linear RGB factor.
        roughness: 0 (mirror) to 1 (chalk).
        metallic: 0 or 1.
        specular: reflectance of a non-metal seen straight on.
        repeat: how often the texture repeats across the mesh.
    """

    texture: str = "own"
    tint: Vector = (1.0, 1.0, 1.0)
    roughness: float = 0.6
    metallic: float = 0.0
    specular: float = 0.04
    repeat: float = 1.0


@dataclass(frozen=True)
class Body:
    """A mesh somewhere.

    Attributes:
        mesh: key of `assets.Assets`.
        rotation: row-major (3, 3), and translation: (3,) [m], of T_camera_body.
        scale: factors along the mesh's axes.
        name: the known object that it is an instance of, or None for a distractor.
    """

    mesh: str
    rotation: tuple[float, ...]
    translation: Vector
    scale: Vector = (1.0, 1.0, 1.0)
    material: Material = Material()
    name: str | None = None

    @property
    def pose(self) -> Pose:
        """T_camera_body."""
        return Pose(np.array(self.rotation).reshape(3, 3), np.array(self.translation))


@dataclass(frozen=True)
class Light:
    """A distant lamp: unit vector towards it in the camera's frame, irradiance over pi, whether it casts shadows."""

    direction: Vector
    color: Vector
    shadow: bool = False


@dataclass(frozen=True)
class Scene:
    """Everything in view; the frame is the camera's optical frame.

    Attributes:
        K: row-major (3, 3) [px]; width, height [px].
        bodies: targets (with a name) first.
        environment: "procedural:<seed>" or "file:<path>".
        environment_rotation: row-major (3, 3), R_environment_camera.
        ambient: factor on the environment's light.
        lights: at most four.
        backdrop: "environment", "file:<path>" or "procedural:<kind>:<seed>", behind all bodies.
        backdrop_window: left, top, width, height of the part of the backdrop that is seen, in [0, 1].
        backdrop_gain: brightness of the backdrop, or its blur when it is the environment.
        exposure, balance: camera's factor on linear light, and on its RGB.
    """

    K: tuple[float, ...]
    width: int
    height: int
    bodies: tuple[Body, ...]
    environment: str = "procedural:0"
    environment_rotation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0)
    ambient: float = 1.0
    lights: tuple[Light, ...] = ()
    backdrop: str = "environment"
    backdrop_window: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    backdrop_gain: float = 1.0
    exposure: float = 0.8
    balance: Vector = (1.0, 1.0, 1.0)

    @property
    def camera(self) -> CameraModel:
        """The camera that sees it."""
        return CameraModel(np.array(self.K).reshape(3, 3), self.width, self.height)

    @property
    def targets(self) -> tuple[Body, ...]:
        """The instances of known objects."""
        return tuple(body for body in self.bodies if body.name is not None)

    def to_dict(self) -> dict:
        """As JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, entry: dict) -> Scene:
        """Back from `to_dict` or from JSON."""
        bodies = tuple(
            Body(**{**_tuples(body), "material": Material(**_tuples(body["material"]))}) for body in entry["bodies"]
        )
        lights = tuple(Light(**_tuples(light)) for light in entry["lights"])
        return cls(**{**_tuples(entry), "bodies": bodies, "lights": lights})


def _tuples(entry: dict) -> dict:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
