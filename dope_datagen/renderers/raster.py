"""The rasteriser: OpenGL 3.3 through EGL, on a GPU or in software.

Row v of a picture is row v of the framebuffer, so nothing is ever flipped; pixel centres are integers.
"""

from __future__ import annotations

import cv2
import moderngl
import numpy as np

from dope_datagen.assets import Assets
from dope_datagen.renderers import Rendering, shaders
from dope_datagen.renderers.gpu import Store
from dope_datagen.renderers.tiles import count, window
from dope_datagen.scene import Body, Scene
from dope_ros2.errors import UserError

NEAR, FAR = 0.02, 30.0  # [m]
SHADOW_SIZE = 1024  # [px]
TILE = 512  # [px] of the picture in which a target is drawn alone


def projection(K: np.ndarray, width: int, height: int) -> np.ndarray:
    """The (4, 4) clip matrix of a camera of the optical frame; row v is clip y = 2 (v + 0.5) / height - 1."""
    P = np.zeros((4, 4))
    P[0, :3] = 2 / width * (K[0] + [0, 0, 0.5]) - [0, 0, 1]
    P[1, :3] = 2 / height * (K[1] + [0, 0, 0.5]) - [0, 0, 1]
    P[2, 2:] = (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)
    P[3, 2] = 1
    return P


def model_matrix(body: Body) -> np.ndarray:
    """The (4, 4) matrix from the body's mesh to the camera, with scale."""
    matrix = body.pose.matrix
    matrix[:3, :3] *= body.scale
    return matrix


def gl(matrix: np.ndarray) -> bytes:
    """A matrix as OpenGL wants it: float32, column by column."""
    return np.ascontiguousarray(matrix.T, "f4").tobytes()


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
        self._mask = self._ctx.program(shaders.MASK_VERTEX, shaders.MASK_FRAGMENT)
        for program, names in (
            (self._surface, ("albedo_map", "panorama", "shadow_map")),
            (self._backdrop, ("picture", "panorama")),
        ):
            for unit, name in enumerate(names):
                program[name].value = unit
        corners = self._ctx.buffer(np.array([[0, 0], [1, 0], [0, 1], [1, 1]], "f4").tobytes())
        self._screen = self._ctx.vertex_array(self._backdrop, [(corners, "2f", "in_corner")])
        self._assets = assets
        self._store = Store(self._ctx, [self._surface, self._mask], assets)
        self._shadow_map = self._ctx.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
        self._shadow_map.compare_func = "<="
        self._shadow_map.filter = moderngl.LINEAR, moderngl.LINEAR
        self._shadow = self._ctx.framebuffer(depth_attachment=self._shadow_map)
        tiles = (3 * TILE, 2 * TILE)
        self._tiles = self._ctx.framebuffer(
            [self._ctx.texture(tiles, 1, dtype="u1")], self._ctx.depth_renderbuffer(tiles)
        )
        self._size = (0, 0)

    @property
    def device(self) -> str:
        """What draws, such as "llvmpipe" or the GPU's name."""
        return self._ctx.info["GL_RENDERER"]

    def render(self, scene: Scene, depth: bool = False) -> Rendering:
        """Render a scene with its camera."""
        self._resize(scene.width, scene.height)
        models = [model_matrix(body) for body in scene.bodies]
        to_shadow = self._draw_shadows(scene, models)
        self._draw_picture(scene, models, to_shadow)
        numbers = self._read(self._picture, 1, "u1")
        rgb = smooth_edges(self._read(self._picture, 0, "f1", 3), numbers)
        names = np.zeros(256, np.uint8)
        named = [index for index, body in enumerate(scene.bodies, start=1) if body.name is not None]
        names[named] = np.arange(1, len(named) + 1)
        z = self._read(self._picture, 2, "f4") if depth else None
        return Rendering(rgb, names[numbers], z, self._draw_alone(scene, models))

    def _resize(self, width: int, height: int) -> None:
        if self._size == (width, height):
            return
        self._size = (width, height)
        layers = [(4, "f1"), (1, "u1"), (1, "f4")]  # colour, body's number, depth
        textures = [self._ctx.texture(self._size, components, dtype=dtype) for components, dtype in layers]
        self._picture = self._ctx.framebuffer(textures, self._ctx.depth_renderbuffer(self._size))

    def _read(self, source: moderngl.Framebuffer, layer: int, dtype: str, components: int = 1) -> np.ndarray:
        data = source.read(components=components, attachment=layer, dtype=dtype, alignment=1)
        kind = np.float32 if dtype == "f4" else np.uint8
        shape = (source.height, source.width, components)
        return np.frombuffer(data, kind).reshape(shape[: 2 + (components > 1)])

    def _draw_shadows(self, scene: Scene, models: list[np.ndarray]) -> np.ndarray | None:
        """Fill the shadow map of the first light; returns the (4, 4) matrix camera -> map, or None without shadows."""
        cast = [(b, m) for b, m in zip(scene.bodies, models, strict=True) if b.mesh != "plane"]
        if not cast or not scene.lights or not scene.lights[0].shadow:
            return None
        to_clip = shadow_matrix(np.array(scene.lights[0].direction), np.array([self._sphere(b) for b, _ in cast]))
        self._shadow.use()
        self._shadow.clear()
        self._ctx.enable_only(moderngl.DEPTH_TEST)
        self._mask["projection"].write(gl(to_clip))
        for body, model in cast:
            self._mask["model"].write(gl(model))
            self._store.mesh(body.mesh)[1].render()
        return np.diag([0.5, 0.5, 0.5, 1.0]) @ to_clip + np.array([[0, 0, 0, 0.5]] * 3 + [[0] * 4])

    def _sphere(self, body: Body) -> np.ndarray:
        """Centre (3,) and radius of a body's neighbourhood, as one vector (4,)."""
        mesh = self._assets.mesh(body.mesh)
        half = (mesh.high - mesh.low) / 2 * body.scale
        centre = body.pose.apply((mesh.high + mesh.low) / 2 * body.scale)
        return np.append(centre, np.linalg.norm(half))

    def _draw_picture(self, scene: Scene, models: list[np.ndarray], to_shadow: np.ndarray | None) -> None:
        """Colour, numbers and depth in one pass, from the front to the back, so that little is painted over."""
        self._picture.use()
        self._picture.clear()
        self._ctx.enable_only(moderngl.DEPTH_TEST)
        self._light(scene)
        program = self._surface
        program["projection"].write(gl(projection(scene.camera.K, scene.width, scene.height)))
        program["shadowed"].value = float(to_shadow is not None)
        if to_shadow is not None:
            program["to_shadow"].write(gl(to_shadow))
        self._shadow_map.use(2)
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

    def _light(self, scene: Scene) -> None:
        """Set light, exposure and neighbourhood of both colour programs."""
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

    def _draw_alone(self, scene: Scene, models: list[np.ndarray]) -> np.ndarray:
        """Draw every target alone in a window around it; counts (N, 2) all of its pixels and those in the frame."""
        counts = []
        targets = [(b, m) for b, m in zip(scene.bodies, models, strict=True) if b.name is not None]
        for start in range(0, len(targets), 6):
            counts += self._draw_tiles(scene, targets[start : start + 6])
        return np.array(counts).reshape(-1, 2)

    def _draw_tiles(self, scene: Scene, targets: list[tuple[Body, np.ndarray]]) -> list[tuple[float, float]]:
        self._tiles.use()
        self._tiles.clear()
        self._ctx.enable_only(moderngl.DEPTH_TEST)
        windows = []
        for k, (body, model) in enumerate(targets):
            left, top, scale = window(scene, body, self._assets.mesh(body.mesh), TILE)
            windows.append((left, top, scale))
            A = np.array(
                [[scale, 0, (scale - 1) / 2 - scale * left], [0, scale, (scale - 1) / 2 - scale * top], [0, 0, 1]]
            )
            tile = (k % 3 * TILE, k // 3 * TILE, TILE, TILE)
            self._ctx.viewport = tile
            self._ctx.scissor = tile
            self._mask["projection"].write(gl(projection(A @ scene.camera.K, TILE, TILE)))
            self._mask["model"].write(gl(model))
            self._store.mesh(body.mesh)[1].render()
        self._ctx.scissor = None
        ids = self._read(self._tiles, 0, "u1")
        tiles = [ids[k // 3 * TILE :][:TILE, k % 3 * TILE :][:, :TILE] for k in range(len(targets))]
        return [count(tile, place, scene) for tile, place in zip(tiles, windows, strict=True)]


def smooth_edges(rgb: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Soften the stairs between bodies: where `numbers` (H, W) changes, mix in the eight neighbours."""
    edge = cv2.morphologyEx(numbers, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8))
    rows, columns = np.nonzero(edge)
    result = rgb.copy()
    result[rows, columns] = cv2.GaussianBlur(rgb, (3, 3), 0.7)[rows, columns]
    return result


def shadow_matrix(direction: np.ndarray, spheres: np.ndarray) -> np.ndarray:
    """The (4, 4) parallel projection along a light `direction` (3,) that holds all spheres (N, 4)."""
    side = np.cross(direction, [0.3, 0.5, 0.8] if abs(direction[2]) < 0.9 else [1.0, 0.2, 0.1])
    side /= np.linalg.norm(side)
    R = np.stack([side, np.cross(direction, side), -direction])  # rows: the light's axes
    points = spheres[:, :3] @ R.T
    reach = spheres[:, 3:]
    low, high = (points - reach).min(0), (points + reach).max(0)
    half = np.maximum((high - low) / 2, 1e-3) * [1.05, 1.05, 1.5]
    matrix = np.eye(4)
    matrix[:3, :3] = R / half[:, None]
    matrix[:3, 3] = -(low + high) / 2 / half
    return matrix
