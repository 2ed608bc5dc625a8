"""Why a run may end before its last step: its time is over, or the process is told to end."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType

from dope_ros2.common.errors import UserError

TIME_IS_OVER, SIGNALLED = 1, 2
SIGNALS = (signal.SIGTERM, signal.SIGINT)
REPEAT_SECONDS = 2.0  # [s]; a launcher may pass on a signal that the process had itself, but not so late


class Stop:
    """Asked once a step; `code` is above 0 when the run should end."""

    def __init__(self, limit: timedelta | None = None) -> None:
        self._end = None if limit is None else time.monotonic() + limit.total_seconds()
        self.signal, self._at = 0, 0.0

    @property
    def code(self) -> int:
        """SIGNALLED after a signal, TIME_IS_OVER past the time limit, else 0."""
        if self.signal:
            return SIGNALLED
        return TIME_IS_OVER if self._end is not None and time.monotonic() >= self._end else 0

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.signal and time.monotonic() - self._at > REPEAT_SECONDS:  # asked again: end at once
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not self.signal:
            self.signal, self._at = number, time.monotonic()

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """Take SIGTERM and Ctrl-C as a wish to end; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def parse_duration(text: str) -> timedelta:
    """Read HH:MM:SS, such as 8:45:00.

    Raises:
        UserError: it is written otherwise, or zero.
    """
    match = re.fullmatch(r"(\d+):([0-5]?\d):([0-5]?\d)", text.strip())
    hours, minutes, seconds = map(int, match.groups()) if match else (0, 0, 0)
    duration = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not duration:
        raise UserError(f"time {text!r}: write it as HH:MM:SS, such as 8:45:00")
    return duration
