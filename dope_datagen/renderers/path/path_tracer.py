"""The path tracer: Mitsuba 3 with few samples and a denoiser, or as many samples as one likes.

Labels come from rays through pixel centres, not from the noisy image, and equal the rasteriser's.
"""

from __future__ import annotations

import json
import os
import zlib

import numpy as np

from dope_datagen.assets.library import Assets
from dope_datagen.renderers.path import mitsuba_variant
from dope_datagen.renderers.renderer import Rendering
from dope_datagen.scenes.scene import Scene
from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import pip_install

BOUNCES = 6
CLEAN = 256  # samples a pixel from which on nothing is denoised
FEATURE_SAMPLES = 8  # of the albedo and normals that guide the denoiser: cheap, and it takes them to be exact
MAX_SAMPLE_RADIANCE = 50.0  # linear light; brighter single samples would leave spots


class PathTracer:
    """Renders scenes with light that goes round corners.

    Args:
        assets: meshes by key.
        samples: a pixel.
        threads: of this process, all cores if None.

    Raises:
        UserError: Mitsuba is not installed or does not run here.
    """

    def __init__(self, assets: Assets, samples: int, threads: int | None = None) -> None:
        self.variant = mitsuba_variant.choose()
        import mitsuba as mi

        from dope_datagen.renderers.path import mitsuba_scene, ray_casting

        if threads is not None:
            import drjit

            drjit.set_thread_count(threads)
            os.environ.setdefault("OIDN_NUM_THREADS", str(threads))
        mi.set_log_level(mi.LogLevel.Error)  # it warns when it takes a few samples more than asked for
        self._mi, self._bodies, self._casting = mi, mitsuba_scene, ray_casting
        self._assets, self._samples = assets, samples
        self._tracer = mi.load_dict({"type": "path", "max_depth": BOUNCES, "hide_emitters": True})
        self._features = mi.load_dict({"type": "aov", "aovs": "albedo:albedo,normal:sh_normal"})
        self._denoise = None if samples >= CLEAN else denoiser()

    @property
    def device(self) -> str:
        """What renders: "cuda", "llvm" or "scalar"."""
        return self.variant

    def render(self, scene: Scene, depth: bool = False) -> Rendering:
        """Render a scene with its camera."""
        from dope_datagen.renderers.camera_response import backdrop, photograph

        ids, z = self._casting.cast(scene, self._assets)
        rgb = photograph(self.light(scene, backdrop(scene)), scene)
        return Rendering(rgb, ids, z if depth else None, self._casting.alone(scene, self._assets))

    def light(self, scene: Scene, behind: np.ndarray) -> np.ndarray:
        """Linear light (H, W, 3) of the bodies, and of `behind` (H, W, 3) where there are none."""
        built = self._build(scene)
        seed = zlib.crc32(json.dumps(scene.to_dict(), sort_keys=True).encode())
        layers = np.array(self._mi.render(built, integrator=self._tracer, spp=self._samples, seed=seed))
        shows_behind = (1 - np.clip(layers[..., 3:4], 0, 1)) * behind
        light = np.clip(layers[..., :3], 0, MAX_SAMPLE_RADIANCE) + shows_behind
        if self._denoise is None:
            return light
        guides = np.array(self._mi.render(built, integrator=self._features, spp=FEATURE_SAMPLES, seed=seed))
        return self._denoise(light, guides[..., -6:-3] + shows_behind, guides[..., -3:])

    def _build(self, scene: Scene) -> object:
        camera, named = scene.camera, ((f"body{k}", body) for k, body in enumerate(scene.bodies))
        shapes = {name: self._bodies.shape(body, name, self._assets, camera) for name, body in named}
        sensor, padding = self._bodies.sensor(scene, self._samples), self._bodies.padding(len(shapes))
        entries = {"sensor": sensor, **self._bodies.lamps(scene), **shapes, **padding}
        return self._mi.load_dict({"type": "scene", **entries})


def denoiser() -> object:
    """A function of light, albedo and normals, each (H, W, 3), that gives light without its noise.

    Raises:
        UserError: the denoiser is not installed.
    """
    try:
        import pyoidn
    except ImportError as error:
        raise UserError(
            f"few samples need the Python package pyoidn, which removes their noise: {pip_install('pyoidn')}; "
            f"or ask for {CLEAN} samples or more (spp)"
        ) from error

    def denoise(light: np.ndarray, albedo: np.ndarray, normal: np.ndarray) -> np.ndarray:
        planes = (np.ascontiguousarray(plane, np.float32) for plane in (light, albedo, normal))
        light, albedo, normal = planes
        guides = {"albedo": np.clip(albedo, 0, 1), "normal": normal, "clean_aux": True}
        return np.asarray(pyoidn.denoise(light, **guides, hdr=True, quality="balanced"))

    return denoise
