"""How long each stage of looking at an image takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

ORDER = ("convert", "preprocess", "network", "decode", "pnp", "refine", "track", "publish")


class StageTimer:
    """Seconds by stage since they were last taken."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time what is done within, also when it fails; stages may come up several times, but not within another."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    def take(self) -> dict[str, float]:
        """What has been measured, in the order of the work; measuring begins anew."""
        taken, self._seconds = self._seconds, {}
        return {name: taken[name] for name in ORDER if name in taken}
