"""The values of an entry of objects.yaml: what YAML is turned into, and what can be reckoned with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dope_ros2.common.errors import short

MAX_OFFSET = 1000.0  # [m], from the mesh's origin to anything of it
ROTATION_TOLERANCE = 0.01  # how far a rotation's columns may be from unit length and right angles


def is_place(values: Sequence[float]) -> bool:
    """Whether they are x, y and z [m]."""
    return len(values) == 3 and all(abs(value) <= MAX_OFFSET for value in values)


def is_motion(numbers: Sequence[float]) -> bool:
    """Whether they are the rows of a (4, 4) rotation and translation, nearly."""
    if len(numbers) != 16 or not np.abs(numbers).max() <= MAX_OFFSET:
        return False
    matrix = np.reshape(numbers, (4, 4))
    turn = matrix[:3, :3]
    straight = np.abs(turn.T @ turn - np.eye(3)).max() < ROTATION_TOLERANCE and np.linalg.det(turn) > 0
    return bool(straight and np.abs(matrix[3] - [0, 0, 0, 1]).max() < ROTATION_TOLERANCE)


def text(value: object) -> str:
    """It must be text."""
    if not isinstance(value, str):
        raise TypeError(f"{short(value)} is not text")
    return value


def triple(value: list) -> tuple[float, float, float]:
    """Three numbers."""
    if len(value) != 3:
        raise ValueError(f"{short(value)} has not three numbers")
    return tuple(float(v) for v in value)


def transforms(value: list) -> tuple[tuple[float, ...], ...]:
    """Matrices, each a list of numbers or of rows."""
    return tuple(tuple(float(v) for row in _rows(matrix) for v in row) for matrix in value)


def _rows(matrix: list) -> list:
    return matrix if isinstance(matrix, list) and matrix and isinstance(matrix[0], list) else [matrix]


def axes(value: list) -> tuple[dict[str, list[float]], ...]:
    """Mappings of an axis and perhaps an offset."""
    for entry in value:
        if not isinstance(entry, dict) or not {"axis"} <= entry.keys() <= {"axis", "offset"}:
            raise ValueError(f"each of symmetries_continuous has an axis and may have an offset, not {short(entry)}")
    return tuple({key: list(triple(numbers)) for key, numbers in entry.items()} for entry in value)
