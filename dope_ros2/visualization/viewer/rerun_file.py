"""A recording of the viewer rerun as a file (.rrd)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dope_ros2.common import files


@contextmanager
def saving(recording: object, out: Path, **options: object) -> Iterator[None]:
    """Have what is logged within go to a file, which is there, whole, when the block has ended well.

    Args:
        recording: a `rerun.RecordingStream`, or the module `rerun` for the recording that `rerun.init` has begun.
        out: the file.
        options: of its `save`, such as `default_blueprint`.

    Raises:
        UserError: the file cannot be written.
    """
    with files.replacing(out) as temporary:
        temporary.touch()  # what rerun says of a file that it cannot write is not an OSError
        recording.save(temporary, **options)
        yield
        recording.disconnect()
