"""The rasteriser: OpenGL 3.3 through EGL, on a GPU or in software.

Row v of an image is row v of the framebuffer, so nothing is ever flipped; pixel centres are integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import moderngl
import numpy as np

from dope_datagen.assets.library import Assets
from dope_datagen.renderers.raster import antialiasing, shaders
from dope_datagen.renderers.raster.antialiasing import EdgeMask
from dope_datagen.renderers.raster.gpu_store import Store
from dope_datagen.renderers.raster.id_masks import IdMasks, read
from dope_datagen.renderers.raster.matrices import gl, in_view, model_matrix, projection, shadow_matrix
from dope_datagen.renderers.renderer import Rendering
from dope_datagen.scenes.scene import Body, Scene
from dope_ros2.common.errors import UserError

SHADOW_SIZE = 1024  # [px]
SHADE = 0.55  # radius of what darkens its neighbourhood, of the body's


@dataclass(frozen=True, eq=False)
class Stage:
    """A scene with what is worked out once for all passes.

    Attributes:
        models: (4, 4) from each body's mesh to the camera.
        spheres: (N, 4) centre and radius of each body's neighbourhood [m].
        seen: indices of the bodies that may be in the image, from the front to the back.
    """

    scene: Scene
    models: list[np.ndarray]
    spheres: np.ndarray
    seen: list[int]

    @cached_property
    def solid(self) -> list[int]:
        """Indices of the bodies that are no ground."""
        return [index for index, body in enumerate(self.scene.bodies) if body.mesh != "plane"]

    @cached_property
    def shades(self) -> list[int]:
        """Indices of the bodies that darken their neighbourhood: those in the image first."""
        return sorted(self.solid, key=lambda index: index not in self.seen)[: shaders.MOST_SHADES]

    def shade(self, index: int) -> float:
        """The place of a body among the shades, -1 where it is none."""
        return float(self.shades.index(index)) if index in self.shades else -1.0


class Raster:
    """Renders scenes; one per process, since an OpenGL context belongs to one.

    Raises:
        UserError: there is no EGL on this machine.
    """

    def __init__(self, assets: Assets) -> None:
        try:
            self._ctx = moderngl.create_context(standalone=True, backend="egl", require=330)
        except Exception as error:  # moderngl raises bare Exception
            raise UserError(
                f"the rasteriser needs EGL ({error}); on Debian or Ubuntu: sudo apt-get install libegl1 libgl1-mesa-dri"
            ) from error
        self._surface = self._ctx.program(shaders.SURFACE_VERTEX, shaders.SURFACE_FRAGMENT)
        self._backdrop = self._ctx.program(shaders.BACKDROP_VERTEX, shaders.BACKDROP_FRAGMENT)
        mask = self._ctx.program(shaders.MASK_VERTEX, shaders.MASK_FRAGMENT)
        for program, names in (
            (self._surface, ("albedo_map", "panorama", "shadow_map")),
            (self._backdrop, ("picture", "panorama")),
        ):
            for unit, name in enumerate(names):
                program[name].value = unit
        corners = self._ctx.buffer(np.array([[0, 0], [1, 0], [0, 1], [1, 1]], "f4").tobytes())
        self._screen = self._ctx.vertex_array(self._backdrop, [(corners, "2f", "in_corner")])
        self._assets = assets
        self._store = Store(self._ctx, [self._surface, mask], assets)
        self._marks = IdMasks(self._ctx, mask, self._store, assets)
        self._shadow_map = self._ctx.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self._shadow_map.compare_func = "<="
        self._shadow_map.filter = moderngl.LINEAR, moderngl.LINEAR
        self._shadow = self._ctx.framebuffer(depth_attachment=self._shadow_map)
        self._shield = EdgeMask(self._ctx)
        self._picture: moderngl.Framebuffer | None = None  # colour, body's number, depth

    @property
    def device(self) -> str:
        """What draws, such as "llvmpipe" or the GPU's name."""
        return self._ctx.info["GL_RENDERER"]

    def render(self, scene: Scene, depth: bool = False) -> Rendering:
        """Render a scene with its camera."""
        self._resize((scene.width, scene.height))
        stage = self._stage(scene)
        self._light(stage, self._draw_shadows(stage))
        self._draw_picture(stage)
        rgb, numbers, z = (read(self._picture, *layer) for layer in ((0, "f1", 3), (1, "u1"), (2, "f4")))
        rgb = self._smooth(stage, rgb, antialiasing.find(numbers, z))
        names = np.zeros(256, np.uint8)
        named = [index for index, body in enumerate(scene.bodies, start=1) if body.name is not None]
        names[named] = np.arange(1, len(named) + 1)
        return Rendering(rgb, names[numbers], z if depth else None, self._marks.alone(scene, stage.models))

    def _stage(self, scene: Scene) -> Stage:
        spheres = np.array([self._sphere(body) for body in scene.bodies]).reshape(-1, 4)
        order = np.argsort([b.translation[2] if b.mesh != "plane" else np.inf for b in scene.bodies], kind="stable")
        seen = in_view(projection(scene.camera.K, scene.width, scene.height), spheres)
        return Stage(scene, [model_matrix(body) for body in scene.bodies], spheres, order[seen[order]].tolist())

    def _resize(self, size: tuple[int, int]) -> None:
        if self._picture is not None and self._picture.size == size:
            return
        layers = [(4, "f1"), (1, "u1"), (1, "f4")]
        textures = [self._ctx.texture(size, components, dtype=dtype) for components, dtype in layers]
        self._picture = self._ctx.framebuffer(textures, self._ctx.depth_renderbuffer(size))

    def _smooth(self, stage: Stage, rgb: np.ndarray, edge: np.ndarray) -> np.ndarray:
        """Sample the pixels of `edge` (H, W) bool beside their centres too, and take the mean."""
        total = rgb[edge].astype(int)
        for shift in antialiasing.SHIFTS:
            self._draw_picture(stage, shift, edge)
            total += read(self._picture, 0, "f1", 3)[edge]
        smooth, samples = rgb.copy(), len(antialiasing.SHIFTS) + 1
        smooth[edge] = (total + samples // 2) // samples
        return smooth

    def _draw_shadows(self, stage: Stage) -> np.ndarray | None:
        """Fill the shadow map of the first light; returns the (4, 4) matrix camera -> map, or None without shadows."""
        scene, cast = stage.scene, stage.solid
        if not cast or not scene.lights or not scene.lights[0].shadow:
            return None
        to_clip = shadow_matrix(np.array(scene.lights[0].direction), stage.spheres[cast])
        self._shadow.use()
        self._shadow.clear()
        self._ctx.enable_only(moderngl.DEPTH_TEST)
        for index in cast:
            self._marks.draw(scene.bodies[index].mesh, to_clip, stage.models[index])
        return np.diag([0.5, 0.5, 0.5, 1.0]) @ to_clip + np.array([[0, 0, 0, 0.5]] * 3 + [[0] * 4])

    def _sphere(self, body: Body) -> np.ndarray:
        """Centre (3,) and radius of a body's neighbourhood, as one vector (4,)."""
        box = self._assets.mesh(body.mesh).box
        return np.append(body.pose.apply(box.centre * body.scale), np.linalg.norm(box.size / 2 * body.scale))

    def _draw_picture(
        self, stage: Stage, shift: tuple[float, float] = (0.0, 0.0), only: np.ndarray | None = None
    ) -> None:
        """Colour, numbers and depth in one pass, from the front to the back, so that little is painted over.

        `shift` [px] is where pixels are sampled, beside their centres; `only` (H, W) bool says which.
        """
        self._picture.use()
        self._picture.clear()
        self._ctx.enable_only(moderngl.DEPTH_TEST)
        if only is not None:
            self._shield.draw(only)
        K = stage.scene.camera.K.copy()
        K[:2, 2] -= shift
        self._surface["projection"].write(gl(projection(K, *self._picture.size)))
        for index in stage.seen:
            self._draw_body(stage, index)
        self._draw_backdrop(stage.scene)

    def _draw_body(self, stage: Stage, index: int) -> None:
        program, body = self._surface, stage.scene.bodies[index]
        material = body.material
        self._store.texture(material.texture, body.mesh).use(0)
        program["model"].write(gl(stage.models[index]))
        program["turn"].write(gl(body.pose.rotation / np.array(body.scale)))
        program["tint"].value = tuple(np.multiply(material.tint, self._assets.mesh(body.mesh).color))
        program["surface"].value = (material.roughness, material.metallic, material.specular, stage.shade(index))
        program["number"].value = index + 1
        program["repeat"].value = material.repeat
        self._store.mesh(body.mesh)[0].render()

    def _light(self, stage: Stage, to_shadow: np.ndarray | None) -> None:
        """Set light, shadows, exposure and neighbourhood of both colour programs."""
        scene = stage.scene
        light, panorama, _ = self._store.panorama(scene.environment)
        panorama.use(1)
        exposure = tuple(scene.exposure * np.array(scene.balance))
        turn = gl(np.array(scene.environment_rotation).reshape(3, 3))
        for program in (self._surface, self._backdrop):
            program["exposure"].value = exposure
            program["to_environment"].write(turn)
        program = self._surface
        program["harmonics"].write(np.ascontiguousarray(light.harmonics, "f4").tobytes())
        program["ambient"].value = scene.ambient
        lights = scene.lights[: shaders.MOST_LIGHTS]
        padded = np.zeros((2, shaders.MOST_LIGHTS, 3), "f4")
        for k, lamp in enumerate(lights):
            padded[:, k] = lamp.direction, lamp.color
        program["light_count"].value = len(lights)
        program["light_direction"].write(padded[0].tobytes())
        program["light_color"].write(padded[1].tobytes())
        program["shadowed"].value = float(to_shadow is not None)
        if to_shadow is not None:
            program["to_shadow"].write(gl(to_shadow))
        self._shadow_map.use(2)
        program["softness"].value = 2.0 / SHADOW_SIZE
        shades = np.zeros((shaders.MOST_SHADES, 4), "f4")
        shades[: len(stage.shades)] = stage.spheres[stage.shades] * [1, 1, 1, SHADE]
        program["shade_count"].value = len(stage.shades)
        program["shades"].write(shades.tobytes())

    def _draw_backdrop(self, scene: Scene) -> None:
        around = scene.backdrop == "environment"
        self._store.panorama(scene.environment)[2 if around else 1].use(1)
        self._store.texture("none" if around else scene.backdrop).use(0)
        K = scene.camera.K
        program = self._backdrop
        program["around"].value = float(around)
        program["gain"].value = scene.backdrop_gain
        program["window"].value = scene.backdrop_window
        program["lens"].value = (
            (K[0, 2] + 0.5) / scene.width,
            (K[1, 2] + 0.5) / scene.height,
            scene.width / K[0, 0],
            scene.height / K[1, 1],
        )
        self._screen.render(moderngl.TRIANGLE_STRIP)
        self._store.panorama(scene.environment)[1].use(1)
