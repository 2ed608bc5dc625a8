"""Ctrl-C at any moment: while modules are imported, while weights are loaded, while images are awaited, at the end."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros
REPO = Path(__file__).resolve().parents[4]
DOPE_NODE = REPO / "resource/lib/dope_ros2/dope_node"
ROUNDS = int(os.environ.get("DOPE_INTERRUPTS", "1"))  # of all moments
LOADED = ("_rclpy_pybind11", "libtorch_cpu", "cv2")  # imported one after the other
PATIENCE = 120.0  # [s] until a moment has come, or the process has ended, on a machine that is busy with other tests


def has_loaded(process, library):
    try:
        return library in Path(f"/proc/{process.pid}/maps").read_text()
    except OSError:
        return False


def wait_for(moment, process, log):
    end = time.monotonic() + PATIENCE
    while not (has_loaded(process, moment) if moment in LOADED else moment in log.read_text()):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, f"waited {PATIENCE:g} s for {moment}: {log.read_text()}"
        time.sleep(0.005)


def interrupted(case):
    """Interrupt dope_node `delay` seconds after a moment, and again a little later; its status and what it wrote."""
    command, moment, number, delay, gap, log = case
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, *command], cwd=log.parent, stdout=file, stderr=file)
    try:
        wait_for(moment, process, log)
        time.sleep(delay)
        process.send_signal(number)
        time.sleep(gap)
        process.send_signal(number)
        return process.wait(PATIENCE), log.read_text()
    finally:
        process.kill()


def cases(folder):
    draw = random.Random(5)
    for n, moment in enumerate((*LOADED, "looking for", "looking for") * ROUNDS):
        number, wait = (signal.SIGTERM, 0.0) if n % 5 == 4 else (signal.SIGINT, n % 2)
        yield [str(DOPE_NODE)], moment, number, draw.uniform(0, wait), draw.uniform(0, 0.2), folder / f"{n}.log"


def test_a_signal_ends_the_node_with_status_0_at_any_moment_also_when_it_comes_twice(tmp_path):
    all_cases = list(cases(tmp_path))
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(interrupted, all_cases))
    failed = [(case[1:5], status, text) for case, (status, text) in zip(all_cases, results, strict=True) if status]
    assert not failed
    assert not [text for _, text in results if "Traceback" in text or "Exception ignored" in text]


def shared_memory(process, others):
    """Files of DDS that a process has mapped, but those of others, and of ports, which processes share."""
    paths = {Path(line.split()[-1]) for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines()}
    return {path for path in paths - others if path.name.startswith("fastrtps_") and "_port" not in path.name}


def test_an_interrupted_node_leaves_dds_and_removes_its_shared_memory(tmp_path):
    others = set(Path("/dev/shm").iterdir())
    with (tmp_path / "log").open("w") as file:
        process = subprocess.Popen([sys.executable, str(DOPE_NODE)], cwd=tmp_path, stdout=file, stderr=file)
    try:
        wait_for("looking for", process, tmp_path / "log")
        mapped = shared_memory(process, others)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
    assert mapped
    assert not [path for path in mapped if path.exists()]


SWALLOWS = """
import sys, time
from dope_ros2.nodes.base.node import PlainNode
from dope_ros2.nodes.base.run import run

class Swallowing(PlainNode):
    def start(self):
        self.create_timer(0.01, self.work)

    def work(self):
        try:
            print("works", flush=True)
            time.sleep(3)
        except KeyboardInterrupt:
            pass

sys.exit(run(lambda: Swallowing("swallowing"), "swallowing", []))
"""


def test_a_callback_that_swallows_the_interrupt_ends_the_node_all_the_same(tmp_path):
    status, text = interrupted((["-c", SWALLOWS], "works", signal.SIGINT, 0.0, 0.0, tmp_path / "log"))
    assert (status, set(text.splitlines())) == (0, {"works"})  # it may have begun again before the node was told


def test_the_verb_node_ends_with_status_0_while_it_imports(tmp_path):
    command = ["-m", "dope_ros2.cli", "node"]
    assert interrupted((command, "_rclpy_pybind11", signal.SIGINT, 0.0, 0.0, tmp_path / "log")) == (0, "")
