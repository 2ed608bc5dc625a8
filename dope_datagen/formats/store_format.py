"""Our own store as a source and as a target of `dope convert`."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from dope_datagen.dataset import shard_state, store
from dope_datagen.dataset.store import SHARD, Dataset
from dope_datagen.formats.common import DatasetReader, FormatOptions, LabelledFrame
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import ObjectModel


def is_store(path: Path) -> bool:
    """Whether a folder is a store of ours."""
    return (path / "zarr.json").is_file()


def read(path: Path, known: dict[str, ObjectModel]) -> DatasetReader:
    """The finished images of a store; meshes are looked for in `known`, since a store has none."""
    data = Dataset.open(path)
    config = data.attributes["config"]
    models = [_model(entry, path, known) for entry in data.objects]
    width, height = config["width"], config["height"]
    pictures = [LabelledFrame(path, width, height, partial(data.__getitem__, index)) for index in range(len(data))]
    missing = data.attributes["images"] - len(data)
    problems = [f"{path}: {missing} images are not finished; {shard_state.remedy(path)}"] if missing else []
    findings = [f"{len(data)} images of a dataset of `dope generate`"]
    return DatasetReader(models, pictures, (path / "depth").is_dir(), findings, problems)


def of_one_size(source: DatasetReader) -> DatasetReader:
    """The images of the size that most have, since a store has one; the others become problems."""
    sizes = Counter((picture.width, picture.height) for picture in source.pictures)
    (width, height), _ = sizes.most_common(1)[0] if sizes else ((0, 0), 0)
    kept = [p for p in source.pictures if (p.width, p.height) == (width, height)]
    problems = [
        f"{p.path}: is {p.width}x{p.height}, most are {width}x{height}, and a dataset has one size; resize it"
        for p in source.pictures
        if (p.width, p.height) != (width, height)
    ]
    return replace(source, pictures=kept, problems=source.problems + problems)


def write(folder: Path, source: DatasetReader, options: FormatOptions) -> list[str]:
    """Write a store of images of one size, 256 a shard; there is nothing to be said about it."""
    width, height = source.pictures[0].width, source.pictures[0].height
    config = {"width": width, "height": height, "depth": source.depth, "jpeg_quality": options.quality}
    store.create(folder, len(source.pictures), 0, {**config, "converted": source.findings}, source.models)
    with tqdm(total=len(source.pictures), unit="img", mininterval=1.0) as bar:
        for start in range(0, len(source.pictures), SHARD):
            samples = [picture.load() for picture in source.pictures[start : start + SHARD]]
            store.write_shard(folder, start // SHARD, samples, options.quality)
            bar.update(len(samples))
    return []


def _model(entry: dict, path: Path, known: dict[str, ObjectModel]) -> ObjectModel:
    keys = {f.name for f in fields(ObjectModel)} - {"name", "source", "mesh"}
    name = str(entry.get("name"))
    model = ObjectModel.from_dict(name, {k: v for k, v in entry.items() if k in keys}, path / "zarr.json")
    now = known.get(name)
    if now is None or now.mesh is None:
        return model
    if (now.size, now.centre) != (model.size, model.centre):
        raise UserError(
            f"{now.source}: {name} has size {list(now.size)} and centre {list(now.centre)}, but {path} was made with "
            f"{list(model.size)} and {list(model.centre)}; give the objects.yaml that it was made with"
        )
    return replace(model, mesh=now.mesh, mesh_unit=now.mesh_unit, source=now.source)
