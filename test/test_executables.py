"""Every executable of `ros2 pkg executables`: it helps, or says in one line what to install."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dope_ros2.common.python_packages import BASE, EXTRAS, module_of, unmet

ROOT = Path(__file__).resolve().parents[1]
EXECUTABLES = sorted(ROOT.glob("resource/lib/*/*"))
OPTIONAL = [each for group in EXTRAS.values() for each in group]
HIDE = """
import sys
class Hidden:
    def find_spec(name, path=None, target=None):
        if name in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden)
"""


def start(path, tmp_path, hidden=()):
    """Run `path --help` where some modules cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text(HIDE.format(names={"none", *hidden}))
    paths = [str(tmp_path), str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, path, "--help"]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


@pytest.mark.parametrize("path", EXECUTABLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_executable_helps_or_says_in_one_line_what_to_install(path, tmp_path):
    """As after rosdep alone: where nothing optional is missing, it is hidden."""
    result = start(path, tmp_path, [] if unmet(OPTIONAL) else map(module_of, OPTIONAL))
    if path.parent.name == "dope_ros2" or result.returncode == 0:
        assert result.returncode == 0, result.stderr
        assert "usage" in result.stdout.lower()
    else:
        assert result.returncode == 2
        assert re.fullmatch(r"dope: error: .* cannot run: .*; pip install .*\n", result.stderr), result.stderr


@pytest.mark.ros
@pytest.mark.parametrize("requirement", BASE)
def test_a_missing_package_that_everything_needs_is_named(requirement, tmp_path):
    name = "predict" if requirement.startswith("typer") else "dope_node"
    result = start(ROOT / "resource/lib/dope_ros2" / name, tmp_path, [module_of(requirement)])
    assert result.returncode == 2
    assert re.fullmatch(r"dope: error: .* cannot run: not installed: .*; pip install .*\n", result.stderr), (
        result.stderr
    )


def test_without_ros_a_node_says_what_to_source(tmp_path):
    result = start(ROOT / "resource/lib/dope_ros2/dope_node", tmp_path, ["rclpy", "rcl_interfaces"])
    assert result.returncode == 2
    assert re.fullmatch(r"dope: error: .*`source` the setup.bash of ROS 2.*\n", result.stderr), result.stderr
