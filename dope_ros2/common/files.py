"""Temporary names inside a dataset, what killed processes leave under them, and folders that cannot be written."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

from dope_ros2.common.errors import UserError

STALE_AFTER = 3600.0  # [s]; no shard is written for as long as that
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)


def temporary_name(what: str, prefix: str = "") -> str:
    """A temporary name that says which process on which machine writes there."""
    return f"{prefix}.partial-{what}-{os.getpid()}@{socket.gethostname()}"


def is_stale(path: Path) -> bool:
    """Whether nobody writes there any more: its process has ended, or it has not been touched for an hour.

    A process of another machine cannot be asked, so there only the age counts. Names without a process are of older
    versions.
    """
    head, _, host = path.name.partition("@")
    process = head.rpartition("-")[2]
    try:
        old = time.time() - path.stat().st_mtime > STALE_AFTER
    except FileNotFoundError:
        return False
    if old or not process.isdigit():
        return True
    return host in ("", socket.gethostname()) and not (int(process) != os.getpid() and _is_running(int(process)))


def remove_stale(folder: Path, prefix: str = "") -> None:
    """Remove what is stale in a folder and has a temporary name with this prefix."""
    for path in folder.iterdir():
        if path.name.startswith(f"{prefix}.partial") and is_stale(path):
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


def write(target: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / temporary_name(target.name)
    try:
        partial.write_bytes(content)
        replace(partial, target)
    finally:
        remove(partial)


def write_error(path: Path, error: OSError) -> UserError:
    """The user's view of a folder that did not take what was to be written."""
    why = error.strerror or str(error)
    if error.errno in DISK_FULL:
        advice = "make room and run the same command again; what is finished is kept"
    elif error.errno in NOT_ALLOWED:
        advice = "give a folder that you may write to, or change its permissions"
    else:
        advice = "mend this and run the same command again; what is finished is kept"
    return UserError(f"{path}: cannot be written ({why}); {advice}")


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def make_folder(path: Path) -> None:
    """Make a folder for results.

    Raises:
        UserError: it cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made a folder ({error.strerror}); choose another --out") from error
    if not os.access(path, os.W_OK):
        raise UserError(f"{path}: cannot be written; choose another --out")
