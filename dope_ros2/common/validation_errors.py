"""What pydantic says of a configuration, in words for the person who wrote it."""

from __future__ import annotations

from pydantic import ValidationError

from dope_ros2.common.errors import UserError, one_line, short


def refusal(where: str, error: ValidationError) -> UserError:
    """The first thing that is wrong with a configuration: where, which key, what is allowed and what was given.

    Our own validators say themselves what was given; what is missing was not.
    """
    first = error.errors()[0]
    key = "".join(f"{part}: " for part in first["loc"])
    given = "" if first["type"] in ("missing", "value_error") else f", not {short(first['input'])}"
    return UserError(f"{where}: {one_line(key + first['msg'].removeprefix('Value error, '))}{given}")
