"""`dope preview`: a sheet of pictures with their labels drawn, of a dataset or of what a configuration would draw."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from dope_datagen.store import Dataset, Sample
from dope_ros2 import cuboid
from dope_ros2.cli import run_typer
from dope_ros2.errors import UserError

app = typer.Typer(add_completion=False)
TILE = 480  # [px], width of a picture on the sheet


def annotated(sample: Sample) -> np.ndarray:
    """The picture with cuboids, names and visibility; (H, W, 3) uint8 RGB."""
    image = sample.rgb.copy()
    for label in sample.objects:
        color = (60, 230, 60) if label.visibility > 0.2 else (230, 60, 60)
        corners = np.int32(np.round(np.clip(label.keypoints, -4000, 4000) * 16))
        for first, last in cuboid.EDGES:
            cv2.line(image, corners[first].tolist(), corners[last].tolist(), color, 1, cv2.LINE_AA, 4)
        at = np.clip(label.keypoints[cuboid.CENTRE], 4, np.array(image.shape[1::-1]) - 60).astype(int).tolist()
        text = f"{label.name} {label.visibility:.0%}"
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
    return image


def sheet(images: list[np.ndarray], columns: int) -> np.ndarray:
    """Put pictures side by side in rows; all get the first one's shape."""
    height = round(TILE * images[0].shape[0] / images[0].shape[1])
    tiles = [cv2.resize(image, (TILE, height), interpolation=cv2.INTER_AREA) for image in images]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[k : k + columns]) for k in range(0, len(tiles), columns)])


def _samples(source: Path, count: int, seed: int) -> list[Sample]:
    if source.is_dir():
        store = Dataset.open(source)
        chosen = np.random.default_rng(seed).choice(len(store), min(count, len(store)), replace=False)
        return [store[int(index)] for index in chosen]
    from dope_datagen.config import load_config
    from dope_datagen.generate import Worker
    from dope_ros2.objects import load_objects, pick

    config = load_config(source)
    worker = Worker(config, seed, {model.name: model for model in pick(load_objects(), list(config.objects))})
    return [worker.sample(number) for number in range(count)]


@app.command()
def _command(
    source: Annotated[Path, typer.Argument(help="a dataset, or a configuration such as config/datagen/quick.yaml")],
    out: Annotated[Path, typer.Option(help="the sheet, .png or .jpg")],
    count: Annotated[int, typer.Option(min=1, max=400, help="how many pictures")] = 24,
    columns: Annotated[int, typer.Option(min=1, max=20)] = 4,
    seed: Annotated[int, typer.Option(help="which pictures")] = 0,
    plain: Annotated[bool, typer.Option("--plain", help="do not draw the labels")] = False,
    models: Annotated[Path | None, typer.Option(help="folder that meshes in objects.yaml are relative to")] = None,
) -> None:
    """Draw a sheet of labelled pictures."""
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UserError(f"--out {out}: the suffix {out.suffix!r} is not one of .png, .jpg")
    if models is not None:
        os.environ["DOPE_MODELS"] = str(models.resolve())
    images = [sample.rgb if plain else annotated(sample) for sample in _samples(source, count, seed)]
    encoded = cv2.imencode(out.suffix, sheet(images, columns)[..., ::-1])[1]
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_bytes(encoded.tobytes())
    os.replace(partial, out)
    print(out)


def main(argv: list[str] | None = None) -> int:
    """Run `dope preview`; returns the exit status."""
    return run_typer(app, argv, "dope preview")


if __name__ == "__main__":
    sys.exit(main())
