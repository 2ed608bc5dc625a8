"""Objects of a recipe, of objects.yaml and of stores: the same ones, under the same names, of the same size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from dope_datagen.dataset.store import records
from dope_ros2.common.errors import UserError, closest
from dope_ros2.network.weights import SIZE_TOLERANCE
from dope_ros2.objects.object_model import ObjectModel

FACTORS = {100: "centimetres", 1000: "millimetres"}


def spelled(there: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Names of a store and which of `names` they mean; case counts only where a store has both spellings."""
    there, meant = set(there), {}
    for name in names:
        same = {name} & there or {other for other in there if other.casefold() == name.casefold()}
        meant |= dict.fromkeys(same, name)
    return meant


def missing(paths: list[Path], names: Iterable[str], there: Iterable[str]) -> Iterator[str]:
    """A line for each name that none of `there` means."""
    there = set(there)
    found = set(spelled(there, names).values())
    where = ", ".join(map(str, paths))
    yield from (f"{where}: no image of {name!r} in it{closest(name, there)}" for name in names if name not in found)


def contradictions(path: Path, models: Mapping[str, ObjectModel], source: str) -> Iterator[str]:
    """A line for each object of a store that is another one elsewhere.

    Args:
        path: the store.
        models: records to compare with, by name.
        source: where these come from.
    """
    own = records(path)
    for there, name in spelled(own, models).items():
        for what in ("size", "centre"):
            ours, theirs = np.array(getattr(models[name], what)), np.array(getattr(own[there], what))
            allowed = SIZE_TOLERANCE * (ours if what == "size" else models[name].diameter)
            if (abs(ours - theirs) > allowed).any():
                yield (
                    f"{path}: was made with another {name}: its {what} is {theirs.tolist()} m there and "
                    f"{ours.tolist()} m in {source}{_unit(ours, theirs)}; correct objects.yaml, or make the data again"
                )


def check_objects(paths: list[Path], names: list[str]) -> None:
    """Refuse stores that lack an object, or differ in one.

    Raises:
        UserError: naming the store, the object and both values.
    """
    known: dict[str, tuple[Path, ObjectModel]] = {}
    for path in paths:
        own = records(path)
        for there, name in spelled(own, names).items():
            first, model = known.setdefault(name, (path, own[there]))
            for line in contradictions(path, {name: model}, str(first)):
                raise UserError(line)
    for line in missing(paths, names, {name for path in paths for name in records(path)}):
        raise UserError(line)


def _unit(ours: np.ndarray, theirs: np.ndarray) -> str:
    """A mistaken unit that explains the difference, as the end of a clause."""
    if not ours.any() or not theirs.any():
        return ""
    ratio = float(np.linalg.norm(theirs) / np.linalg.norm(ours))
    for factor, unit in FACTORS.items():
        for value, where in ((ratio, "there"), (1 / ratio, "here")):
            if abs(value / factor - 1) < SIZE_TOLERANCE:
                return f" ({unit} {where}, by the looks of it)"
    return ""
