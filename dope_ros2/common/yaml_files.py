"""YAML files, read with every mishap told in one line."""

from __future__ import annotations

from math import inf
from pathlib import Path

import yaml

from dope_ros2.common.errors import UserError, one_line

MAX_VALUES = 100_000  # values in a file; a few lines of aliases can mean more than a memory holds


def read_yaml(path: Path, hint: str) -> object:
    """What a file holds.

    Args:
        path: the file.
        hint: what to do where it cannot be read.

    Raises:
        UserError: it cannot be read, is not YAML, or means too much.
    """
    try:
        tree = yaml.safe_load(Path(path).read_text())
        size = _size(tree, {})
    except OSError as error:
        raise UserError(f"{one_line(path)}: cannot be read ({error.strerror}); {hint}") from error
    except Exception as error:  # what PyYAML's constructors raise depends on what they are given
        raise UserError(f"{one_line(path)}: not valid YAML: {one_line(error) or type(error).__name__}") from error
    if size > MAX_VALUES:
        raise UserError(
            f"{one_line(path)}: means more than {MAX_VALUES} values; is an alias (*name) used within itself?"
        )
    return tree


def _size(value: object, sizes: dict[int, float]) -> float:
    """How many values a tree has, those that aliases mean counted each time; infinite when it contains itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in sizes:
        sizes[id(value)] = inf
        inner = value.values() if isinstance(value, dict) else value
        sizes[id(value)] = 1 + sum(_size(each, sizes) for each in inner)
    return sizes[id(value)]
