"""A short film for the demo: cartons among clutter on a table in a room, seen by a camera that walks around it.

Things are dropped by the physics engine, not placed as in training; the result is a BOP scene folder.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.spatial.transform import Rotation

from dope_datagen.assets import primitives
from dope_datagen.assets.distractors import distractor_keys
from dope_datagen.assets.library import Assets
from dope_datagen.dataset.labels import Label, label
from dope_datagen.formats.common import write_json, write_plain
from dope_datagen.renderers.raster.rasterizer import Raster
from dope_datagen.scenes.placement import looking
from dope_datagen.scenes.scene import Body, Light, Material, Scene
from dope_datagen.simulation.physics import Falling, settle, table
from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import load_objects, pick

TABLE = (1.3, 0.9)  # edges [m]
FOCAL, WIDTH, HEIGHT = 600.0, 640, 480  # [px]
MM = 1000.0


def furnish(rng: np.random.Generator, assets: Assets, names: list[str], clutter: int) -> list[tuple[Body, Pose]]:
    """Drop known objects and clutter on the table; each body with its T_world_body, what fell off is left out."""
    bodies = [Body(f"object:{name}", (), (0, 0, 0), name=name) for name in names]
    keys = distractor_keys(True, ())
    for _ in range(clutter):
        own = rng.random() < 0.5
        key = keys[rng.integers(len(keys))] if own else str(rng.choice(primitives.DISTRACTORS))
        size = float(rng.uniform(0.06, 0.16))
        look = Material() if own and assets.mesh(key).texture else _look(rng)
        bodies.append(Body(key, (), (0, 0, 0), (size,) * 3, look))
    falling = [_above(rng, assets, body, spread=0.6 if body.name else 1.0) for body in bodies]
    order = rng.permutation(len(bodies))
    resting = settle([falling[k] for k in order], table((TABLE[0] / 2, TABLE[1] / 2)))
    placed = [(bodies[k], pose) for k, pose in zip(order, resting, strict=True) if pose.translation[2] > 0]
    return sorted(placed, key=lambda pair: pair[0].name is None)  # targets first


def _look(rng: np.random.Generator) -> Material:
    kind = rng.choice(["label", "plain", "stripes", "noise", "wood"])
    # Numbers far above `variety`: images that training never sees.
    return Material(f"procedural:{kind}:{rng.integers(10**6, 10**7)}", roughness=rng.uniform(0.3, 0.9))


def _above(rng: np.random.Generator, assets: Assets, body: Body, spread: float) -> Falling:
    points = assets.mesh(body.mesh).positions.astype(float) * body.scale
    at = rng.uniform(-0.5, 0.5, 2) * TABLE * np.array([0.7, 0.7]) * spread
    # Most of the known objects fall flat on a face, as things are put down.
    upright = rng.random() < 0.7 and body.name is not None
    turn = Rotation.from_euler("zx", [rng.uniform(0, 2 * np.pi), rng.choice([0, 0.5, 1.0, 1.5]) * np.pi]).as_matrix()
    R = turn if upright else Pose.random(rng).rotation
    lowest = (points @ R.T)[:, 2].min()
    return Falling(points, Pose(R, np.array([*at, 0.08 - lowest])))


def room(rng: np.random.Generator) -> list[tuple[Body, Pose]]:
    """Table top, floor and four walls, each with its T_world_body."""
    wood, floor = rng.integers(10**6, 10**7, 2)
    parts = [_sheet(TABLE, Pose.identity(), Material(f"procedural:wood:{wood}", roughness=0.5, repeat=1.0))]
    down = Pose(np.eye(3), np.array([0, 0, -0.74]))
    parts.append(_sheet((6, 6), down, Material(f"procedural:grain:{floor}", roughness=0.9, repeat=4.0)))
    for k in range(4):
        turn = Rotation.from_euler("zx", [k * np.pi / 2, np.pi / 2]).as_matrix()
        kind = rng.choice(["pale", "collage", "plain"])
        material = Material(f"procedural:{kind}:{rng.integers(10**6, 10**7)}", roughness=0.9)
        parts.append(_sheet((6, 3), Pose(turn, turn @ [0, 0.76, -3.0]), material))
    return parts


def _sheet(edges: tuple[float, float], pose: Pose, material: Material) -> tuple[Body, Pose]:
    return Body("plane", (), (0, 0, 0), (*edges, 1.0), material), pose


def orbit(rng: np.random.Generator, frames: int) -> list[Pose]:
    """T_camera_world of a walk once around the table's middle, at changing distance and elevation."""
    start = rng.uniform(0, 2 * np.pi)
    phase = rng.uniform(0, 2 * np.pi, 2)
    poses = []
    for t in np.arange(frames) / frames * 2 * np.pi:
        elevation = np.deg2rad(42 + 16 * np.sin(2 * t + phase[0]))
        distance = 0.85 + 0.22 * np.sin(3 * t + phase[1])
        R = looking(elevation, 0.04 * np.sin(t)) @ Rotation.from_euler("z", -(start + t)).as_matrix()
        poses.append(Pose(R, np.array([0, 0, distance]) - R @ [0, 0, 0.04]))
    return poses


def film(seed: int, frames: int, assets: Assets, names: list[str], clutter: int = 12) -> list[Scene]:
    """The scenes of all frames; they depend on the arguments alone."""
    rng = np.random.default_rng([seed, 20_000_003])  # apart from the training scenes' generators
    placed = [*furnish(rng, assets, names, clutter), *room(rng)]
    towards = Rotation.from_euler("zy", [rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.8)]).as_matrix()[:, 2]
    environment = f"procedural:{rng.integers(10**6, 10**7)}"
    camera = CameraModel.from_focal(FOCAL, WIDTH, HEIGHT)
    scenes = []
    for T_camera_world in orbit(rng, frames):
        R = T_camera_world.rotation
        scenes.append(
            Scene(
                K=tuple(camera.K.ravel().tolist()),
                width=WIDTH,
                height=HEIGHT,
                bodies=tuple(_seen(body, T_camera_world @ pose) for body, pose in placed),
                environment=environment,
                environment_rotation=tuple(R.T.ravel().tolist()),
                ambient=0.6,
                lights=(Light(tuple((R @ towards).tolist()), (0.8, 0.76, 0.7), True),),
                exposure=1.1,
            )
        )
    return scenes


def _seen(body: Body, pose: Pose) -> Body:
    return replace(body, rotation=tuple(pose.rotation.ravel().tolist()), translation=tuple(pose.translation.tolist()))


def write_bop(out: Path, scenes: list[Scene], assets: Assets) -> None:
    """Render scenes into a BOP scene folder, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    with files.replacing(out) as folder:
        _write_bop(folder, scenes, assets)


def _write_bop(folder: Path, scenes: list[Scene], assets: Assets) -> None:
    renderer = Raster(assets)
    cameras, truths, infos = {}, {}, {}
    for number, scene in enumerate(scenes):
        rendering = renderer.render(scene)
        write_plain(folder / "rgb" / f"{number:06d}.png", rendering.rgb[..., ::-1])
        labels = label(scene, rendering, assets.objects)
        cameras[str(number)] = {"cam_K": list(scene.K), "depth_scale": 1.0}
        truths[str(number)] = [_truth(entry) for entry in labels]
        infos[str(number)] = [_info(entry) for entry in labels]
    for name, content in (("scene_camera", cameras), ("scene_gt", truths), ("scene_gt_info", infos)):
        write_json(folder / f"{name}.json", content)


def _truth(entry: Label) -> dict:
    R, t = entry.pose.rotation.ravel().tolist(), (entry.pose.translation * MM).tolist()
    return {"obj_id": entry.class_id, "cam_R_m2c": R, "cam_t_m2c": t}


def _info(entry: Label) -> dict:
    return {
        "visib_fract": round(entry.visibility, 4),
        "px_count_all": entry.px_all,
        "px_count_visib": entry.px_visible,
        "bbox_visib": list(entry.bbox),
    }


@command("demo_scene")
def main(
    out: Annotated[Path, typer.Option(help="the BOP scene folder; must not exist")],
    objects: Annotated[str, typer.Option(help="names in objects.yaml, with commas; repeat one for several")] = (
        "carton,carton,carton"
    ),
    frames: Annotated[int, typer.Option(min=1)] = 150,
    clutter: Annotated[int, typer.Option(min=0, help="number of distractors on the table")] = 12,
    seed: Annotated[int, typer.Option(help="seed of all random draws")] = 0,
) -> None:
    """Render a camera's walk around a table with known objects and clutter."""
    if out.exists():
        raise UserError(f"{out}: exists already; remove it or give another --out")
    names = objects.split(",")
    assets = Assets({model.name: model for model in pick(load_objects(), names)})
    write_bop(out, film(seed, frames, assets, names, clutter), assets)
    print(out)


if __name__ == "__main__":
    sys.exit(main())
