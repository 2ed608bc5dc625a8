"""How things look and in what light: materials, lamps, surroundings, what is behind everything."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from dope_datagen.assets import environments, textures
from dope_datagen.assets.library import files_of
from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.scene import Light, Material
from dope_ros2.common.errors import UserError

PANORAMAS, PHOTOS = (".hdr", ".exr"), (".jpg", ".jpeg", ".png")


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def numbers(values: np.ndarray) -> tuple:
    """A row of floats as a tuple, as scenes hold them."""
    return tuple(float(v) for v in values)


def vary_texture(rng: np.random.Generator) -> Material:
    """The mesh's own texture, a little darker, lighter or faded."""
    return Material(
        tint=numbers(rng.uniform(0.75, 1.15) * rng.uniform(0.95, 1.05, 3)),
        roughness=rng.uniform(0.25, 0.95),
        specular=rng.uniform(0.0, 0.06),
    )


@dataclass
class Looks:
    """Draws looks as a configuration says.

    Raises:
        UserError: a folder of panoramas or photos has none.
    """

    config: DatagenConfig
    _panoramas: list[str] = field(init=False)
    _photos: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._panoramas = _files(self.config.hdri_folders, PANORAMAS)
        self._photos = _files(self.config.photo_folders, PHOTOS)

    def coat(self, rng: np.random.Generator, has_texture: bool) -> Material:
        """A random look; meshes with a texture of their own mostly keep it."""
        if has_texture and rng.random() < 0.7:
            return vary_texture(rng)
        metallic = float(rng.random() < 0.1)
        return Material(
            texture=self._procedural(rng, textures.ON_THINGS),
            tint=tuple(rng.uniform(0.6, 1.1, 3).tolist()),
            roughness=rng.uniform(0.12, 0.95),
            metallic=metallic,
            specular=rng.uniform(0.02, 0.08),
            repeat=float(rng.choice([1.0, 1.0, 2.0])),
        )

    def ground(self, rng: np.random.Generator, extent: float) -> Material:
        """A table's or floor's look; `extent` is its longer edge [m]."""
        return Material(
            texture=self._procedural(rng, textures.ON_TABLES),
            tint=tuple((rng.uniform(0.7, 1.0) * rng.uniform(0.93, 1.0, 3)).tolist()),
            roughness=rng.uniform(0.25, 1.0),
            specular=rng.uniform(0.01, 0.05),
            repeat=max(1.0, float(extent / log_uniform(rng, 0.3, 1.5))),
        )

    def light(self, rng: np.random.Generator, upright: np.ndarray) -> dict:
        """The light's part of a `Scene`; `upright` is R_frame_world of the frame it is given in, world z up."""
        measured = self._panoramas and rng.random() < self.config.hdri
        key = str(rng.choice(self._panoramas)) if measured else f"procedural:{self._number(rng)}"
        surroundings = environments.load(key)
        # The environment's z is against gravity, wherever the camera looks; its yaw is free.
        R = environments.rotation(rng.uniform(0, 2 * np.pi)) @ upright.T
        ambient = rng.uniform(0.35, 1.1)
        sun = surroundings.sun_color * rng.uniform(0.2, 1.2)
        lights = [Light(numbers(R.T @ surroundings.sun_direction), numbers(sun), bool(rng.random() < 0.85))]
        if rng.random() < 0.5 or sun.mean() < 0.1:
            lights.insert(0, _lamp(rng, upright, rng.uniform(0.2, 1.4), shadow=bool(rng.random() < 0.85)))
        if rng.random() < 0.3:
            lights.append(_lamp(rng, upright, rng.uniform(0.1, 0.6), shadow=False))
        total = ambient + sum(np.mean(light.color) * 0.5 for light in lights)
        return {
            "environment": key,
            "environment_rotation": tuple(R.ravel().tolist()),
            "ambient": ambient,
            "lights": tuple(lights),
            "exposure": log_uniform(rng, 0.55, 2.2) / total,
            "balance": numbers(np.exp(rng.normal(0, 0.08, 3))),
        }

    def backdrop(self, rng: np.random.Generator, measured: bool) -> dict:
        """The backdrop's part of a `Scene`; `measured` says whether its environment is a photographed one."""
        width, height = rng.uniform(0.3, 1.0, 2)
        window = (rng.uniform(0, 1 - width), rng.uniform(0, 1 - height), width, height)
        look = {"backdrop_window": numbers(window), "backdrop_gain": log_uniform(rng, 0.4, 1.8)}
        if self._photos and rng.random() < 0.6:
            return {"backdrop": f"file:{rng.choice([p.partition(':')[2] for p in self._photos])}", **look}
        if measured and rng.random() < 0.5:
            return {"backdrop": "environment", "backdrop_gain": rng.uniform(0, 2)}
        return {"backdrop": self._procedural(rng, textures.BEHIND), **look}

    def _procedural(self, rng: np.random.Generator, kinds: tuple[str, ...]) -> str:
        return f"procedural:{rng.choice(kinds)}:{self._number(rng)}"

    def _number(self, rng: np.random.Generator) -> int:
        return self.config.variety_from + int(rng.integers(self.config.variety))


def _files(folders: tuple[Path, ...], suffixes: tuple[str, ...]) -> list[str]:
    keys = []
    for folder in folders:
        found = [p for p in files_of(folder) if p.suffix.lower() in suffixes]
        if not found:
            raise UserError(f"{folder}: no {' or '.join(suffixes)} file here")
        keys += [f"file:{path}" for path in found]
    return keys


def _lamp(rng: np.random.Generator, upright: np.ndarray, power: float, shadow: bool) -> Light:
    """A distant lamp from above: `upright` is R_camera_world, world z up."""
    towards = Rotation.from_euler("zy", [rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 1.25)]).as_matrix()[:, 2]
    warm = np.array([1.0, 0.88, 0.72]) ** rng.uniform(-0.6, 1.3)
    return Light(numbers(upright @ towards), numbers(power * warm), shadow)
