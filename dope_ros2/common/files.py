"""Files that are written whole or not at all; temporary names, and what killed processes leave under them.

What is written goes into a temporary folder beside its target first and is renamed when it is complete. The folder's
name says which process on which machine writes there, so that two never meet, and the next writer of the same target
removes what a killed one has left.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from dope_ros2.common.errors import UserError, one_line

STALE_AFTER = 3600.0  # [s]; no shard is written for as long as that
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)
MAX_NAME_LENGTH = 50  # characters of a target's name in a temporary one; file systems allow 255 bytes

_numbers = count()  # of what this process writes
_written_now: set[str] = set()  # names of the temporary folders that this process writes into


class WriteError(UserError):
    """Something could not be written; the message says what and why.

    Attributes:
        path: what was to be written.
        reason: the system's word for it, such as "No space left on device".
        disk_full: whether room is what is missing.
    """

    path: Path
    reason: str
    disk_full: bool


def write_error(path: Path, error: OSError, more: str = "") -> WriteError:
    """The user's view of a file or folder that did not take what was to be written; `more` ends the message."""
    reason = error.strerror or one_line(error)
    if error.errno in DISK_FULL:
        advice = "make room and run the same command again"
    elif error.errno in NOT_ALLOWED:
        advice = "give a folder that you may write to, or change its permissions"
    else:
        advice = "mend this and run the same command again"
    told = WriteError(f"{path}: cannot be written ({reason}); {advice}{more}")
    told.path, told.reason, told.disk_full = path, reason, error.errno in DISK_FULL
    return told


@contextmanager
def replacing(target: Path, *, flush: bool = True) -> Iterator[Path]:
    """A path to write a file or a folder at; it becomes `target` when the block has ended well, else it is removed.

    Args:
        target: what is to be there afterwards; a file of that name is replaced at once, a folder must not be there
            or be empty. Folders above it are made.
        flush: have a file's content on the disk before it gets its name, and remove what killed processes have left;
            False for one of many files that can be made again, where either takes longer than the writing.

    Raises:
        WriteError: it cannot be written; what was there before is still there, whole.
    """
    target = Path(target)
    prefix = f".{target.name[:MAX_NAME_LENGTH]}"
    folder = target.parent / temporary_name(str(next(_numbers)), prefix)
    _written_now.add(folder.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if flush:
            remove_stale(target.parent, prefix)
        remove(folder)  # a killed process may have had the same number
        folder.mkdir()
        yield folder / target.name
        (replace if flush else os.replace)(folder / target.name, target)
    except WriteError as error:
        if folder not in error.path.parents:
            raise
        raise _about(target, error) from error
    except (OSError, RuntimeError) as error:  # PyTorch's is a RuntimeError that an OSError has caused
        if (cause := _system_error(error)) is None:
            raise
        raise write_error(target, cause) from error
    finally:
        remove(folder)
        _written_now.discard(folder.name)


@contextmanager
def open_replacing(target: Path, *, flush: bool = True) -> Iterator[BinaryIO]:
    """As `replacing`, with the file open for writing."""
    with replacing(target, flush=flush) as temporary, temporary.open("wb") as file:
        yield file


def write_bytes(path: Path, data: bytes, *, flush: bool = True) -> None:
    """Write a file whole or not at all; arguments and errors are those of `replacing`."""
    with open_replacing(path, flush=flush) as file:
        file.write(data)


def write_text(path: Path, text: str, *, flush: bool = True) -> None:
    """Write a file in UTF-8 whole or not at all; arguments and errors are those of `replacing`."""
    write_bytes(path, text.encode(), flush=flush)


def write_json(path: Path, value: object, *, indent: int | None = 1, flush: bool = True) -> None:
    """Write a JSON file whole or not at all; arguments and errors are those of `replacing`."""
    write_text(path, json.dumps(value, indent=indent) + "\n", flush=flush)


def new_folder(path: Path) -> None:
    """Make a folder for results, unless it is there.

    Raises:
        UserError: it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made a folder ({error.strerror}); choose another --out") from error
    if not os.access(path, os.W_OK):
        raise UserError(f"{path}: cannot be written; choose another --out")


def temporary_name(what: str, prefix: str = "") -> str:
    """A temporary name that says which process on which machine writes there."""
    return f"{prefix}.partial-{what}-{os.getpid()}@{socket.gethostname()}"


def is_stale(path: Path) -> bool:
    """Whether nobody writes there any more: its process has ended, or nothing in it has been touched for an hour.

    A process of another machine cannot be asked, so there only the age counts. Names without a process are of older
    versions.
    """
    if path.name in _written_now:
        return False
    head, host = path.name.rsplit("@", 1) if "@" in path.name else (path.name, "")
    process = head.rpartition("-")[2]
    try:
        old = time.time() - _touched(path) > STALE_AFTER
    except FileNotFoundError:
        return False
    if old or not process.isdigit():
        return True
    return host in ("", socket.gethostname()) and not (int(process) != os.getpid() and _is_running(int(process)))


def remove_stale(folder: Path, prefix: str | None = None) -> None:
    """Remove what is stale in a folder and has a temporary name: any, or one with this prefix."""
    for path in folder.iterdir():
        before, partial, _ = path.name.partition(".partial")
        ours = path.name.startswith(".") if prefix is None else before == prefix
        if partial and ours and is_stale(path):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, as far as it is there and can be removed."""
    shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink()


def replace(file: Path, target: Path) -> None:
    """Put a written file in its place, whole: its content is on the disk before it gets the name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(file, target)


def _about(target: Path, error: WriteError) -> WriteError:
    """An error about a file in a temporary folder as one about what the folder is for."""
    told = WriteError(str(error).replace(str(error.path), str(target), 1))
    told.path, told.reason, told.disk_full = target, error.reason, error.disk_full
    return told


def _system_error(error: BaseException | None) -> OSError | None:
    """The operating system's error behind another one, if there is one."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _touched(path: Path) -> float:
    """When a file, or anything in a folder, was last changed [s since 1970]."""
    times = [path.stat().st_mtime]
    for inner in path.rglob("*"):
        with suppress(OSError):
            times.append(inner.stat().st_mtime)
    return max(times)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
