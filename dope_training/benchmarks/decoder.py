"""Decode perfect maps of random cartons, with our decoder and with the published one; `make bench-decode`."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.estimation.map_decoder import decode
from dope_ros2.estimation.pnp import solver
from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.belief_maps import MapSpec
from dope_training.benchmarks import upstream_dope
from dope_training.objective.crop_batch import CropBatch
from dope_training.objective.targets import draw_targets

CARTON = cuboid.keypoints((0.160, 0.110, 0.060))
CAMERA = CameraModel(np.array([[600.0, 0, 319.5], [0, 600, 239.5], [0, 0, 1]]), 640, 480)
IMAGE_SIZE = CAMERA.width, CAMERA.height
BORDER_MARGIN, MIN_SEPARATION = 60, 0.12  # of the centres: to the border [px], from each other [m]
MAX_ERROR = 0.05, np.deg2rad(15)  # a pose this near the truth, relative to the distance and in angle, is right
THRESHOLD = 0.3
Poses = list[Pose]


@dataclass(frozen=True)
class Result:
    """Figures of one decoder on scenes of one size; errors are medians over right poses, times medians per scene."""

    decoder: str
    cartons: int
    scenes: int
    share: float
    wrong: int
    distance_percent: float
    degrees: float
    milliseconds: float


def random_scene(rng: np.random.Generator, cartons: int) -> Poses:
    """Cartons at 0.5 to 1.2 m, 20 or more of them at 0.8 to 1.4 m, turned freely."""
    near, far = (0.5, 1.2) if cartons < 20 else (0.8, 1.4)
    poses: Poses = []
    while len(poses) < cartons:
        pixel = rng.uniform(
            (BORDER_MARGIN, BORDER_MARGIN), (CAMERA.width - BORDER_MARGIN, CAMERA.height - BORDER_MARGIN)
        )
        centre = CAMERA.unproject(pixel, rng.uniform(near, far))
        if all(np.linalg.norm(centre - pose.translation) >= MIN_SEPARATION for pose in poses):
            poses.append(Pose.random(rng, centre))
    return poses


def project(poses: Poses) -> np.ndarray:
    """(N, 9, 2) keypoints of the cartons [px]."""
    return np.array([CAMERA.project(pose.apply(CARTON)) for pose in poses])


def degrade(rng: np.random.Generator, belief: np.ndarray) -> np.ndarray:
    """Maps as a network makes them: peaks of 0.4 to 0.9, a fifth of them missing, noise of 0.03."""
    scale = rng.uniform(0.4, 0.9, (len(belief), 1, 1))
    coarse = rng.random((len(belief), *(side // 6 + 1 for side in belief.shape[1:]))) > 0.2
    holes = coarse.repeat(6, 1).repeat(6, 2)[:, : belief.shape[1], : belief.shape[2]]
    holes[cuboid.CENTRE] = True
    return (belief * scale * holes + rng.normal(0, 0.03, belief.shape)).astype(np.float32)


def ours(maps: tuple[np.ndarray, np.ndarray]) -> Poses:
    """Decode and solve with this package."""
    instances = decode(maps[0][None], maps[1][None], MapSpec(), THRESHOLD)
    solutions = solver.solve_all(
        [solver.Correspondences(CARTON, i.keypoints, CAMERA.K, i.sigmas) for i in instances], solver.Gate()
    )
    return [solution.pose for solution in solutions if solution]


def published(maps: tuple[np.ndarray, np.ndarray]) -> Poses:
    """Decode and solve as the published code does; its map cell j lies at pixel 8 j."""
    solved = (upstream_dope.solve(CARTON, pixels, CAMERA.K) for pixels in upstream_dope.decode(*maps))
    return [pose for pose in solved if pose]


def run(name: str, cartons: int, scenes: int, seed: int, draw: Callable, read: Callable) -> Result:
    """Decode `scenes` random scenes; `draw(rng, keypoints)` makes the maps that `read` turns into poses."""
    rng = np.random.default_rng([seed, cartons])
    found, wrong, errors, times = 0, 0, [], []
    for _ in range(scenes):
        truth = random_scene(rng, cartons)
        maps = draw(rng, project(truth))
        start = time.perf_counter()
        poses = read(maps)
        times.append(time.perf_counter() - start)
        hit = set()
        for pose in poses:
            rows = [
                (t.distance_to(pose) / np.linalg.norm(t.translation), t.angle_to(pose), i) for i, t in enumerate(truth)
            ]
            right = [row for row in rows if row[0] <= MAX_ERROR[0] and row[1] <= MAX_ERROR[1]]
            wrong += not right
            errors += [min(right)[:2]] if right else []
            hit |= {min(right)[2]} if right else set()
        found += len(hit)
    distance, angle = np.median(np.array(errors).reshape(-1, 2), axis=0) if errors else (np.nan, np.nan)
    share, middle = found / (cartons * scenes), 1e3 * float(np.median(times))
    return Result(name, cartons, scenes, share, wrong, 100 * float(distance), float(np.rad2deg(angle)), middle)


def _perfect(_: np.random.Generator, keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The belief (9, h, w) and affinity (16, h, w) that a network is trained to draw."""
    batch = CropBatch.of_keypoints(torch.from_numpy(keypoints), (CAMERA.height, CAMERA.width))
    targets = draw_targets(batch, 1, MapSpec())
    return targets.belief[0, 0].numpy().astype(np.float32), targets.affinity[0, 0].numpy().astype(np.float32)


def _degraded(rng: np.random.Generator, keypoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    belief, affinity = _perfect(rng, keypoints)
    return degrade(rng, belief), affinity


DECODERS = {
    "ours": (_perfect, ours),
    "published": (lambda rng, keypoints: upstream_dope.encode(keypoints, IMAGE_SIZE), published),
    "ours, degraded maps": (_degraded, ours),
}


@command("bench-decode")
def main(
    scenes: Annotated[int, typer.Option(help="scenes of five cartons; as many cartons in all for 1 and 20")] = 200,
    seed: Annotated[int, typer.Option(help="seed of the scenes")] = 0,
    out: Annotated[Path | None, typer.Option(help="write the figures as JSON")] = None,
) -> None:
    """Print what share of cartons is recovered from perfect maps, how exactly and how fast."""
    results = []
    print(f"{'decoder':22}{'cartons':>8}{'share':>8}{'wrong':>7}{'distance':>10}{'angle':>8}{'time':>10}")
    for name, (draw, read) in DECODERS.items():
        for cartons in (1, 5, 20):
            r = run(name, cartons, max(1, scenes * 5 // cartons), seed, draw, read)
            results.append(r)
            figures = f"{r.share:8.3f}{r.wrong:7d}{r.distance_percent:8.3f} %{r.degrees:6.2f}°{r.milliseconds:7.1f} ms"
            print(f"{name:22}{cartons:8d}{figures}", flush=True)
    if out:
        machine = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
        files.write_json(out, machine | {"results": [asdict(r) for r in results]})


if __name__ == "__main__":
    sys.exit(main())
