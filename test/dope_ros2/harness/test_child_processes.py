"""Child processes of the demo: none outlives its block, and a death is told in one line."""

import os
import signal
import subprocess
import sys
import time

import pytest

from dope_ros2.common.errors import UserError
from dope_ros2.harness import child_processes as module
from dope_ros2.harness.child_processes import Processes

SLEEP = ["-c", "import time; print('ready', flush=True); time.sleep(60)"]
STUBBORN = ["-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_leaving_the_block_ends_every_process_also_a_stubborn_one(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    with Processes(tmp_path, os.environ) as children:
        for name, arguments in (("polite", SLEEP), ("stubborn", STUBBORN)):
            children.start(name, arguments)
            children.wait_for(name, "ready", 20)
    assert children.status("polite") == -signal.SIGTERM
    assert children.status("stubborn") == -signal.SIGKILL


def test_an_error_in_the_block_ends_the_processes_too(tmp_path):
    children = Processes(tmp_path, os.environ)

    def fail() -> None:
        with children:
            children.start("child", SLEEP)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert children.status("child") is not None


def test_a_death_is_one_line_with_name_status_last_words_and_log(tmp_path):
    with Processes(tmp_path, os.environ) as children:
        children.start("node", ["-c", "import sys; print('first'); sys.exit('weights are missing')"])
        with pytest.raises(UserError, match=r"node ended with status 1: weights are missing; see .*node\.log"):
            children.wait_until_ended("node", 20)
        with pytest.raises(UserError, match="node ended with status 1"):
            children.wait_for("node", "ready", 20)


def test_waiting_has_an_end(tmp_path):
    with Processes(tmp_path, os.environ) as children:
        children.start("child", SLEEP)
        with pytest.raises(UserError, match="child was not ready after 0 s"):
            children.wait_for("child", "never said", 0.2)
        with pytest.raises(UserError, match="child did not end within 0 s"):
            children.wait_until_ended("child", 0.2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ending_the_parent_ends_its_children(tmp_path, number):
    parent = (
        "import os, sys, time, signal; from pathlib import Path\n"
        "from dope_ros2.harness.child_processes import Processes\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with Processes(Path(sys.argv[1]), os.environ) as children:\n"
        "    children.start('child', ['-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'])\n"
        "    children.wait_for('child', '\\n', 20); print('started', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout.readline() == "started\n"
    process.send_signal(number)
    process.communicate(timeout=20)
    child = int((tmp_path / "child.log").read_text())
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def test_news_are_told_once(tmp_path):
    code = "import time; print('one', flush=True); time.sleep(0.5); print('two', flush=True); time.sleep(60)"
    with Processes(tmp_path, os.environ) as children:
        children.start("child", ["-c", code])
        children.wait_for("child", "one", 20)
        first = children.news("child")
        children.wait_for("child", "two", 20)
        assert first + children.news("child") == "one\ntwo\n"
        assert children.news("child") == ""
