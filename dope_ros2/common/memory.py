"""Memory that was freed goes back to the system; images come and go, and the holes between them add up."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress


def release_memory() -> None:
    """Give freed memory back, where the C library can; what the path tracer keeps for its next arrays too."""
    if "drjit" in sys.modules:
        sys.modules["drjit"].flush_malloc_cache()
    with suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL("libc.so.6").malloc_trim(0)
