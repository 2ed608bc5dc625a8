"""The one exception whose message is meant for the person at the robot."""

from collections.abc import Iterable
from difflib import get_close_matches

MAX_VALUE_LENGTH, MAX_LINE_LENGTH = 80, 300  # characters of a value, and of what somebody else's code has to say


class UserError(ValueError):
    """Something the user can mend; the message says what, where, what is allowed and what to do."""


def closest(word: str, known: Iterable[str]) -> str:
    """Return a hint such as "; did you mean 'carton'?" or, with nothing close, the known names."""
    known = sorted(known)
    if match := get_close_matches(word, known, n=1):
        return f"; did you mean {match[0]!r}?"
    return f"; known: {', '.join(known) or 'none'}"


def short(value: object) -> str:
    """A value as Python writes it, cut where it is long."""
    return _cut(repr(value), MAX_VALUE_LENGTH)


def one_line(text: object) -> str:
    """An exception or another text without its line breaks, cut where it is long."""
    return _cut(" ".join(str(text).split()), MAX_LINE_LENGTH)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}..."
