"""How shards are shared out: among processes of this machine, or by Apache Beam."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from dope_datagen.generation.process_pool import cores, share_out
from dope_ros2.common.errors import UserError

if TYPE_CHECKING:
    from dope_datagen.generation.generate import Job

Runner: TypeAlias = "Callable[[Job, list[int]], Iterator[int]]"  # does shards; yields how many pictures are finished
_do: Callable[[int], int] | None = None  # of this process


class Sharing(StrEnum):
    """What --runner names."""

    LOCAL = "local"
    BEAM = "beam"


def runner_of(sharing: Sharing, workers: int, options: Sequence[str]) -> Runner:
    """What shares shards out.

    Args:
        sharing: how.
        workers: how many processes, one per core if 0.
        options: those of Apache Beam.

    Raises:
        UserError: Beam is not installed or does not know an option, or there are options without Beam.
    """
    if sharing is Sharing.BEAM:
        try:
            from dope_datagen.generation import beam_runner
        except ModuleNotFoundError as error:
            raise UserError(
                f"--runner beam needs the Python package {error.name!r}; pip install 'apache-beam>=2.71'"
            ) from error
        return beam_runner.runner(options, workers)
    if options:
        raise UserError(f"{options[0]!r} is one argument too many; only --runner beam takes options after --")
    return with_processes(workers or cores())


def with_processes(workers: int) -> Runner:
    """Shares shards out among at most so many processes of this machine; one is this process."""
    return partial(_run, workers=workers)


def share_cores() -> None:
    """Let this process use one core, since others use the rest; to be called before OpenGL starts."""
    import cv2

    cv2.setNumThreads(1)
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of the software rasteriser


def _run(job: Job, todo: list[int], workers: int) -> Iterator[int]:
    if workers <= 1 or len(todo) <= 1:
        yield from map(job.begin(), todo)
    else:
        yield from share_out(_shard, [(shard,) for shard in todo], workers, _start, (job,))


def _start(job: Job) -> None:
    global _do
    share_cores()
    _do = job.begin(threads=1)


def _shard(shard: int) -> int:
    return _do(shard)
