"""Child processes that never outlive their parent's `with` block."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from dope_ros2.common.errors import UserError

PATIENCE = 5.0  # [s] between asking a process to end and ending it


class Processes:
    """A few named Python processes, each writing what it says to `<name>.log`; all ended when the block is left."""

    def __init__(self, logs: Path, env: Mapping[str, str]) -> None:
        self._logs, self._env = logs, {**env, "PYTHONUNBUFFERED": "1"}  # errors are written last, and at once
        self._running: dict[str, subprocess.Popen] = {}
        self._read: dict[str, int] = {}

    def start(self, name: str, arguments: Sequence[str]) -> None:
        """Run `python ARGUMENTS`; its output goes to its log."""
        with self.log(name).open("w") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, *arguments],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._read[name] = 0

    def log(self, name: str) -> Path:
        """The file a process writes to."""
        return self._logs / f"{name}.log"

    def status(self, name: str) -> int | None:
        """The exit status of a process, None while it runs."""
        return self._running[name].poll()

    def resident(self, name: str) -> int:
        """Memory that a process has now [bytes]; 0 when it has ended."""
        try:
            pages = Path(f"/proc/{self._running[name].pid}/statm").read_text().split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def wait_for(self, name: str, text: str, seconds: float) -> None:
        """Wait until a process has written `text`.

        Raises:
            UserError: it ended before, or did not say so in time.
        """
        deadline = time.monotonic() + seconds
        while text not in self.log(name).read_text(errors="replace"):
            self.check(name)
            if time.monotonic() > deadline:
                raise UserError(f"{name} was not ready after {seconds:.0f} s; see {self.log(name)}")
            time.sleep(0.1)

    def check(self, *names: str) -> None:
        """Raise UserError when one of the processes has ended, whatever its status."""
        for name in names:
            if (status := self.status(name)) is not None:
                raise UserError(f"{name} ended with status {status}: {self.last_line(name)}; see {self.log(name)}")

    def wait(self, name: str, seconds: float) -> int:
        """Wait until a process has ended by itself; returns its exit status.

        Raises:
            UserError: it did not end in time.
        """
        try:
            return self._running[name].wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"{name} did not end within {seconds:.0f} s; see {self.log(name)}") from error

    def wait_until_ended(self, name: str, seconds: float) -> None:
        """Wait until a process has ended well; raises UserError otherwise."""
        if self.wait(name, seconds):
            self.check(name)

    def news(self, name: str) -> str:
        """What a process has written since the last call."""
        with self.log(name).open(errors="replace") as log:
            log.seek(self._read[name])
            text = log.read()
            self._read[name] = log.tell()
        return text

    def last_line(self, name: str) -> str:
        """The last thing a process wrote to its log."""
        log = self.log(name)
        lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
        return lines[-1].strip() if lines else "it wrote nothing"

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """Ask a process to end, and end it when it does not; returns its exit status."""
        process = self._running[name]
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def __enter__(self) -> Processes:
        """Let SIGTERM leave the block as Ctrl-C does."""
        self._before = signal.signal(signal.SIGTERM, _interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        """Ask all to end at once, then wait for each."""
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        for name in self._running:
            self.stop(name)
        signal.signal(signal.SIGTERM, self._before)


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
