"""Bodies without their looks: how much of each target there is, and what casts shadows."""

from __future__ import annotations

import moderngl
import numpy as np

from dope_datagen.assets.library import Assets
from dope_datagen.renderers.raster.gpu_store import Store
from dope_datagen.renderers.raster.matrices import gl, projection
from dope_datagen.renderers.unoccluded_tiles import PAGE, pages
from dope_datagen.scenes.scene import Scene


class IdMasks:
    """Draws where bodies are, one sample at each pixel's centre.

    Args:
        program: that of `shaders.MASK_VERTEX` and `MASK_FRAGMENT`.
        store: meshes on the GPU; their second vertex array is this program's.
    """

    def __init__(self, ctx: moderngl.Context, program: moderngl.Program, store: Store, assets: Assets) -> None:
        self._ctx, self._program, self._store, self._assets = ctx, program, store, assets
        size = (PAGE, PAGE)
        self._page = ctx.framebuffer([ctx.texture(size, 1, dtype="u1")], ctx.depth_renderbuffer(size))

    def draw(self, key: str, to_clip: np.ndarray, model: np.ndarray) -> None:
        """Draw a mesh into the framebuffer in use; both matrices are (4, 4)."""
        self._program["projection"].write(gl(to_clip))
        self._program["model"].write(gl(model))
        self._store.mesh(key)[1].render()

    def alone(self, scene: Scene, models: list[np.ndarray]) -> np.ndarray:
        """Pixels of each target with nothing else in the scene, (N, 2): all of them, and those in the frame."""
        targets, counts = scene.targets, np.zeros((len(scene.targets), 2))
        moved = [model for body, model in zip(scene.bodies, models, strict=True) if body.name is not None]
        for page in pages(scene, self._assets):
            self._page.use()
            self._page.clear()
            self._ctx.enable_only(moderngl.DEPTH_TEST)
            for k, tile in page:
                A = np.array([[tile.scale, 0, tile.offset[0]], [0, tile.scale, tile.offset[1]], [0, 0, 1]])
                self._ctx.viewport = self._ctx.scissor = (tile.x, tile.y, tile.width, tile.height)
                to_clip = projection(A @ scene.camera.K, tile.width, tile.height)
                self.draw(targets[k].mesh, to_clip, moved[k])
            self._ctx.scissor = None
            rows = max(tile.y + tile.height for _, tile in page)
            seen = read(self._page, 0, rows=rows)
            for k, tile in page:
                counts[k] = tile.count(seen, 1, scene)
        return counts


def read(source: moderngl.Framebuffer, layer: int, dtype: str = "u1", components: int = 1,
         rows: int | None = None) -> np.ndarray:  # fmt: skip
    """A layer of a framebuffer, (H, W) or (H, W, components), or its first rows."""
    viewport = (0, 0, source.width, rows or source.height)
    data = source.read(viewport, components=components, attachment=layer, dtype=dtype, alignment=1)
    kind = np.float32 if dtype == "f4" else np.uint8
    shape = (viewport[3], source.width, components)
    return np.frombuffer(data, kind).reshape(shape[: 2 + (components > 1)])
