"""The viewer rerun: found, and started as a web page or as a window."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from types import ModuleType
from typing import IO
from urllib.parse import quote

from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import EXTRAS, pip_install

PIP = pip_install(*EXTRAS["view"])
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET")  # one of them is needed on Linux
INSTEAD = "give --save FILE.rrd, and open that file with `rerun FILE.rrd` where there is one"
LOCAL = "127.0.0.1"
MEMORY = "300MB"  # for who comes late; what is older is dropped
START_TIMEOUT, END_TIMEOUT, TICK = 30.0, 5.0, 0.05  # [s]


def load(otherwise: str) -> ModuleType:
    """Import rerun.

    Raises:
        UserError: it is not installed; `otherwise` says what does without.
    """
    try:
        return importlib.import_module("rerun")
    except ImportError as error:
        raise UserError(f"`dope view` needs the viewer rerun, which is not installed: {PIP}; {otherwise}") from error


def check_display() -> None:
    """Refuse to open a window where none can be seen.

    Raises:
        UserError: there is no display.
    """
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in DISPLAYS):
        raise UserError(f"there is no display here ({', '.join(DISPLAYS)} are not set); {INSTEAD}")


class Viewer:
    """A running rerun: a web page at `port`, whose data come from the port after it; or a window.

    Attributes:
        url: where to send recordings.
        page: the address of the page; empty for a window.
    """

    def __init__(self, address: str, port: int, *, window: bool, log: IO[bytes]) -> None:
        """Start it, and wait until it listens.

        Raises:
            UserError: a port is taken, there is no display, or it does not start.
        """
        ports = [port + 1] if window else [port, port + 1]
        check_ports(address, ports)
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rerun", *arguments(address, port, window=window)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us, and it ends with us
        )
        try:
            for each in ports:
                self._wait_for(_reachable(address), each)
        except BaseException:
            self.close()
            raise
        self.url = f"rerun+http://{_reachable(address)}:{port + 1}/proxy"
        self.page = "" if window else page(address, port)

    def _wait_for(self, address: str, port: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not _listens(address, port):
            if self.ended() or time.monotonic() > deadline:
                raise UserError(f"the viewer rerun does not start ({self._last_words()}); {INSTEAD}")
            time.sleep(TICK)

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it says nothing"

    def ended(self) -> bool:
        """Whether its window has been closed.

        Raises:
            UserError: it has died.
        """
        status = self._process.poll()
        if status:
            raise UserError(f"the viewer rerun has ended with status {status} ({self._last_words()}); {INSTEAD}")
        return status is not None

    def close(self) -> None:
        """Stop it, with the processes that it has started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_TIMEOUT)
                return


@contextmanager
def running(address: str, port: int, *, window: bool) -> Iterator[Viewer]:
    """A viewer while the block lasts; see `Viewer`."""
    if window:
        check_display()
    with tempfile.TemporaryFile() as log, closing(Viewer(address, port, window=window, log=log)) as viewer:
        yield viewer


def arguments(address: str, port: int, *, window: bool) -> list[str]:
    """The command line of rerun's program."""
    common = ["--bind", address, "--port", str(port + 1), "--hide-welcome-screen", "--server-memory-limit", MEMORY]
    if window:
        return common
    # Pages of other machines come from an origin that rerun does not trust by itself.
    trusted = [] if address == LOCAL else ["--cors-allow-origin", f"http://*:{port}"]
    return [*common, "--serve-web", "--web-viewer-port", str(port), *trusted]


def page(address: str, port: int) -> str:
    """The address of the page, as a browser wants it: with where its data are."""
    host = socket.gethostname() if address == "0.0.0.0" else address
    return f"http://{host}:{port}/?url={quote(f'rerun+http://{host}:{port + 1}/proxy', safe='')}"


def check_ports(address: str, ports: list[int]) -> None:
    """Refuse ports that are taken.

    Raises:
        UserError: one is, or the address is none of this machine's.
    """
    for port in ports:
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise UserError(
                    f"port {port} of {address} cannot be used ({error.strerror or error}); is another `dope view` "
                    "running? Give another port with --port, which is of the page; the next one is of its data"
                ) from error


def _reachable(address: str) -> str:
    return LOCAL if address == "0.0.0.0" else address


def _listens(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
