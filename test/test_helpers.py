"""What tests stand on: domains that are nobody else's, and processes that are quick to start but like any other."""

import signal
import subprocess
import sys

import pytest

from helpers import ros_domain
from helpers.node_processes import Process

pytest.importorskip("rclpy", reason="needs ROS 2")
SCRIPT = """
import atexit, os, sys, time
atexit.register(print, "after the end")
print(__name__, sys.argv[1:], sys.path[0], os.getcwd(), sys.stdin.read() == "")
print("the first word", file=sys.stderr)
if "fail" in sys.argv:
    raise ValueError("on purpose")
while "wait" in sys.argv:
    time.sleep(0.1)
sys.exit(3)
"""


def test_a_domain_is_reserved_once_until_it_is_given_back():
    domain, holder = ros_domain.reserve()
    other, another = ros_domain.reserve()
    assert domain != other
    with another, pytest.raises(RuntimeError, match="taken"):
        ros_domain.reserve([domain, other])
    holder.close()
    assert ros_domain.reserve([domain, other])[0] == domain


@pytest.mark.parametrize("module", [False, True])
@pytest.mark.parametrize(("words", "status"), [([], 3), (["fail"], 1)])
def test_a_copy_runs_and_ends_as_a_process_of_its_own_does(copies, tmp_path, module, words, status):
    (tmp_path / "program.py").write_text(SCRIPT)
    command = [*(["-m", "program"] if module else [str(tmp_path / "program.py")]), *words]
    with (tmp_path / "expected").open("w") as log:
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        expected = subprocess.run([sys.executable, *command], cwd=tmp_path, **streams)
    process = Process(copies, tmp_path / "log", command)
    assert process.wait() == expected.returncode == status
    first, second = (sorted(text.read_text().splitlines()) for text in (tmp_path / "expected", tmp_path / "log"))
    told = [[line for line in lines if not line.startswith("  ")] for lines in (first, second)]  # not the frames
    assert told[0] == told[1]


def test_a_signal_ends_a_copy_and_is_its_status(copies, tmp_path):
    (tmp_path / "program.py").write_text(SCRIPT)
    process = Process(copies, tmp_path / "log", [str(tmp_path / "program.py"), "wait"])
    while not process.output:
        assert process.alive
    process.kill()
    assert process.wait() == -signal.SIGKILL
