"""The newest messages, for a stretch of time and a number of bytes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True, eq=False)
class BufferedMessage:
    """A message.

    Attributes:
        time: when it was kept [ns]; no two have the same.
        topic, message: what it is.
        size: of the message [bytes].
        lasts: it holds until the next one of its topic.
    """

    time: int
    topic: str
    message: object
    size: int
    lasts: bool = False


class RingBuffer:
    """Keeps references, no copies; the oldest goes first."""

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """`clock` gives nanoseconds and never goes back; the times of messages begin at the system's."""
        self._clock, self._ahead = clock, time.time_ns() - clock()
        self._kept: deque[BufferedMessage] = deque()
        self._lasting: dict[str, BufferedMessage] = {}
        self._bytes, self._newest = 0, 0

    def keep(self, topic: str, message: object, size: int, *, lasts: bool = False) -> int:
        """Keep a message; returns the time by which it is known."""
        self._newest = max(self._clock() + self._ahead, self._newest + 1)
        self._kept.append(BufferedMessage(self._newest, topic, message, size, lasts))
        self._bytes += size
        return self._newest

    def trim(self, seconds: float, size: int) -> None:
        """Let go of what is not newer than this, and of so much that the rest has at most so many bytes."""
        oldest = self._newest - int(1e9 * seconds)
        while self._kept and (self._kept[0].time <= oldest or self._bytes > size):
            gone = self._kept.popleft()
            self._bytes -= gone.size
            if gone.lasts:
                self._lasting[gone.topic] = gone

    def clear(self) -> None:
        """Let go of everything that does not last."""
        self.trim(0, 0)

    def messages(self) -> list[BufferedMessage]:
        """All, the oldest first; what still held when the first came stands before it."""
        if not self._kept:
            return []
        first = self._kept[0].time
        lasting = [replace(old, time=first - n) for n, old in enumerate(self._lasting.values(), 1)]
        return [*reversed(lasting), *self._kept]
