"""Ctrl-C and SIGTERM end a node's process with status 0, whatever it is doing, also when they come twice.

A terminal sends Ctrl-C to `ros2 launch` and to its nodes, and launch passes it on to them: every node gets it twice.
Before ROS is up the process ends at once; then the first signal raises KeyboardInterrupt, and those that follow do
nothing. rclpy's own handlers are not installed: they shut ROS down before a node can publish that it ends.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import cache
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
BEFORE_ROS, RUNNING, STOPPING = range(3)
_phase = BEFORE_ROS
_status: int | None = None  # with which to end at once, when Python has ended what it knows of


def watch() -> None:
    """Let the signals end the process with status 0 from now on; to be called before what takes long to import."""
    _end_last()
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, _on_signal)


def ros_is_up() -> None:
    """From now on the first signal raises KeyboardInterrupt, so that what is open gets closed."""
    global _phase
    _phase = RUNNING


def call_on_signal(end: Callable[[], object]) -> None:
    """Call `end` from another thread when a signal comes.

    It has to end the main thread's wait, during which Python calls no handler, and whatever goes on afterwards if the
    interrupt was swallowed, as in a destructor.
    """
    if threading.current_thread() is threading.main_thread():
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=lambda: os.read(reading, 1) and end(), daemon=True).start()


def stop() -> None:
    """From now on signals do nothing: the process is ending already."""
    global _phase
    _phase = STOPPING


def stopping() -> bool:
    """Whether the process is ending, on a signal or by itself."""
    return _phase == STOPPING


def ignore() -> None:
    """Let signals do nothing while the interpreter ends, too, when Python's handlers are no longer called."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def without_destructors(status: int) -> int:
    """Return an exit status, with which the process will end before the destructors of its libraries.

    Those of an inference engine can take five seconds, after which `ros2 launch` sends SIGTERM.
    """
    global _status
    _status = status
    return status


@cache
def _end_last() -> None:
    """Register, once, what is called after everything that is registered later."""
    atexit.register(_end)


def _end() -> None:
    if _status is not None:
        gc.collect()  # of objects of ROS that refer to each other, so that DDS takes leave and removes its files
        sys.stdout.flush()
        sys.stderr.flush()
        ctypes.CDLL(None).fflush(None)  # what C libraries have written, such as ROS's log
        os._exit(_status)


def _on_signal(_: int, __: FrameType | None) -> None:
    if _phase == BEFORE_ROS:
        os._exit(0)  # nothing is open yet, and half an import is not to be unwound
    if _phase == RUNNING:
        stop()
        sys.unraisablehook = lambda _: None  # the interrupt may be raised where it cannot go on, as in a destructor
        raise KeyboardInterrupt
