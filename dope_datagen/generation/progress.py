"""How far a dataset is: a bar for who watches, one line a shard for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from tqdm import tqdm


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], object]]:
    """Gives what to call with the number of images that have just been finished, of `total`."""
    if sys.stderr.isatty():
        with tqdm(total=total, unit="img", smoothing=0.05, mininterval=1.0) as bar:
            yield bar.update
    else:
        yield ProgressLog(total).add


class ProgressLog:
    """Writes a line to standard error whenever images have been finished."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._start = total, 0, time.monotonic()

    def add(self, count: int) -> None:
        """Count images and say how fast they come and how long the rest will take."""
        self._done += count
        rate = self._done / max(time.monotonic() - self._start, 1e-6)
        left = timedelta(seconds=round((self._total - self._done) / rate))
        print(f"{self._done} of {self._total} images, {rate:.3g} images/s, {left} left", file=sys.stderr, flush=True)
