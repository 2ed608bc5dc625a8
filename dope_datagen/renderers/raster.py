"""The rasteriser: OpenGL 3.3 through EGL, on a GPU or in software.

Row v of a picture is row v of the framebuffer, so nothing is ever flipped; pixel centres are integers.
"""

from __future__ import annotations

import moderngl
import numpy as np

from dope_datagen.assets import Assets
from dope_datagen.renderers import Rendering, edges, shaders
from dope_datagen.renderers.edges import Shield
from dope_datagen.renderers.gpu import Store
from dope_datagen.renderers.marks import Marks, read
from dope_datagen.renderers.matrices import gl, model_matrix, projection, shadow_matrix
from dope_datagen.scene import Body, Scene
from dope_ros2.errors import UserError

SHADOW_SIZE = 1024  # [px]


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
        self._marks = Marks(self._ctx, mask, self._store, assets)
        self._shadow_map = self._ctx.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self._shadow_map.compare_func = "<="
        self._shadow_map.filter = moderngl.LINEAR, moderngl.LINEAR
        self._shadow = self._ctx.framebuffer(depth_attachment=self._shadow_map)
        self._shield = Shield(self._ctx)
        self._picture: moderngl.Framebuffer | None = None  # colour, body's number, depth

    @property
    def device(self) -> str:
        """What draws, such as "llvmpipe" or the GPU's name."""
        return self._ctx.info["GL_RENDERER"]

    def render(self, scene: Scene, depth: bool = False) -> Rendering:
        """Render a scene with its camera."""
        self._resize((scene.width, scene.height))
        models = [model_matrix(body) for body in scene.bodies]
        to_shadow = self._draw_shadows(scene, models)
        self._light(scene, to_shadow)
        self._draw_picture(scene, models)
        rgb, numbers, z = (read(self._picture, *layer) for layer in ((0, "f1", 3), (1, "u1"), (2, "f4")))
        rgb = self._smooth(scene, models, rgb, edges.find(numbers, z))
        names = np.zeros(256, np.uint8)
        named = [index for index, body in enumerate(scene.bodies, start=1) if body.name is not None]
        names[named] = np.arange(1, len(named) + 1)
        return Rendering(rgb, names[numbers], z if depth else None, self._marks.alone(scene, models))

    def _resize(self, size: tuple[int, int]) -> None:
        if self._picture is not None and self._picture.size == size:
            return
        layers = [(4, "f1"), (1, "u1"), (1, "f4")]
        textures = [self._ctx.texture(size, components, dtype=dtype) for components, dtype in layers]
        self._picture = self._ctx.framebuffer(textures, self._ctx.depth_renderbuffer(size))

    def _smooth(self, scene: Scene, models: list[np.ndarray], rgb: np.ndarray, edge: np.ndarray) -> np.ndarray:
        """Sample the pixels of `edge` (H, W) bool beside their centres too, and take the mean."""
        total = rgb[edge].astype(int)
        for shift in edges.SHIFTS:
            self._draw_picture(scene, models, shift, edge)
            total += read(self._picture, 0, "f1", 3)[edge]
        smooth, samples = rgb.copy(), len(edges.SHIFTS) + 1
        smooth[edge] = (total + samples // 2) // samples
        return smooth

    def _draw_shadows(self, scene: Scene, models: list[np.ndarray]) -> np.ndarray | None:
        """Fill the shadow map of the first light; returns the (4, 4) matrix camera -> map, or None without shadows."""
        cast = [(b, m) for b, m in zip(scene.bodies, models, strict=True) if b.mesh != "plane"]
        if not cast or not scene.lights or not scene.lights[0].shadow:
            return None
        to_clip = shadow_matrix(np.array(scene.lights[0].direction), np.array([self._sphere(b) for b, _ in cast]))
        self._shadow.use()
        self._shadow.clear()
        self._ctx.enable_only(moderngl.DEPTH_TEST)
        for body, model in cast:
            self._marks.draw(body.mesh, to_clip, model)
        return np.diag([0.5, 0.5, 0.5, 1.0]) @ to_clip + np.array([[0, 0, 0, 0.5]] * 3 + [[0] * 4])

    def _sphere(self, body: Body) -> np.ndarray:
        """Centre (3,) and radius of a body's neighbourhood, as one vector (4,)."""
        mesh = self._assets.mesh(body.mesh)
        half = (mesh.high - mesh.low) / 2 * body.scale
        centre = body.pose.apply((mesh.high + mesh.low) / 2 * body.scale)
        return np.append(centre, np.linalg.norm(half))

    def _draw_picture(self, scene: Scene, models: list[np.ndarray], shift: tuple[float, float] = (0.0, 0.0),
                      only: np.ndarray | None = None) -> None:  # fmt: skip
        """Colour, numbers and depth in one pass, from the front to the back, so that little is painted over.

        `shift` [px] is where pixels are sampled, beside their centres; `only` (H, W) bool says which.
        """
        self._picture.use()
        self._picture.clear()
        self._ctx.enable_only(moderngl.DEPTH_TEST)
        if only is not None:
            self._shield.draw(only)
        K = scene.camera.K.copy()
        K[:2, 2] -= shift
        self._surface["projection"].write(gl(projection(K, scene.width, scene.height)))
        depths = [body.translation[2] if body.mesh != "plane" else np.inf for body in scene.bodies]
        for index in np.argsort(depths, kind="stable").tolist():
            self._draw_body(scene.bodies[index], models[index], index)
        self._draw_backdrop(scene)

    def _draw_body(self, body: Body, model: np.ndarray, index: int) -> None:
        program, material = self._surface, body.material
        self._store.texture(material.texture, body.mesh).use(0)
        program["model"].write(gl(model))
        program["turn"].write(gl(body.pose.rotation / np.array(body.scale)))
        program["tint"].value = tuple(np.multiply(material.tint, self._assets.mesh(body.mesh).color))
        program["surface"].value = (material.roughness, material.metallic, material.specular, float(index))
        program["number"].value = index + 1
        program["repeat"].value = material.repeat
        self._store.mesh(body.mesh)[0].render()

    def _light(self, scene: Scene, to_shadow: np.ndarray | None) -> None:
        """Set light, shadows, exposure and neighbourhood of both colour programs."""
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
        self._set_shades(scene)

    def _set_shades(self, scene: Scene) -> None:
        """Tell the surface program which bodies darken their neighbourhood; the table comes last, so it is no body."""
        solid = [self._sphere(body) for body in scene.bodies if body.mesh != "plane"][: shaders.MOST_SHADES]
        shades = np.zeros((shaders.MOST_SHADES, 4), "f4")
        if solid:
            shades[: len(solid)] = solid
            shades[:, 3] *= 0.55
        self._surface["shade_count"].value = len(solid)
        self._surface["shades"].write(shades.tobytes())

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
