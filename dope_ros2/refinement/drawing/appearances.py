"""The appearances of a network's objects: read with its weights, or made from meshes and put there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.network.weights import SIZE_TOLERANCE, Arrays, appearance_file, read_appearances, write_appearances
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.refinement.drawing.appearance import NORMAL_LEVER, Appearance, mean_of_nearest
from dope_ros2.refinement.drawing.mesh_appearance import of_object

CLOSE_TOGETHER = 16  # elements
INEXACT = 0.001  # [m] that a size or a centre may differ besides
STRONG_PRINT, WEAK_PRINT = 15.0, 3.0  # [sRGB levels] of contrast: printed boxes have 19 to 33, a bottle with a label 10


@dataclass(frozen=True, eq=False)
class Appearances(Mapping[str, Appearance]):
    """What objects look like, by their names.

    Attributes:
        of: those that there are.
        notes: a line for each object that there is none of, or not the one that a file keeps, and why.
    """

    of: dict[str, Appearance]
    notes: list[str]

    def __getitem__(self, name: str) -> Appearance:
        return self.of[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.of)

    def __len__(self) -> int:
        return len(self.of)


def load_appearances(path: Path, models: Iterable[ObjectModel]) -> Appearances:
    """The appearances that a network's file keeps; of objects that it keeps none of, those of their meshes.

    Nothing that is wrong with one raises an error: its object is found all the same, but its poses are not refined.

    Args:
        path: of weights, or of a network that `dope export` wrote.
        models: records of the objects.
    """
    try:
        stored, missing = read_appearances(path), f"none in {appearance_file(path)}"
    except UserError as error:
        stored, missing = {}, str(error)
    return _gathered((model, *_one(model, stored.get(model.name), path, missing)) for model in models)


def make_appearances(models: Iterable[ObjectModel]) -> Appearances:
    """The appearances of objects, made from the meshes that objects.yaml names, as far as these can be used."""
    return _gathered((model, *_made(model)) for model in models)


def put_appearances(path: Path, models: Iterable[ObjectModel], start: Path | str | None = None) -> Appearances:
    """Make appearances from meshes and put them into a network's file, where those of other objects stay.

    Args:
        path: of weights, or of a network that `dope export` wrote; changed in place, whole or not at all.
        models: records of the objects.
        start: weights that lend theirs for objects whose mesh cannot be used; anything else lends none.

    Returns:
        Those that were made; a note says where an older one stays.

    Raises:
        UserError: the file cannot be read or written.
    """
    models = list(models)
    lent: dict[str, Arrays] = {}
    with suppress(UserError):
        lent = read_appearances(Path(start or ""))
    older = {m.name: lent[m.name] for m in models if m.name in lent} | read_appearances(path)
    made = make_appearances(models)
    write_appearances(path, older | {name: appearance.arrays() for name, appearance in made.items()})
    names = [model.name for model in models if model.name not in made]
    notes = [
        f"{note}; an older one stays" if name in older else note
        for name, note in zip(names, made.notes, strict=True)
    ]  # fmt: skip
    return Appearances(made.of, notes)


def print_contrast(appearance: Appearance) -> float:
    """How much texture an object has: the standard deviation of colours that lie close together [sRGB levels].

    0 for a plain surface, however its parts are coloured; texts and pictures have 15 and more.
    """
    elements = appearance.levels[0]
    places = np.hstack([elements.points, NORMAL_LEVER * appearance.diameter * elements.normals])
    moments = np.hstack([elements.colors, elements.colors**2])
    means = mean_of_nearest(places[: max(len(places) // CLOSE_TOGETHER, 1)], places, moments)
    variances = np.maximum(means[:, 3:] - means[:, :3] ** 2, 0)
    return float(np.sqrt(variances.mean(1)).mean())


def summary_of(appearance: Appearance) -> str:
    """A line about an appearance: how large, how fine, and whether its print helps."""
    arrays, contrast = appearance.arrays(), print_contrast(appearance)
    print_is = "strong" if contrast >= STRONG_PRINT else "weak" if contrast >= WEAK_PRINT else "none (plain surface)"
    return (
        f"{len(appearance.points):,} elements, {sum(a.nbytes for a in arrays.values()) / 1024:.0f} KiB, "
        f"{1000 * appearance.levels[0].spacing:.1f} mm apart, print: {print_is}"
    )


def _gathered(each: Iterable[tuple[ObjectModel, Appearance | None, str]]) -> Appearances:
    rows = list(each)
    found = {model.name: appearance for model, appearance, _ in rows if appearance is not None}
    return Appearances(found, [f"appearance of {model.name}: {note}" for model, _, note in rows if note])


def _one(model: ObjectModel, arrays: Arrays | None, path: Path, missing: str) -> tuple[Appearance | None, str]:
    """The stored appearance of an object, or else its mesh's, or none, and a note."""
    if arrays is None:
        made, why = _made(model)
        return made, f"{missing}; {why}" if why else ""
    where = f"{appearance_file(path)}: {model.name}"
    try:
        return _fitting(Appearance.from_arrays(arrays, where), model, where), ""
    except UserError as error:
        made, _ = _made(model)
        return made, f"{error}" if made is None else f"{error}; made from its mesh"


def _made(model: ObjectModel) -> tuple[Appearance | None, str]:
    """The appearance of an object's mesh, or why there is none."""
    try:
        return _fitting(of_object(model), model, str(model.mesh_path)), ""
    except UserError as error:
        return None, str(error)


def _fitting(appearance: Appearance, model: ObjectModel, where: str) -> Appearance:
    """See that an appearance is of its object's size, since poses are refined to the size that it has.

    Raises:
        UserError: it is not.
    """
    size, centre = appearance.box.size, appearance.box.centre
    resized = np.abs(size - model.size) > SIZE_TOLERANCE * np.array(model.size) + INEXACT
    moved = np.abs(centre - model.centre) > SIZE_TOLERANCE * model.diameter + INEXACT
    if resized.any() or moved.any():
        raise UserError(
            f"{where}: has size {size.round(4).tolist()} and centre {centre.round(4).tolist()} [m], but {model.source} "
            f"says {list(model.size)} and {list(model.centre)}; correct these, or make the appearance again with "
            "`dope assets appearance`"
        )
    return appearance
