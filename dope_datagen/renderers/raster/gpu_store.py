"""What stays on the GPU between images: meshes, textures, panoramas."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import moderngl
import numpy as np

from dope_datagen.assets import environments
from dope_datagen.assets.environments import Environment
from dope_datagen.assets.library import Assets
from dope_datagen.renderers.texture_images import load, own_texture

T = TypeVar("T")
SRGB8_ALPHA8 = 0x8C43
MOST_MESHES, MOST_TEXTURES, MOST_PANORAMAS = 150, 150, 20  # about 0.2 GB; more are quickly made again


class CachedBuffer(Generic[T]):
    """The most recently used values by key; the rest is released."""

    def __init__(self, make: Callable[[str | bytes], T], release: Callable[[T], None], most: int) -> None:
        self._make, self._release, self._most = make, release, most
        self._values: OrderedDict[str | bytes, T] = OrderedDict()

    def __getitem__(self, key: str | bytes) -> T:
        if key not in self._values:
            self._values[key] = self._make(key)
            if len(self._values) > self._most:
                self._release(self._values.popitem(last=False)[1])
        self._values.move_to_end(key)
        return self._values[key]


class Store:
    """Uploads on demand; keys are those of `Material.texture`, `Body.mesh` and `Scene.environment`."""

    def __init__(self, ctx: moderngl.Context, programs: list[moderngl.Program], assets: Assets) -> None:
        self._ctx, self._programs, self._assets = ctx, programs, assets
        self._software = "llvmpipe" in ctx.info["GL_RENDERER"]  # where sharp slanted textures cost a quarter more
        self._meshes = CachedBuffer(self._mesh, lambda parts: [part.release() for part in parts], MOST_MESHES)
        self._textures = CachedBuffer(self._texture, lambda texture: texture.release(), MOST_TEXTURES)
        self._panoramas = CachedBuffer(self._panorama, lambda pair: [t.release() for t in pair[1:]], MOST_PANORAMAS)
        self._white = self._upload(np.full((1, 1, 3), 255, np.uint8))

    def mesh(self, key: str) -> list[moderngl.VertexArray]:
        """One vertex array per program."""
        return self._meshes[key][: len(self._programs)]

    def texture(self, key: str, mesh: str | None = None) -> moderngl.Texture:
        """The texture of a key; "own" is that of the mesh."""
        if key == "own":
            key = own_texture(self._assets.mesh(mesh)) if mesh else "none"
        return self._white if key == "none" else self._textures[key]

    def panorama(self, key: str) -> tuple[Environment, moderngl.Texture, moderngl.Texture]:
        """An environment, its light and its backdrop as textures."""
        return self._panoramas[key]

    def _mesh(self, key: str) -> list[moderngl.VertexArray | moderngl.Buffer]:
        """The vertex arrays, then the buffers that they use."""
        mesh = self._assets.mesh(key)
        data = np.hstack([mesh.positions, mesh.normals, mesh.uvs * [1, -1]]).astype("f4")  # v down, as rows
        vertices, index = self._ctx.buffer(data.tobytes()), self._ctx.buffer(mesh.triangles.astype("i4").tobytes())
        layouts = [("3f 3f 2f", "in_position", "in_normal", "in_uv"), ("3f 20x", "in_position")]
        arrays = [
            self._ctx.vertex_array(program, [(vertices, *layout)], index)
            for program, layout in zip(self._programs, layouts, strict=True)
        ]
        return [*arrays, vertices, index]

    def _texture(self, key: str | bytes) -> moderngl.Texture:
        texture = self._upload(load(key))
        if not (isinstance(key, bytes) or self._software):  # parts side by side would take in a neighbour's texels
            texture.anisotropy = 4.0
        return texture

    def _upload(self, image: np.ndarray) -> moderngl.Texture:
        rgba = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
        texture = self._ctx.texture(image.shape[1::-1], 4, rgba.tobytes(), internal_format=SRGB8_ALPHA8)
        texture.build_mipmaps()
        texture.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR
        return texture

    def _panorama(self, key: str) -> tuple[Environment, moderngl.Texture, moderngl.Texture]:
        light = environments.load(key)
        return light, self._upload_light(light.panorama), self._upload_light(light.backdrop)

    def _upload_light(self, image: np.ndarray) -> moderngl.Texture:
        data = np.ascontiguousarray(image, np.float16)
        texture = self._ctx.texture(image.shape[1::-1], 3, data.tobytes(), dtype="f2", alignment=1)
        texture.build_mipmaps()
        texture.filter = moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR
        texture.repeat_y = False
        return texture
