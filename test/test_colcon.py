"""Whole workspaces with the real colcon: `make test-colcon`, or in a sourced ROS 2 `python3 -m pytest -m colcon`."""

import os
import re
from pathlib import Path

import pytest

from helpers.colcon_workspaces import REPO, Workspace, environment, whole_interfaces

pytestmark = pytest.mark.colcon

CLIENT = {
    "my_client/package.xml": """<package format="3">
  <name>my_client</name>
  <version>0.1.0</version>
  <description>A package that uses the interfaces.</description>
  <maintainer email="someone@robots.example.org">someone</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <depend>dope_msgs</depend>
  <export><build_type>ament_cmake</build_type></export>
</package>
""",
    "my_client/CMakeLists.txt": """cmake_minimum_required(VERSION 3.15)
project(my_client)
find_package(ament_cmake REQUIRED)
find_package(dope_msgs REQUIRED)
add_executable(my_client main.cpp)
target_link_libraries(my_client ${dope_msgs_TARGETS})
install(TARGETS my_client DESTINATION lib/${PROJECT_NAME})
ament_package()
""",
    "my_client/main.cpp": """#include <iostream>
#include <dope_msgs/action/detect_objects.hpp>
int main()
{
  dope_msgs::action::DetectObjects::Goal goal;
  goal.class_ids = {"carton"};
  std::cout << goal.class_ids.front() << std::endl;
}
""",
}
WHERE = "python3 -c 'import dope_msgs, vision_msgs.msg as m; print(dope_msgs.__path__[0], m.__file__)'"


@pytest.fixture(scope="module")
def env():
    if found := environment():
        return found
    pytest.skip("no ROS 2 with colcon: make test-colcon sets them up")


@pytest.fixture(scope="module")
def underlay(env, tmp_path_factory):
    """A workspace with the packages that the wheels lack; none where ROS 2 has them."""
    if any((Path(prefix) / "share/vision_msgs").is_dir() for prefix in env["AMENT_PREFIX_PATH"].split(os.pathsep)):
        return None
    return whole_interfaces(tmp_path_factory.mktemp("underlay") / "workspace", env)


@pytest.fixture(scope="module")
def plain(env, underlay, tmp_path_factory):
    """A plain clone, built."""
    workspace = Workspace(tmp_path_factory.mktemp("plain") / "workspace", env, underlay)
    workspace.clone()
    status, said = workspace.build()
    assert status == 0, said
    return workspace


def test_a_plain_clone_is_one_package_that_installs_the_interfaces_and_no_stand_in(plain):
    assert plain.packages() == ["dope_ros2"]
    share = plain.folder / "install/dope_ros2/share"
    assert (share / "dope_msgs/package.xml").is_file()
    assert not (share / "vision_msgs").exists()
    assert not (share / "tf2_msgs").exists()


def test_a_plain_clone_is_built_again_in_its_own_shell(plain):
    plain.source()
    status, said = plain.build()
    assert status == 0, said
    assert str(plain.folder / "install/dope_ros2") in plain.run(WHERE)[1]


def test_a_copy_that_would_hide_the_linked_package_is_named(plain):
    plain.link()
    status, said = plain.build()
    assert status
    assert f"rm -r {plain.folder / 'install/dope_ros2'}" in said
    assert "Traceback" not in said
    (plain.folder / "src/dope_msgs").unlink()


@pytest.mark.parametrize("option", ["", "--merge-install", "--symlink-install"])
def test_a_client_of_the_interfaces_is_built_in_the_same_call(env, underlay, tmp_path, option):
    workspace = Workspace(tmp_path / "workspace", env, underlay)
    workspace.clone()
    workspace.link()
    for name, text in CLIENT.items():
        workspace.write(name, text)
    assert workspace.packages() == ["dope_msgs", "dope_ros2", "my_client"]
    status, said = workspace.build(option)
    assert status == 0, said
    workspace.source()
    prefix = workspace.folder / "install" / ("" if option == "--merge-install" else "my_client")
    assert workspace.run(str(prefix / "lib/my_client/my_client"))[1] == "carton\n"
    if not option:
        assert not (workspace.folder / "install/dope_ros2/share/dope_msgs").exists()
        assert str(workspace.folder / "install/dope_msgs") in workspace.run(WHERE)[1]
    status, said = workspace.build(option)
    assert status == 0, said


@pytest.mark.parametrize("linked", [False, True], ids=["plain", "linked"])
def test_without_vision_msgs_the_apt_package_is_named(env, underlay, tmp_path, linked):
    if not underlay:
        pytest.skip("this ROS 2 has vision_msgs")
    workspace = Workspace(tmp_path / "workspace", env)
    workspace.clone()
    if linked:
        workspace.link()
    status, said = workspace.build()
    assert status
    assert "ros-jazzy-vision-msgs" in said
    assert "Traceback" not in said
    assert not list(workspace.folder.glob("install/*/share/vision_msgs"))


ASKED = """
from catkin_pkg.packages import find_packages
found = find_packages("src")
for package in found.values():
    package.evaluate_conditions({"ROS_DISTRO": "jazzy"})
needs = {need.name for p in found.values() for need in p.build_depends + p.exec_depends if need.evaluated_condition}
print(*(needs - {package.name for package in found.values()}))
"""


def test_rosdep_is_asked_for_no_package_of_the_workspace(env, tmp_path):
    workspace = Workspace(tmp_path / "workspace", env)
    workspace.clone()
    workspace.link()
    for name, text in CLIENT.items():
        workspace.write(name, text)
    status, said = workspace.run(f"python3 -c '{ASKED}'")
    assert status == 0, said
    assert "vision_msgs" in said.split()
    assert "dope_msgs" not in said.split()


WARNINGS = """
import sys
from catkin_pkg.package import parse_package
warnings = []
for path in sys.argv[1:]:
    parse_package(path, warnings=warnings)
print(*warnings)
"""


def test_catkin_pkg_reads_the_manifests_without_a_warning(env, tmp_path):
    paths = [REPO / "package.xml", REPO / "msg/package.xml", *REPO.glob("resource/share/*/package.xml")]
    workspace = Workspace(tmp_path / "workspace", env)
    assert workspace.run(f"python3 -c '{WARNINGS}' {' '.join(map(str, paths))}") == (0, "\n")


BULLETS = """
import sys
from catkin_pkg.changelog import Changelog, populate_changelog_from_rst
parsed = Changelog("dope_ros2")
populate_changelog_from_rst(parsed, open(sys.argv[1]).read())
print(sum(len(item.bullets) for _, _, items in parsed.foreach_version() for item in items))
"""


def test_bloom_reads_every_line_of_the_change_log_when_it_is_released(env, tmp_path):
    text = (REPO / "CHANGELOG.rst").read_text()
    released = text.replace("Forthcoming\n-----------", "99.0.0 (2030-01-01)\n-------------------")
    (tmp_path / "CHANGELOG.rst").write_text(released)
    workspace = Workspace(tmp_path / "workspace", env)
    status, said = workspace.run(f"python3 -W ignore -c '{BULLETS}' {tmp_path / 'CHANGELOG.rst'}")
    assert (status, int(said)) == (0, len(re.findall(r"^\* ", text, re.MULTILINE)))


def test_colcon_test_runs_tests_and_all_of_them_pass(plain):
    status, said = plain.run("colcon test --return-code-on-test-failure --pytest-args -k messages")
    assert status == 0, said
    summary = plain.run("colcon test-result --all")[1]
    [(tests, errors, failures)] = re.findall(r"Summary: (\d+) tests, (\d+) errors, (\d+) failures", summary)
    assert int(tests) > 10
    assert (errors, failures) == ("0", "0")
