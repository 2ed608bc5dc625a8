"""Work shared out among processes: results, mistakes, and ends."""

import subprocess
import sys
import time

import pytest

from dope_datagen.generation.process_pool import map_unordered
from dope_datagen.generation.progress import progress
from dope_ros2.common.errors import UserError
from helpers.pool_functions import ended, unready

PARENT = """
import time
from dope_datagen.generation.progress import progress
from dope_datagen.generation.process_pool import map_unordered
if __name__ == "__main__":
    for number in map_unordered(__import__("os").getpid, [()], 1):
        print(number, flush=True)
        time.sleep(60)
"""


def test_results_mistakes_and_a_process_that_was_killed():
    assert sorted(map_unordered(pow, [(2, n) for n in range(5)], 2)) == [1, 2, 4, 8, 16]
    assert list(map_unordered(pow, [], 2)) == []
    with pytest.raises(UserError, match="ended without a word"):
        list(map_unordered(ended, [()], 1))
    with pytest.raises(UserError, match="no OpenGL here"):
        list(map_unordered(pow, [(1, 1)], 1, unready))


def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while running(worker):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.05)


def running(process):
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_log_has_a_line_a_shard_with_the_speed_and_the_time_left(monkeypatch, capsys):
    clock = iter([100.0, 110.0, 130.0])
    monkeypatch.setattr("dope_datagen.generation.progress.time.monotonic", lambda: next(clock))
    with progress(1024) as tell:
        tell(256)
        tell(256)
    assert capsys.readouterr().err.splitlines() == [
        "256 of 1024 images, 25.6 images/s, 0:00:30 left",
        "512 of 1024 images, 17.1 images/s, 0:00:30 left",
    ]
