"""`dope preview`: labelled images of a dataset, or of what a configuration would draw, on a sheet and a web page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from dope_datagen.dataset.store import Dataset, Sample, records
from dope_datagen.inspection.contact_sheet import annotated, sheet
from dope_datagen.inspection.html_page import PageImage, page
from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.common.resources import example
from dope_ros2.objects.object_model import ObjectModel, use_objects

PICTURES, PAGE = (".jpg", ".jpeg", ".png"), ".html"
EXAMPLE = example("config/datagen/quick.yaml")
VIEWS = 4  # of one arrangement
Numbered = list[tuple[int, Sample]]


def stored(path: Path, count: int, seed: int) -> tuple[Numbered, dict[str, ObjectModel], str]:
    """Images of a dataset drawn by `seed`, by number; its objects; and a line about it."""
    data = Dataset.open(path)
    chosen = np.random.default_rng(seed).choice(len(data), min(count, len(data)), replace=False)
    about = data.attributes
    facts = f"{len(chosen)} of {len(data)} images; seed {about.get('seed')}, code {about.get('code_version')}"
    return [(data.number(int(index)), data[int(index)]) for index in np.sort(chosen)], records(path), facts


def rendered(path: Path, count: int, seed: int) -> tuple[Numbered, dict[str, ObjectModel], str]:
    """Images of a dataset that a configuration would make; its objects; and a line about it."""
    from dope_datagen.generation.job import Order, Worker
    from dope_datagen.scenes.config import load_config
    from dope_ros2.objects.object_model import load_objects, pick

    config = load_config(path)
    models = {model.name: model for model in pick(load_objects(), list(config.objects))}
    numbers = spread(count, config.nb_frames)
    worker = Worker(Order(config, models, numbers[-1] + 1, seed))
    facts = f"{count} images of this configuration, seed {seed}"
    return [(number, worker.sample(number)) for number in numbers], models, facts


def spread(count: int, nb_frames: int) -> list[int]:
    """Numbers of images that show more than one arrangement of things, and each from a few sides."""
    views = min(nb_frames, VIEWS)
    return [k // views * nb_frames + k % views for k in range(count)]


def output_files(out: Path) -> tuple[Path, Path]:
    """Where the sheet and the page go.

    Raises:
        UserError: the suffix is neither an image's nor a page's.
    """
    suffix = out.suffix.lower()
    if suffix not in (*PICTURES, PAGE):
        raise UserError(f"--out {out}: the suffix {out.suffix!r} is not one of {', '.join(PICTURES)}, {PAGE}")
    return (out.with_suffix(".jpg"), out) if suffix == PAGE else (out, out.with_suffix(PAGE))


def shown(pictures: Numbered, models: Mapping[str, ObjectModel], plain: bool) -> list[PageImage]:
    """The images as they are to be shown, with their labels drawn unless `plain`."""
    return [PageImage(number, s, s.rgb if plain else annotated(s, models)) for number, s in pictures]


@command("dope preview")
def main(
    source: Annotated[Path, typer.Argument(help=f"a dataset, or a configuration such as {EXAMPLE}")],
    out: Annotated[Path, typer.Option(help="the sheet (.jpg, .png); the page gets the same name with .html")],
    count: Annotated[int, typer.Option(min=1, max=400, help="how many images")] = 24,
    columns: Annotated[int, typer.Option(min=1, max=20, help="columns of the sheet")] = 4,
    seed: Annotated[int, typer.Option(help="seed that chooses the images")] = 0,
    plain: Annotated[bool, typer.Option("--plain", help="do not draw the labels")] = False,
    models: Annotated[Path | None, typer.Option(help="folder that meshes in objects.yaml are relative to")] = None,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
) -> None:
    """Draw a sheet of labelled images, and write a web page of them with all labels in figures."""
    picture_file, page_file = output_files(out)
    use_objects(objects_file, models)
    pictures, known, facts = (stored if source.is_dir() else rendered)(source, count, seed)
    all_shown = shown(pictures, known, plain)
    encoded = cv2.imencode(picture_file.suffix, sheet([s.image for s in all_shown], columns)[..., ::-1])[1]
    for path, content in ((picture_file, encoded.tobytes()), (page_file, page(source.name, facts, all_shown).encode())):
        files.write_bytes(path, content)
        print(path)
