"""Images that another process publishes reach the node, and what does not is counted and told."""

import json
from pathlib import Path

import pytest

from dope_ros2.benchmarks.image_loss import line, summary

pytestmark = pytest.mark.ros
FAKE = Path(__file__).resolve().parents[2] / "helpers" / "fake_dope_node.py"


def measure(start, tmp_path, case, *options):
    arguments = ["--seconds", 5, "--runs", 1, "--case", case, "--out", tmp_path / "loss.json", "--program", FAKE]
    process = start("-m", "dope_ros2.benchmarks.image_loss", *arguments, *options)
    status = process.wait(200)
    [run] = json.loads((tmp_path / "loss.json").read_text())[case]
    return status, run


def test_by_default_the_images_of_a_reliable_camera_arrive_and_it_is_not_called_silent(start, tmp_path):
    status, run = measure(start, tmp_path, "640x480@15")
    assert status == 0, run
    assert run["arrived"] >= 0.95
    assert run["published"] > 50


def test_lost_images_are_told_apart_from_displaced_ones_and_are_a_warning_with_the_share(start, tmp_path):
    status, run = measure(start, tmp_path, "1280x720@30", "--parameter", "qos:=best_effort")
    assert status == 0, run
    assert run["lost"] > 10
    assert run["arrived"] < 0.95
    assert run["warned"] == 1


def test_figures_of_a_node_that_does_not_count_losses():
    record = {"published": 100, "answered": 40, "counts": {"images": 41}, "values": {}, "levels": [], "silences": ["?"]}
    run = summary(record)
    assert (run["lost"], run["arrived"]) == (None, None)
    assert line("640x480@15", run).split() == ["640x480@15", "100", "40", "-", "-", "-", "0", "1"]
