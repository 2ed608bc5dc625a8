"""What became of the messages of a topic: they arrived, newer ones displaced them, or they were lost on the way."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import NamedTuple

WINDOW = 10.0  # over which shares and rates are taken [s]
SNAPSHOT_PERIOD = 0.9  # between two of them in that time [s]
MAX_PERIODS = 20  # remembered, of the newest messages
MIN_LOST = 3  # fewer in WINDOW are not judged


class Counts(NamedTuple):
    """Messages since the start; each one published is one of the three."""

    arrived: int = 0
    displaced: int = 0
    lost: int = 0

    @property
    def published(self) -> int:
        """All that the publishers have sent since they were heard first."""
        return sum(self)


class Deliveries:
    """Counts by the publisher's sequence numbers and by the losses that the middleware reports.

    What is missing between two sequence numbers is lost where the middleware says so; else it did arrive, but a newer
    message took its place in the queue before anyone had time for it. All times are seconds of one clock that never
    goes back.
    """

    def __init__(self) -> None:
        self._arrived = self._lost = self._displaced = 0
        self._is_numbered = True
        self._previous: tuple[float, int | None] | None = None  # the newest message: when it came, its sequence number
        self._begins = True  # whether no snapshot has been taken since the first message of this publisher
        self._missing = self._missing_lost = 0  # between sequence numbers of this publisher; of them, or after, lost
        self._periods: deque[float] = deque(maxlen=MAX_PERIODS)
        self._snapshots: deque[tuple[float, Counts]] = deque()
        self.last: float | None = None  # when a message came, or the loss of one was reported

    def restart(self, publishers: int = 1) -> None:
        """Sequence numbers are those of other publishers, or another subscription, from now on."""
        self._is_numbered = publishers <= 1  # the numbers of several would be mixed up
        self._displaced, self._missing, self._missing_lost = self.counts().displaced, 0, 0
        self._previous, self._begins = None, True

    def take(self, now: float, sequence: int | None) -> None:
        """A message came at this time; `sequence`: of its publisher, None where the middleware does not number."""
        self._arrived += 1
        self.last = now
        before, number = self._previous, sequence if self._is_numbered and sequence else None
        if before and number and before[1] and number <= before[1]:  # a publisher that was started again
            self.restart()
        elif before:
            steps = number - before[1] if number and before[1] else 1
            self._missing += steps - 1
            self._periods.append((now - before[0]) / steps)
        self._previous = now, number

    def lose(self, now: float, count: int) -> None:
        """The middleware reports so many more as lost."""
        self._lost += count
        self._missing_lost += count
        self.last = now

    def counts(self) -> Counts:
        """What became of the messages until now."""
        return Counts(self._arrived, self._displaced + max(0, self._missing - self._missing_lost), self._lost)

    def period(self) -> float | None:
        """Median time between two messages that were published [s]; None before there are two."""
        return median(self._periods) if self._periods else None

    def snapshot(self, now: float) -> None:
        """To be called now and then, for `loss` and `rate`."""
        if self._begins and self._previous is not None:  # what was lost before the first message that came
            self._missing_lost, self._begins = min(self._missing_lost, self._missing), False
        if self._snapshots and now - self._snapshots[-1][0] < SNAPSHOT_PERIOD:
            return
        self._snapshots.append((now, self.counts()))
        while now - self._snapshots[0][0] > WINDOW:
            self._snapshots.popleft()

    def loss(self) -> float:
        """Share of the messages of the last WINDOW that were lost; 0 where they were too few to say."""
        before, after = self._ends()
        lost, published = after.lost - before.lost, after.published - before.published
        return min(1.0, lost / published) if lost >= MIN_LOST else 0.0

    def rate(self) -> float:
        """Messages that were published a second, of the last WINDOW [Hz]."""
        before, after = self._ends()
        seconds = self._snapshots[-1][0] - self._snapshots[0][0] if self._snapshots else 0.0
        return (after.published - before.published) / seconds if seconds else 0.0

    def _ends(self) -> tuple[Counts, Counts]:
        return (self._snapshots[0][1], self._snapshots[-1][1]) if self._snapshots else (Counts(), Counts())
