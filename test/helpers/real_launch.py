"""`ros2 launch` in a terminal of its own, where there is one."""

import importlib.util
import os
import pty
import select
import shutil
import signal
import time

import pytest


def has_launch():
    """Whether ROS's launch is installed (the package of this name on the Python package index is another)."""
    return shutil.which("ros2") is not None and importlib.util.find_spec("launch_ros") is not None


def require():
    """Skip the tests of a module where ROS's launch is missing, or this package is not in a sourced workspace."""
    if not has_launch():
        pytest.skip("needs the command ros2 and launch_ros of an apt ROS 2", allow_module_level=True)
    packages = pytest.importorskip("ament_index_python.packages")
    try:
        packages.get_package_prefix("dope_ros2")
    except packages.PackageNotFoundError:
        pytest.skip("needs dope_ros2 in a sourced workspace", allow_module_level=True)


class Terminal:
    """A command in a pseudo-terminal: Ctrl-C reaches every process of it, as where a person types."""

    def __init__(self, *command):
        self._process, self._file = pty.fork()
        if self._process == 0:
            os.execvp(command[0], [str(part) for part in command])
        self.output, self.status = "", None

    def read(self):
        """Take in what has been written, waiting a little for it."""
        ready, _, _ = select.select([self._file], [], [], 0.05)
        try:
            text = os.read(self._file, 65536) if ready else b""
        except OSError:  # the command has ended
            text, (_, status) = b"", os.waitpid(self._process, 0)
            self.status = os.waitstatus_to_exitcode(status)
        self.output += text.decode(errors="replace")

    def until(self, condition, what, timeout=400.0):
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"waited {timeout:g} s for {what}: {self.output}"
            assert self.status is None, f"ended before {what}: {self.output}"
            self.read()

    def until_written(self, text, count=1):
        self.until(lambda: self.output.count(text) >= count, f"{count} times {text!r}")

    def interrupt(self):
        """Press Ctrl-C; the status when all has ended."""
        os.write(self._file, b"\x03")
        end = time.monotonic() + 60
        while self.status is None:
            assert time.monotonic() < end, self.output
            self.read()
        return self.status

    def close(self):
        if self.status is None:
            os.killpg(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
        os.close(self._file)
