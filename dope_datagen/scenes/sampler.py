"""Drawing scenes: which things, where, how they look, and in what light."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dope_datagen.assets import primitives
from dope_datagen.assets.distractors import distractor_keys, refuse_broken
from dope_datagen.assets.library import Assets
from dope_datagen.scenes.appearance import Looks, numbers, vary_texture
from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.physics_scenes import Layout, PhysicsSceneSampler
from dope_datagen.scenes.placement import Placed, Placement, Spot, floating, standing
from dope_datagen.scenes.scene import Body, Material, Scene
from dope_ros2.common.memory import release_memory

PHYSICS = ("settle", "tumble")


@dataclass
class Sampler:
    """Draws scenes as a configuration says; scene n depends on (seed, n) alone.

    Scenes come in arrangements of `nb_frames`: physics is done once for each, and the last one is kept.
    """

    config: DatagenConfig
    assets: Assets
    _looks: Looks = field(init=False)
    _meshes: list[str] = field(init=False)
    _arranger: PhysicsSceneSampler = field(init=False)
    _world: tuple[tuple[int, int], Layout] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        config = self.config
        self._meshes = distractor_keys(config.pybullet_meshes, config.distractor_folders)
        refuse_broken(self.assets, config.distractor_folders)
        self._looks = Looks(config)
        self._arranger = PhysicsSceneSampler(config, self.assets, self._looks, self._meshes)

    def scene(self, seed: int, number: int) -> Scene:
        """Draw scene `number` of the dataset `seed`."""
        arrangement, frame = divmod(number, self.config.nb_frames)
        rng = np.random.default_rng([seed, arrangement, len(PHYSICS)])
        modes = list(self.config.modes)
        weights = np.array([self.config.modes[mode] for mode in modes])
        mode = modes[rng.choice(len(modes), p=weights / weights.sum())]
        if mode not in PHYSICS:
            return self._placed(np.random.default_rng([seed, number]), mode)
        if self._world is None or self._world[0] != (seed, arrangement):
            self._world = (seed, arrangement), self._arranger.world(rng, mode)
            release_memory()
        return self._arranger.view(np.random.default_rng([seed, number]), self._world[1], frame)

    def _placed(self, rng: np.random.Generator, mode: str) -> Scene:
        """Things placed one by one where the camera sees them, without physics."""
        config = self.config
        camera = config.draw_camera(rng)
        start = standing if mode == "stand" else floating
        placement = start(rng, camera, config.size_px)
        targets = self._targets(rng, placement)
        others = self._distractors(rng, placement, bool(targets))
        tables = [self._table(rng, placement)] if mode == "stand" else []
        light = self._looks.light(rng, placement.upright)
        return Scene(
            K=tuple(camera.K.ravel().tolist()),
            width=config.width,
            height=config.height,
            bodies=(*targets, *others, *tables),
            **light,
            **self._looks.backdrop(rng, light["environment"].startswith("file")),
        )

    def _targets(self, rng: np.random.Generator, placement: Placement) -> list[Body]:
        if rng.random() < self.config.empty:
            return []
        names = list(self.config.objects)
        weights = np.array([self.config.objects[name] for name in names])
        low, high = self.config.nb_objects
        count = int(rng.integers(low, high + 1) if rng.random() < 0.5 else min(high, low + rng.geometric(0.5) - 1))
        bodies = []
        for _ in range(count):
            name = names[rng.choice(len(names), p=weights / weights.sum())]
            box = self.assets.mesh(f"object:{name}").box
            if spot := placement.target(rng, box.size, box.centre):
                bodies.append(_body(f"object:{name}", spot, (1.0, 1.0, 1.0), vary_texture(rng), name))
        return bodies

    def _distractors(self, rng: np.random.Generator, placement: Placement, has_targets: bool) -> list[Body]:
        low, high = self.config.nb_distractors
        bodies = []
        for _ in range(rng.integers(low, high + 1)):
            key = str(rng.choice(primitives.DISTRACTORS)) if rng.random() < 0.5 or not self._meshes else self._mesh(rng)
            mesh = self.assets.mesh(key)
            stretch = rng.uniform(0.7, 1.4, 3) if rng.random() < 0.5 else np.ones(3)
            if spot := placement.distractor(rng, mesh.box.size * stretch, has_targets):
                scale = tuple((spot.size * stretch).tolist())
                bodies.append(_body(key, spot, scale, self._looks.coat(rng, mesh.texture is not None)))
        return bodies

    def _mesh(self, rng: np.random.Generator) -> str:
        return self._meshes[rng.integers(len(self._meshes))]

    def _table(self, rng: np.random.Generator, placement: Placement) -> Body:
        extent = placement.reach * rng.uniform(1.2, 5.0, 2) if rng.random() < 0.6 else np.full(2, 12.0)
        spot = placement.ground(rng, extent)
        return _body("plane", spot, (*numbers(extent), 1.0), self._looks.ground(rng, float(extent.max())))


def _body(key: str, spot: Spot | Placed, scale: tuple, material: Material, name: str | None = None) -> Body:
    return Body(key, numbers(spot.pose.rotation.ravel()), numbers(spot.pose.translation), scale, material, name)
