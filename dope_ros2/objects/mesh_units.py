"""What a mesh file says of its object without an objects.yaml: its name, and its unit, which its size decides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import MAX_EDGE, UNITS

GRASPABLE = (0.015, 0.7)  # [m], longest edge of things that are picked
TYPICAL = 0.12  # [m]
CLEAR = 2.5  # times nearer to the typical size than in any other unit, and the verdict is sure
MIN_SIZE = 0.002  # [m]
GENERIC = ("textured", "textured_simple", "model", "mesh", "object", "untitled", "visual", "scene")


def name_from(path: Path) -> str:
    """A name for an object, from its file's or, where that says nothing, its folder's."""
    word = path.resolve().parent.name if path.stem.lower() in GENERIC else path.stem
    return re.sub(r"[^A-Za-z0-9_-]+", "_", word).strip("_-") or "object"


class Verdict(NamedTuple):
    """The unit of a file.

    Attributes:
        name: m, cm, mm, or a number of metres.
        factor: metres in one unit.
        reason: why this one, and what the others would mean.
        sure: whether no other unit gives a thing of plausible size.
    """

    name: str
    factor: float
    reason: str
    sure: bool


def judge(path: Path, longest: float, declared: float | None = None, chosen: str | None = None) -> Verdict:
    """Decide the unit of a file.

    Args:
        path: the file, for messages.
        longest: longest edge of its bounding box, in the file's unit.
        declared: metres in one unit, if the file says so.
        chosen: m, cm or mm, if the user says so.

    Raises:
        UserError: the object would be too large or too small in any unit, or in the chosen one.
    """
    if chosen is not None:
        return _chosen(path, longest, chosen)
    if declared is not None and _graspable(longest * declared):
        return Verdict(_name(declared), declared, f"the file says so; longest edge {metres(longest * declared)}", True)
    fitting = [unit for unit, factor in UNITS.items() if _graspable(longest * factor)]
    possible = fitting or [unit for unit, factor in UNITS.items() if MIN_SIZE <= longest * factor <= MAX_EDGE]
    if not possible:
        raise UserError(
            f"{path}: the longest edge of its bounding box is {longest:g} units, {_each(longest)}; an object has "
            f"{metres(MIN_SIZE)} to {metres(MAX_EDGE)}; scale the mesh and export it again"
        )
    off = {unit: abs(np.log(longest * factor / TYPICAL)) for unit, factor in UNITS.items()}
    best, second = sorted(off, key=off.get)[:2]
    best = best if best in possible else possible[0]
    reason = f"longest edge {metres(longest * UNITS[best])}; {_each(longest, best)}"
    if declared is not None:
        reason += f"; the file says {_name(declared)}, which would make it {metres(longest * declared)}"
    sure = len(fitting) == 1 and declared is None and off[second] - off[best] > np.log(CLEAR)
    return Verdict(best, UNITS[best], reason, bool(sure))


def metres(length: float) -> str:
    """A length [m] for a reader."""
    return f"{length:.3g} m" if length >= 1 or length == 0 else f"{length * 1000:.4g} mm"


def _chosen(path: Path, longest: float, unit: str) -> Verdict:
    if unit not in UNITS:
        raise UserError(f"--unit {unit!r} is not one of {', '.join(UNITS)}")
    length = longest * UNITS[unit]
    if not MIN_SIZE <= length <= MAX_EDGE:
        raise UserError(
            f"{path}: with --unit {unit} the longest edge of its bounding box is {metres(length)}; an object has "
            f"{metres(MIN_SIZE)} to {metres(MAX_EDGE)}; {_each(longest, unit)}"
        )
    return Verdict(unit, UNITS[unit], f"given with --unit; longest edge {metres(length)}", True)


def _graspable(length: float) -> bool:
    return GRASPABLE[0] <= length <= GRASPABLE[1]


def _name(factor: float) -> str:
    return next((unit for unit, known in UNITS.items() if np.isclose(known, factor)), f"{factor:g} m")


def _each(longest: float, without: str | None = None) -> str:
    lengths = {unit: longest * factor for unit, factor in UNITS.items() if unit != without}
    return ", ".join(f"{metres(length)} if {unit}" for unit, length in lengths.items())
