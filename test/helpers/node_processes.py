"""Every run, and every worker of one, has a DDS domain of its own; nodes under test are processes of their own."""

import os
import signal
import time
from collections import defaultdict
from pathlib import Path

import pytest

from helpers import process_copies, ros_domain

REPO = Path(__file__).resolve().parents[2]
DOMAIN, _reserved = ros_domain.reserve()
os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(REPO), str(REPO / "test"), os.environ.get("PYTHONPATH", "")])
)

try:
    import rclpy
except ImportError:
    rclpy = None


class Process:
    """A node in a process of its own, with its output in a file."""

    def __init__(self, ask, log, command):
        self._ask, self._log, self._status = ask, log, None
        log.touch()
        self._number = ask(command=command, log=str(log), folder=str(log.parent))

    @property
    def output(self):
        return self._log.read_text()

    @property
    def alive(self):
        if self._status is None:
            self._status = self._ask(number=self._number)
        return self._status is None

    def count(self, text):
        return sum(text in line for line in self.output.splitlines())

    @property
    def resident(self):
        """Memory [bytes]."""
        pages = Path(f"/proc/{self._number}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def signal(self, number):
        if self.alive:
            os.kill(self._number, number)

    def wait(self, timeout=90):
        """The exit status, minus the signal's number if one ended it."""
        end = time.monotonic() + timeout
        while self.alive:
            assert time.monotonic() < end, f"waited {timeout:g} s for the end of a process: {self.output}"
            time.sleep(0.02)
        return self._status

    def terminate(self):
        self.signal(signal.SIGTERM)
        return self.wait(30)

    def interrupt(self):
        """What Ctrl-C does."""
        self.signal(signal.SIGINT)
        return self.wait(60)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait()


class Observer:
    """A node of the test: publishes, and keeps what it receives by topic."""

    def __init__(self):
        rclpy.init()
        self.node = rclpy.create_node("observer")
        self.received = defaultdict(list)
        self._publishers = {}

    def listen(self, kind, topic, qos=10):
        self.node.create_subscription(kind, topic, self.received[topic].append, qos)

    def publish(self, msg, topic, qos=1):
        if topic not in self._publishers:
            self._publishers[topic] = self.node.create_publisher(type(msg), topic, qos)
            self.until(lambda: self._publishers[topic].get_subscription_count() > 0, f"a subscriber of {topic}")
        self._publishers[topic].publish(msg)

    def spin(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.02)

    def until(self, condition, what, timeout=60.0):
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, f"waited {timeout:g} s for {what}"
            rclpy.spin_once(self.node, timeout_sec=0.02)

    def close(self):
        self.node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture(scope="session")
def copies():
    with process_copies.server() as ask:
        yield ask


@pytest.fixture(scope="module")
def start(tmp_path_factory, copies):
    """`start("-m", "package.module", ...)` or `start("script.py", ...)` starts a process; it ends with the module."""
    folder = tmp_path_factory.mktemp("processes")
    processes = []

    def start(*command):
        log = folder / f"{len(processes)}.log"
        processes.append(Process(copies, log, [str(part) for part in command]))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


@pytest.fixture(scope="module")
def observer():
    observer = Observer()
    yield observer
    observer.close()
