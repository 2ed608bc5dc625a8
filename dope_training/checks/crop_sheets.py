"""Sheets of what the network will see: augmented crops with cuboids, and the maps that it is asked to draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from dope_ros2.common import files
from dope_ros2.geometry import cuboid
from dope_ros2.network.belief_maps import MapSpec
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.visualization import overlay
from dope_training.config import TrainConfig
from dope_training.data.crops import crops_of
from dope_training.objective.crop_batch import CropBatch
from dope_training.objective.targets import MIN_TAUGHT_VISIBILITY, draw_targets

CROPS = 12  # of a sheet
ROW = 3  # crops in a row, each with its maps
TILE = 320  # [px], least side of a crop on the sheet
IGNORED = (150, 150, 150)  # of what is too hidden to be learned
DIM = 0.35  # how bright the crop is behind its maps


def save_sheets(config: TrainConfig, paths: list[Path], models: Sequence[ObjectModel], out: Path) -> list[str]:
    """Write one sheet of each store.

    Args:
        config: the recipe.
        paths: the stores.
        models: records of `config.objects`, in that order.
        out: folder of the sheets.

    Returns:
        A line about each.

    Raises:
        UserError: the folder cannot be written.
    """
    lines = []
    for number, crops in enumerate(crops_of(paths, config, training=True).datasets):
        chosen = np.linspace(0, len(crops) - 1, min(CROPS, len(crops))).astype(int)
        rows = [strip(crops[0, int(index)], models, config.map_spec) for index in chosen]
        path = out / f"{number}-{paths[number].name}.jpg"
        _write(path, _sheet(rows))
        lines.append(
            f"{path}: {len(rows)} crops of {paths[number]}, each with its beliefs and its votes for the centre"
        )
    return lines


def strip(batch: CropBatch, models: Sequence[ObjectModel], spec: MapSpec) -> np.ndarray:
    """The first crop of a batch, its beliefs, and its affinities, side by side, RGB."""
    targets = draw_targets(batch.part(slice(1)), len(models), spec)
    image = batch.image[0].numpy()
    factor = max(1, -(-TILE // len(image)))
    large = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    keypoints = (batch.keypoints[0].numpy() + 0.5) * factor - 0.5
    shown = [
        (points, models[c].color if seen >= MIN_TAUGHT_VISIBILITY else IGNORED)
        for points, c, seen in zip(keypoints, batch.classes[0].tolist(), batch.visibility[0].tolist(), strict=True)
        if c >= 0 and seen > 0
    ]
    belief = heat(targets.belief[0].amax((0, 1)).numpy())
    votes = directions(targets.affinity[0].numpy())
    return np.hstack([drawn(large, shown), *(_over(large, layer) for layer in (belief, votes))])


def drawn(image: np.ndarray, shown: Sequence[tuple[np.ndarray, tuple[int, int, int]]]) -> np.ndarray:
    """Draw cuboids, keypoints (9, 2) [px] and a colour each, over a copy of an image (H, W, 3)."""
    canvas = image.copy()
    for points, color in shown:
        ends = np.round(np.clip(points, -overlay.MAX_PIXEL, overlay.MAX_PIXEL) * (1 << overlay.SUBPIXEL)).astype(int)
        for start, end in cuboid.EDGES:
            cv2.line(canvas, ends[start].tolist(), ends[end].tolist(), color, 1, cv2.LINE_AA, overlay.SUBPIXEL)
        overlay.draw_keypoints(canvas, points, color)
    return canvas


def heat(belief: np.ndarray) -> np.ndarray:
    """A map (h, w) of values 0 to 1 as colours (h, w, 3) from black over red and yellow to white."""
    return cv2.applyColorMap(np.uint8(255 * belief.clip(0, 1)), cv2.COLORMAP_HOT)[..., ::-1]


def directions(affinity: np.ndarray) -> np.ndarray:
    """Votes (C, 16, h, w) as colours (h, w, 3): the hue is the direction of the longest one, black is none."""
    _, _, height, width = affinity.shape
    votes = affinity.reshape(-1, 2, height, width)
    longest = np.linalg.norm(votes, axis=1).argmax(0)
    x, y = np.take_along_axis(votes, longest[None, None], 0)[0]
    hue = np.uint8(np.degrees(np.arctan2(y, x)) % 360 / 2)
    value = np.uint8(255 * (np.hypot(x, y) > 0))
    return cv2.cvtColor(np.stack([hue, np.full_like(hue, 220), value], -1), cv2.COLOR_HSV2RGB)


def _over(image: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """A layer of map cells over the dimmed image: each pixel is the brighter of the two."""
    cells = cv2.resize(layer, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    grey = cv2.cvtColor(np.uint8(DIM * image), cv2.COLOR_RGB2GRAY)
    return np.maximum(cells, grey[..., None])


def _sheet(strips: list[np.ndarray]) -> np.ndarray:
    strips = [cv2.copyMakeBorder(strip, 0, 4, 0, 4, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for strip in strips]
    strips += [np.full_like(strips[0], 255)] * (-len(strips) % min(ROW, len(strips)))
    columns = min(ROW, len(strips))
    return np.vstack([np.hstack(strips[k : k + columns]) for k in range(0, len(strips), columns)])


def _write(path: Path, sheet: np.ndarray) -> None:
    files.write_bytes(path, cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
