"""When `setup.py install`, as colcon calls it, builds dope_msgs, and when it ends with a line. CMake is a recorder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
NEEDED = ("rosidl_default_generators", "tf2_msgs", "vision_msgs")
CMAKE = '#!/bin/sh\necho "DESTDIR=$DESTDIR $*" >> "$CMAKE_CALLS"\n'


class Workspace:
    """A workspace with a ROS 2 that has the packages of `NEEDED`, by their manifests alone."""

    def __init__(self, folder):
        self.ros, self.prefix, self.source = folder / "ros", folder / "install/dope_ros2", folder / "src/dope_ros2"
        for name in NEEDED:
            self.give(self.ros, name)
        self.source.mkdir(parents=True)
        for name in ("setup.py", "setup.cfg", "package.xml", "msg"):
            (self.source / name).symlink_to(REPO / name)
        self._calls, self._bin = folder / "calls", folder / "bin"
        self._bin.mkdir()
        (self._bin / "cmake").write_text(CMAKE)
        (self._bin / "cmake").chmod(0o755)

    def give(self, prefix, name, description="The whole of it.", colcon=False):
        """Put a package into a prefix; `colcon` says whether colcon built it as a package of its own."""
        (prefix / "share" / name).mkdir(parents=True, exist_ok=True)
        (prefix / "share" / name / "package.xml").write_text(f"<description>{description}</description>")
        if colcon:
            (prefix / "share/colcon-core/packages").mkdir(parents=True, exist_ok=True)
            (prefix / "share/colcon-core/packages" / name).write_text("")

    def give_interfaces(self, prefix, colcon=False):
        self.give(prefix, "dope_msgs", colcon=colcon)
        for file in (*(REPO / "msg").glob("*.msg"), *(REPO / "msg").glob("*.action")):
            folder = prefix / "share/dope_msgs" / file.suffix[1:]
            folder.mkdir(exist_ok=True)
            (folder / file.name).write_bytes(file.read_bytes())

    def install(self, *sourced, **changes):
        """Run it; gives the status, what it said, and the calls of CMake."""
        command = [sys.executable, "setup.py", "-q", "install", "--single-version-externally-managed"]
        command += ["--prefix", str(self.prefix), "--record", "log", *changes.pop("options", ())]
        ament = os.pathsep.join(map(str, sourced or [self.ros]))
        env = os.environ | {"PATH": f"{self._bin}:{os.environ['PATH']}", "CMAKE_CALLS": str(self._calls)}
        env |= {"AMENT_PREFIX_PATH": ament, "ROS_DISTRO": "jazzy", "DESTDIR": "", "PYTHONWARNINGS": "ignore"} | changes
        done = subprocess.run(command, cwd=self.source, env=env, capture_output=True, text=True)
        return done.returncode, done.stderr.strip(), self._calls.read_text() if self._calls.is_file() else ""


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def test_interfaces_are_built_into_the_prefix_of_the_package(workspace):
    status, said, calls = workspace.install()
    assert (status, said) == (0, "")
    assert f"-DCMAKE_INSTALL_PREFIX={workspace.prefix}" in calls
    assert "--target install" in calls


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_package_is_an_error_that_names_the_apt_package(workspace, name):
    (workspace.ros / "share" / name / "package.xml").unlink()
    (workspace.ros / "share" / name).rmdir()
    status, said, calls = workspace.install()
    assert status
    assert f"sudo apt install ros-jazzy-{name.replace('_', '-')} " in said
    assert "Traceback" not in said
    assert not calls


def test_a_shell_without_ros_is_told_to_source_one(workspace):
    env = {"AMENT_PREFIX_PATH": "", "ROS_DISTRO": ""}
    (status, said, calls) = workspace.install(workspace.prefix, **env)
    assert status
    assert said.splitlines() == ["no ROS 2 is sourced; before colcon build: source /opt/ros/<distribution>/setup.bash"]
    assert not calls


def test_a_package_of_its_own_is_not_built_again(workspace, tmp_path):
    workspace.give_interfaces(tmp_path / "install/dope_msgs", colcon=True)
    assert workspace.install(tmp_path / "install/dope_msgs", workspace.ros) == (0, "", "")


def test_a_package_of_its_own_in_a_merged_prefix_is_not_built_again(workspace):
    workspace.give_interfaces(workspace.prefix, colcon=True)
    assert workspace.install(workspace.prefix, workspace.ros) == (0, "", "")


def test_what_an_earlier_build_of_this_package_installed_is_built_again(workspace):
    workspace.give_interfaces(workspace.prefix)
    assert workspace.install(workspace.prefix, workspace.ros)[2]


def test_interfaces_of_another_version_do_not_serve(workspace, tmp_path):
    workspace.give_interfaces(tmp_path / "old", colcon=True)
    (tmp_path / "old/share/dope_msgs/msg/ObjectInfo.msg").write_text("string name\n")
    assert workspace.install(tmp_path / "old", workspace.ros)[2]


def test_a_copy_that_an_earlier_build_left_and_that_would_hide_the_package_is_refused(workspace, tmp_path):
    workspace.give_interfaces(tmp_path / "install/dope_msgs", colcon=True)
    workspace.give_interfaces(workspace.prefix)
    workspace.give(workspace.prefix, "dope_ros2", colcon=True)
    status, said, _ = workspace.install(tmp_path / "install/dope_msgs", workspace.ros)
    assert status
    assert said.endswith(f"rm -r {workspace.prefix}")


PART = "Those messages of vision_msgs that dope_ros2 uses, for systems that have no vision_msgs."


def test_a_stand_in_of_an_earlier_version_is_refused_though_the_real_package_is_there(workspace):
    workspace.give(workspace.prefix, "vision_msgs", PART)
    workspace.give(workspace.prefix, "dope_ros2", colcon=True)
    status, said, calls = workspace.install()
    assert status
    assert "a part of vision_msgs" in said
    assert said.endswith(f"rm -r {workspace.prefix}")
    assert not calls


def test_a_stand_in_in_a_python_environment_is_left_alone(workspace, tmp_path):
    workspace.give(tmp_path / "venv", "vision_msgs", PART)
    assert workspace.install(tmp_path / "venv", workspace.ros)[0] == 0


def test_a_debian_package_is_built_into_its_staging_folder(workspace, tmp_path):
    status, _, calls = workspace.install(options=["--root", str(tmp_path / "deb")])
    assert status == 0
    assert f"-DCMAKE_INSTALL_PREFIX={workspace.prefix}" in calls
    assert f"DESTDIR={tmp_path}/deb --build" in calls


def test_the_stand_ins_for_pip_say_what_they_are():
    texts = [path.read_text() for path in (REPO / "msg/compat").glob("*/package.xml")]
    assert len(texts) == 2
    assert all("that dope_ros2 uses, for systems that have no" in text for text in texts)
