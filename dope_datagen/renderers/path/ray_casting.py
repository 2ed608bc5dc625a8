"""Exact labels by rays through pixel centres: whose each pixel is, how far away, and how much of each target there is.

All bodies are one mesh whose texture coordinates are the body's number, so every variant of Mitsuba agrees on them.
"""

from __future__ import annotations

import mitsuba as mi
import numpy as np

from dope_datagen.assets.library import Assets
from dope_datagen.renderers.path import mitsuba_scene
from dope_datagen.renderers.unoccluded_tiles import PAGE, pages
from dope_datagen.scenes.scene import Scene


def cast(scene: Scene, assets: Assets) -> tuple[np.ndarray, np.ndarray]:
    """Instance ids (H, W) uint8, k + 1 where target k is seen, and depth along z (H, W) float32 [m], 0 for nothing."""
    if not scene.bodies:
        return np.zeros((scene.height, scene.width), np.uint8), np.zeros((scene.height, scene.width), np.float32)
    stretch = mitsuba_scene.stretch(scene.camera)
    parts = [(mitsuba_scene.placed(body, assets) * stretch, assets.mesh(body.mesh).triangles) for body in scene.bodies]
    number, z = _seen(_numbered(parts), mitsuba_scene.sensor(scene, 1, centred=True))
    names = np.zeros(len(scene.bodies) + 1, np.uint8)
    named = [index for index, body in enumerate(scene.bodies, start=1) if body.name is not None]
    names[named] = np.arange(1, len(named) + 1)
    return names[number], z


def alone(scene: Scene, assets: Assets) -> np.ndarray:
    """Pixels of each target with nothing else in the scene, (N, 2): all of them, and those in the frame.

    Projected triangles are triangles, so a target is cast in its projection, by parallel rays; each in a tile of its
    own, scaled down where it is larger than that.
    """
    targets, counts = scene.targets, np.zeros((len(scene.targets), 2))
    for page in pages(scene, assets):
        parts = []
        for k, tile in page:
            x = mitsuba_scene.placed(targets[k], assets)
            flat = scene.camera.project(x) * tile.scale + tile.offset + [tile.x, tile.y]
            parts.append((np.column_stack([flat, x[:, 2]]), assets.mesh(targets[k].mesh).triangles))
        rows = max(tile.y + tile.height for _, tile in page)
        numbers, _ = _seen(_numbered(parts), _above(PAGE, rows))
        for number, (k, tile) in enumerate(page, start=1):
            counts[k] = tile.count(numbers, number, scene)
    return counts


def _numbered(parts: list[tuple[np.ndarray, np.ndarray]]) -> mi.Mesh:
    """One mesh of many; the texture coordinate u of part k is k + 1."""
    starts = np.cumsum([0, *(len(positions) for positions, _ in parts)])
    positions = np.concatenate([positions for positions, _ in parts])
    triangles = np.concatenate([triangles + start for (_, triangles), start in zip(parts, starts, strict=False)])
    number = np.repeat(np.arange(1, len(parts) + 1), np.diff(starts))
    return mitsuba_scene.mesh("labels", positions, triangles, uvs=np.column_stack([number, np.zeros(len(number))]))


def _seen(mesh: mi.Mesh, sensor: dict) -> tuple[np.ndarray, np.ndarray]:
    """Number of the part (H, W), 0 for none, and depth along z (H, W) float32, 0 for none."""
    scene = mi.load_dict({"type": "scene", "mesh": mesh, "sensor": sensor})
    integrator = mi.load_dict({"type": "aov", "aovs": "position:position,uv:uv"})
    layers = np.array(mi.render(scene, integrator=integrator, spp=1))
    z, number = layers[..., -3], layers[..., -2]
    return np.rint(number).astype(int), np.where(number > 0.5, z, 0).astype(np.float32)


def _above(width: int, height: int) -> dict:
    """Parallel rays along z through integer x and y, 0 to width - 1 and height - 1."""
    centre = np.array([(width - 1) / 2, (height - 1) / 2, -1.0])
    to_world = np.eye(4)
    to_world[:3, :3] = np.diag([-width / 2, -width / 2, 1.0])  # the film's x spans -1 to 1
    to_world[:3, 3] = centre
    return {
        "type": "orthographic",
        "near_clip": 0.01,
        "far_clip": 1e3,
        "to_world": mi.ScalarTransform4f(to_world),
        "film": mitsuba_scene.film(width, height),
        "sampler": {"type": "stratified", "jitter": False, "sample_count": 1},
    }
