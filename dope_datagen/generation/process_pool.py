"""Work shared out among processes, which end when the one that started them does, even if it is killed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from dope_ros2.common.errors import UserError

_failed: UserError | None = None  # why this process could not be made ready


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def map_unordered(
    function: Callable, jobs: Sequence[tuple], workers: int, start: Callable | None = None, arguments: tuple = ()
) -> Iterator[Any]:
    """Call `function(*job)` for every job in several processes; yields the results as they come.

    Args:
        function: of a module, so that another process finds it.
        jobs: its arguments.
        workers: how many processes at most.
        start: called with `arguments` once in every process, before its first job.
        arguments: of `start`.

    Raises:
        UserError: raised by a job or by `start`, or a process was ended from outside.
    """
    if not jobs:
        return
    spawn = multiprocessing.get_context("spawn")  # a forked OpenGL context does not work
    count = min(workers, len(jobs))
    with ProcessPoolExecutor(count, spawn, initializer=_begin, initargs=(start, arguments)) as pool:
        try:
            waiting = {pool.submit(_call, function, job) for job in jobs}
            while waiting:
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ready)
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process has ended without a word, as when memory runs out; what is finished is kept: "
                f"run the same command again, with fewer than --workers {count}"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(start: Callable | None, arguments: tuple) -> None:
    global _failed
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        if start is not None:
            start(*arguments)
    except UserError as error:
        _failed = error


def _call(function: Callable, job: tuple) -> Any:  # noqa: ANN401  (whatever the function returns)
    if _failed is not None:
        raise _failed
    return function(*job)


def _end_with_parent() -> None:
    """A pool's process would wait for work for ever when its parent is killed."""
    multiprocessing.parent_process().join()
    os._exit(1)


def use_one_core() -> None:
    """Let this process use one core, since others use the rest; to be called before OpenGL starts."""
    import cv2

    cv2.setNumThreads(1)
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of the software rasteriser
