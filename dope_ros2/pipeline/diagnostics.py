"""Is a camera's way through the node in order? Plain values, for `/diagnostics`."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from dope_ros2.engines.registry import Engine
from dope_ros2.pipeline.deliveries import Deliveries

MAX_REMEMBERED, MAX_ROUND = 100, 10  # images; of them, those whose longest time may come again
RECENT = 5.0  # of which the rate is told [s]
START, MIN_SILENCE, FIRST_SILENCE = 0.5, 1.0, 10.0  # silence that is told: at the start, later, after one image [s]
PERIODS_OF_SILENCE = 3  # of the camera
MAX_LOSS = 0.05  # share of the images that may be lost on the way
MAX_AGE, MIN_AGE = 1.0, -0.1  # ages of images that make one think of the clocks [s]
MAX_PROCESSING_TIME = 0.5  # what an image may take [s]
MIN_FREE_MEMORY = 0.05  # of the GPU's memory


class Level(IntEnum):
    """As in diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Condition:
    """How something is: a level, a line for people, figures by name, and what it is about, such as a topic."""

    level: Level
    message: str
    values: dict[str, str] = field(default_factory=dict)
    source: str = ""


def engine_condition(engine: Engine) -> Condition:
    """How the network is run, and why nothing faster does, if so."""
    name, fallback, memory = engine.name, engine.fallback, engine.memory()
    values = {"engine": name}
    if memory:
        free, total = memory
        values |= {"gpu_memory_used_mib": f"{(total - free) >> 20}", "gpu_memory_mib": f"{total >> 20}"}
        if free < MIN_FREE_MEMORY * total:
            text = f"only {free >> 20} of {total >> 20} MiB of GPU memory are free; end other programs on the GPU"
            return Condition(Level.WARN, text, values, name)
    if fallback:
        return Condition(Level.WARN, f"{name}, since others do not work: {fallback}", values, name)
    return Condition(Level.OK, name, values, name)


class CameraHealth:
    """What happened to the images of one camera lately. All times are seconds of one clock that never goes back.

    Attributes:
        deliveries: what became of its messages before they were handled.
    """

    def __init__(self, topic: str, now: float, deliveries: Deliveries | None = None) -> None:
        self._topic, self._since = topic, now
        self.deliveries = deliveries or Deliveries()
        self._arrivals: deque[float] = deque(maxlen=MAX_REMEMBERED)
        self._ages: deque[float] = deque(maxlen=MAX_REMEMBERED)
        self._times: deque[float] = deque(maxlen=MAX_REMEMBERED)
        self._stages: dict[str, deque[float]] = {}
        self._fault = ""
        self._counts = {"images": 0, "looked_at": 0, "refused": 0}

    def arrived(self, now: float) -> None:
        """An image has come."""
        self._arrivals.append(now)
        self._counts["images"] += 1

    def looked(self, age: float, seconds: float, stages: Mapping[str, float] | None = None) -> None:
        """It was so old when work on it began, took so long, in these stages, and nothing was wrong."""
        self._ages.append(age)
        self._times.append(seconds)
        for name, spent in (stages or {}).items():
            self._stages.setdefault(name, deque(maxlen=MAX_REMEMBERED)).append(spent)
        self._fault = ""
        self._counts["looked_at"] += 1

    def failed(self, fault: str) -> None:
        """It could not be used."""
        self._fault = fault
        self._counts["refused"] += 1

    def busy(self) -> float:
        """How long the node may be at one of its images [s]."""
        return max(list(self._times)[-MAX_ROUND:], default=0.0)

    def silence(self, now: float, slack: float = 0.0) -> float | None:
        """How long no image has come [s], where that is longer than it should be; None: all is well.

        `slack`: how long one may have waited to be handled [s].
        """
        known = (self.deliveries.last, *list(self._arrivals)[-1:])
        last = max((time for time in known if time is not None), default=None)
        seconds = now - (self._since if last is None else last)
        patience = START if last is None else self._patience()
        return seconds if seconds > patience + slack else None

    def has_come(self) -> bool:
        """Whether there has been an image."""
        return bool(self._arrivals)

    def condition(self, now: float, idle: str = "", slack: float = 0.0, remedy: str = "") -> Condition:
        """How it is now.

        Args:
            now: [s].
            idle: why no images are looked at, if so.
            slack: how long an image may have waited to be handled [s].
            remedy: what helps against loss.
        """
        self.deliveries.snapshot(now)
        level, message = (Level.OK, idle) if idle else self._judged(now, slack, remedy)
        return Condition(level, message, self._values(now), self._topic)

    def _judged(self, now: float, slack: float, remedy: str) -> tuple[Level, str]:
        silence, loss = self.silence(now, slack), self.deliveries.loss()
        if silence is not None and not self.has_come():
            return Level.ERROR, f"{self._topic}: no image yet; is the camera running, and does it publish this topic?"
        if silence is not None:
            return Level.ERROR, f"{self._topic}: no image for {silence:.1f} s; is the camera still running?"
        if self._fault:
            return Level.ERROR, self._fault.split("\n")[0]
        if loss > MAX_LOSS:
            return Level.WARN, self.loss_told(remedy)
        age, seconds = (times[-1] if times else 0.0 for times in (self._ages, self._times))
        if age > MAX_AGE:
            return Level.WARN, f"{self._topic}: images are {age:.1f} s old; compare the machines' clocks"
        if age < MIN_AGE:
            return Level.WARN, f"{self._topic}: stamps are {-age:.1f} s in the future; compare the machines' clocks"
        if seconds > MAX_PROCESSING_TIME:
            return Level.WARN, f"an image takes {seconds:.1f} s; lower input_height, name fewer objects, or use a GPU"
        return Level.OK, "looking at images"

    def loss_told(self, remedy: str) -> str:
        """How many images are lost, and what helps."""
        return f"{self._topic}: {100 * self.deliveries.loss():.0f} % of the images are lost on the way; {remedy}"

    def _patience(self) -> float:
        """How long the camera may be silent [s]: some of its own periods, whatever the node had time for."""
        period = self.deliveries.period()
        if period is None and len(self._arrivals) > 1:
            period = float(np.median(np.diff(self._arrivals)))
        return FIRST_SILENCE if period is None else max(MIN_SILENCE, PERIODS_OF_SILENCE * period)

    def _values(self, now: float) -> dict[str, str]:
        """Counts since the start; rate of the last seconds; age and time of the last images [ms]."""
        recent = [t for t in self._arrivals if now - t <= RECENT]
        span = max(recent[-1] - recent[0], 1e-3) if len(recent) > 1 else np.inf
        counts = self.deliveries.counts()
        values = (
            {"topic": self._topic}
            | {name: str(count) for name, count in self._counts.items()}
            | {
                "displaced": str(counts.displaced),
                "lost": str(counts.lost),
                "images_per_s": f"{(len(recent) - 1) / span if len(recent) > 1 else 0:.1f}",
                "published_per_s": f"{self.deliveries.rate():.1f}",
            }
        )
        for name, times in ({"age": self._ages, "time": self._times} | self._stages).items():
            if times:
                p50, p95 = 1e3 * np.percentile(times, (50, 95))
                values |= {f"{name}_ms_p50": f"{p50:.1f}", f"{name}_ms_p95": f"{p95:.1f}"}
        return values


class DepthHealth:
    """Whether depth images have been of use."""

    def __init__(self) -> None:
        self._counts = Counter(with_depth=0, without_depth=0, corrected=0, left_as_they_were=0)
        self._message, self._fault = "no image looked at yet", ""

    def served(self, corrected: int, left: int) -> None:
        """One has corrected so many detections of an image, and left others as they were."""
        self._counts.update(with_depth=1, corrected=corrected, left_as_they_were=left)
        self._message, self._fault = "correcting ranges", ""

    def missing(self, fault: str) -> None:
        """There was none for an image, or it could not be used."""
        self._fault = fault
        self._counts["without_depth"] += 1

    def condition(self, idle: str = "") -> Condition:
        """How it is now; `idle` says why no images are looked at, if so."""
        level = Level.WARN if self._fault and not idle else Level.OK
        values = {name: str(count) for name, count in self._counts.items()}
        return Condition(level, idle or self._fault or self._message, values)
