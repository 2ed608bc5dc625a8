"""`make soak`, for a minute."""

import json
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow]
FAKE = Path(__file__).resolve().parents[2] / "helpers" / "fake_dope_node.py"


@pytest.mark.benchmark
def test_a_minute_of_trouble_leaves_nothing_behind(start, tmp_path):
    limits = ["--recovery", "2.5", "--growth", "5"]  # of a machine that does other things
    process = start(
        "-m", "dope_ros2.benchmarks.soak", "--seconds", 50, "--out", tmp_path / "soak.json", "--program", FAKE, *limits
    )
    assert process.wait(200) == 0, process.output
    report = json.loads((tmp_path / "soak.json").read_text())
    assert report["faults"] == []
    assert report["memory_deviation"] < 0.02
    assert report["answers"] > 150  # of 1500, on a machine whose other cores run tests; `make soak` is the measurement
    assert len(report["recovery_s"]) >= 10
    assert "does not hold" not in process.output


def test_a_node_that_dies_is_told(start, tmp_path):
    script = tmp_path / "dies.py"
    script.write_text("import time\nprint('looking for it', flush=True)\ntime.sleep(3)\nraise SystemExit('it hurts')\n")
    process = start(
        "-m", "dope_ros2.benchmarks.soak", "--seconds", 50, "--out", tmp_path / "soak.json", "--program", script
    )
    assert process.wait() == 1
    assert process.count("does not hold: the node has ended with status 1: it hurts") == 1
    assert json.loads((tmp_path / "soak.json").read_text())["faults"]
