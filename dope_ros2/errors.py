"""The one exception whose message is meant for the person at the robot."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """Something the user can mend; the message says what, where, what is allowed and what to do."""


def closest(word: str, known: Iterable[str]) -> str:
    """Return a hint such as "; did you mean 'carton'?" or, with nothing close, the known names."""
    known = sorted(known)
    if match := get_close_matches(word, known, n=1):
        return f"; did you mean {match[0]!r}?"
    return f"; known: {', '.join(known) or 'none'}"
