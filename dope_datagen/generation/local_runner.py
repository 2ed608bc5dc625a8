"""Shards shared out among processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from dope_datagen.generation.job import Job, Runner
from dope_datagen.generation.process_pool import map_unordered, use_one_core

_do: Callable[[int], int] | None = None  # of this process


def with_processes(workers: int) -> Runner:
    """Shares shards out among at most so many processes of this machine; one is this process."""
    return partial(_run, workers=workers)


def _run(job: Job, todo: list[int], workers: int) -> Iterator[int]:
    if workers <= 1 or len(todo) <= 1:
        yield from map(job.begin(), todo)
    else:
        yield from map_unordered(_shard, [(shard,) for shard in todo], workers, _start, (job,))


def _start(job: Job) -> None:
    global _do
    use_one_core()
    _do = job.begin(threads=1)


def _shard(shard: int) -> int:
    return _do(shard)
