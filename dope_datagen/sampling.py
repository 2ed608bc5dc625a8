"""Drawing scenes: which things, where, how they look, and in what light."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from dope_datagen import environment, shapes, textures
from dope_datagen.assets import Assets, distractor_keys
from dope_datagen.config import DatagenConfig
from dope_datagen.placing import Placed, Placement, Spot, floating, standing
from dope_datagen.scene import Body, Light, Material, Scene
from dope_ros2.camera import CameraModel
from dope_ros2.errors import UserError


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@dataclass
class Sampler:
    """Draws scenes as a configuration says; scene n depends on (seed, n) alone."""

    config: DatagenConfig
    assets: Assets
    _meshes: list[str] = field(init=False)
    _panoramas: list[str] = field(init=False)
    _photos: list[str] = field(init=False)

    def __post_init__(self) -> None:
        config = self.config
        self._meshes = distractor_keys(config.pybullet_meshes, config.distractor_folders)
        self._panoramas = _files(config.hdri_folders, (".hdr",))
        self._photos = _files(config.photo_folders, (".jpg", ".jpeg", ".png"))

    def scene(self, seed: int, number: int) -> Scene:
        """Draw scene `number` of the dataset `seed`."""
        rng = np.random.default_rng([seed, number])
        config = self.config
        camera = CameraModel.from_focal(log_uniform(rng, *config.focal), config.width, config.height)
        on_table = rng.random() < config.table
        placement = standing(rng, camera, config.size_px) if on_table else floating(rng, camera, config.size_px)
        targets = self._targets(rng, placement)
        others = self._distractors(rng, placement, bool(targets))
        tables = [self._table(rng, placement)] if on_table else []
        light = self._light(rng, placement)
        return Scene(
            K=tuple(camera.K.ravel().tolist()),
            width=config.width,
            height=config.height,
            bodies=(*targets, *others, *tables),
            **light,
            **self._backdrop(rng, light["environment"].startswith("file")),
        )

    def _targets(self, rng: np.random.Generator, placement: Placement) -> list[Body]:
        if rng.random() < self.config.empty:
            return []
        names = list(self.config.objects)
        weights = np.array([self.config.objects[name] for name in names])
        low, high = self.config.targets
        count = int(rng.integers(low, high + 1) if rng.random() < 0.5 else min(high, low + rng.geometric(0.5) - 1))
        bodies = []
        for _ in range(count):
            name = names[rng.choice(len(names), p=weights / weights.sum())]
            mesh = self.assets.mesh(f"object:{name}")
            if spot := placement.target(rng, (mesh.high - mesh.low), (mesh.high + mesh.low) / 2):
                bodies.append(_body(f"object:{name}", spot, (1.0, 1.0, 1.0), _worn(rng), name))
        return bodies

    def _distractors(self, rng: np.random.Generator, placement: Placement, has_targets: bool) -> list[Body]:
        low, high = self.config.distractors
        bodies = []
        for _ in range(rng.integers(low, high + 1)):
            key = str(rng.choice(shapes.DISTRACTORS)) if rng.random() < 0.5 or not self._meshes else self._mesh(rng)
            mesh = self.assets.mesh(key)
            stretch = rng.uniform(0.7, 1.4, 3) if rng.random() < 0.5 else np.ones(3)
            if spot := placement.distractor(rng, (mesh.high - mesh.low) * stretch, has_targets):
                scale = tuple((spot.size * stretch).tolist())
                bodies.append(_body(key, spot, scale, self._coat(rng, mesh.texture is not None)))
        return bodies

    def _mesh(self, rng: np.random.Generator) -> str:
        return self._meshes[rng.integers(len(self._meshes))]

    def _coat(self, rng: np.random.Generator, has_texture: bool) -> Material:
        """A random look; meshes with a texture of their own mostly keep it."""
        if has_texture and rng.random() < 0.7:
            return _worn(rng)
        metallic = float(rng.random() < 0.1)
        return Material(
            texture=self._procedural(rng, textures.ON_THINGS),
            tint=tuple(rng.uniform(0.6, 1.1, 3).tolist()),
            roughness=rng.uniform(0.12, 0.95),
            metallic=metallic,
            specular=rng.uniform(0.02, 0.08),
            repeat=float(rng.choice([1.0, 1.0, 2.0])),
        )

    def _procedural(self, rng: np.random.Generator, kinds: tuple[str, ...]) -> str:
        return f"procedural:{rng.choice(kinds)}:{rng.integers(self.config.variety)}"

    def _table(self, rng: np.random.Generator, placement: Placement) -> Body:
        extent = placement.reach * rng.uniform(1.2, 5.0, 2) if rng.random() < 0.6 else np.full(2, 12.0)
        spot = placement.ground(rng, extent)
        material = Material(
            texture=self._procedural(rng, textures.ON_TABLES),
            tint=tuple((rng.uniform(0.7, 1.0) * rng.uniform(0.93, 1.0, 3)).tolist()),
            roughness=rng.uniform(0.25, 1.0),
            specular=rng.uniform(0.01, 0.05),
            repeat=max(1.0, float(extent.max() / log_uniform(rng, 0.3, 1.5))),
        )
        return _body("plane", spot, (float(extent[0]), float(extent[1]), 1.0), material)

    def _light(self, rng: np.random.Generator, placement: Placement) -> dict:
        measured = self._panoramas and rng.random() < self.config.hdri
        key = str(rng.choice(self._panoramas)) if measured else f"procedural:{rng.integers(self.config.variety)}"
        surroundings = environment.load(key)
        # The environment's z is against gravity, wherever the camera looks; its yaw is free.
        R = environment.rotation(rng.uniform(0, 2 * np.pi)) @ placement.upright.T
        ambient = rng.uniform(0.35, 1.1)
        sun = surroundings.sun_color * rng.uniform(0.2, 1.2)
        lights = [Light(_tuple(R.T @ surroundings.sun_direction), _tuple(sun), bool(rng.random() < 0.85))]
        if rng.random() < 0.5 or sun.mean() < 0.1:
            lights.insert(0, _lamp(rng, placement.upright, rng.uniform(0.2, 1.4), shadow=bool(rng.random() < 0.85)))
        if rng.random() < 0.3:
            lights.append(_lamp(rng, placement.upright, rng.uniform(0.1, 0.6), shadow=False))
        total = ambient + sum(np.mean(light.color) * 0.5 for light in lights)
        return {
            "environment": key,
            "environment_rotation": tuple(R.ravel().tolist()),
            "ambient": ambient,
            "lights": tuple(lights),
            "exposure": log_uniform(rng, 0.55, 2.2) / total,
            "balance": _tuple(np.exp(rng.normal(0, 0.08, 3))),
        }

    def _backdrop(self, rng: np.random.Generator, measured: bool) -> dict:
        width, height = rng.uniform(0.3, 1.0, 2)
        window = (rng.uniform(0, 1 - width), rng.uniform(0, 1 - height), width, height)
        look = {"backdrop_window": _tuple(window), "backdrop_gain": log_uniform(rng, 0.4, 1.8)}
        if self._photos and rng.random() < 0.6:
            return {"backdrop": f"file:{rng.choice([p.partition(':')[2] for p in self._photos])}", **look}
        if measured and rng.random() < 0.5:
            return {"backdrop": "environment", "backdrop_gain": rng.uniform(0, 2)}
        return {"backdrop": self._procedural(rng, textures.BEHIND), **look}


def _files(folders: tuple[Path, ...], suffixes: tuple[str, ...]) -> list[str]:
    keys = []
    for folder in folders:
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes)
        if not found:
            raise UserError(f"{folder}: no {' or '.join(suffixes)} file in this folder")
        keys += [f"file:{path}" for path in found]
    return keys


def _tuple(values: np.ndarray) -> tuple:
    return tuple(float(v) for v in values)


def _body(key: str, spot: Spot | Placed, scale: tuple, material: Material, name: str | None = None) -> Body:
    return Body(key, _tuple(spot.pose.rotation.ravel()), _tuple(spot.pose.translation), scale, material, name)


def _worn(rng: np.random.Generator) -> Material:
    """The mesh's own texture, a little darker, lighter or faded."""
    return Material(
        tint=_tuple(rng.uniform(0.75, 1.15) * rng.uniform(0.95, 1.05, 3)),
        roughness=rng.uniform(0.25, 0.95),
        specular=rng.uniform(0.0, 0.06),
    )


def _lamp(rng: np.random.Generator, upright: np.ndarray, power: float, shadow: bool) -> Light:
    """A distant lamp from above: `upright` is R_camera_world, world z up."""
    towards = Rotation.from_euler("zy", [rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 1.25)]).as_matrix()[:, 2]
    warm = np.array([1.0, 0.88, 0.72]) ** rng.uniform(-0.6, 1.3)
    return Light(_tuple(upright @ towards), _tuple(power * warm), shadow)
