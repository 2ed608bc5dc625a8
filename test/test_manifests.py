"""What package.xml, colcon.pkg and the change log tell rosdep, colcon and bloom."""

import ast
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parents[1]
MANIFESTS = {path.parent.name: path for path in [REPO / "msg/package.xml", *REPO.glob("resource/share/*/package.xml")]}
MANIFESTS["dope_ros2"] = REPO / "package.xml"
ROS = re.compile(r"(rclpy|launch\w*|ament_index_python|cv_bridge|tf2_\w+|\w+_msgs|\w+_interfaces|std_srvs)$")
PACKAGES = {"tf2_ros": "tf2_ros_py"}  # of modules that have another name
OWN = {"dope_msgs"}  # built by setup.py where it is no package of the workspace; then colcon.pkg names it


def declared(manifest, *tags):
    return {tag.text for tag in ElementTree.parse(manifest).getroot() if tag.tag in tags}


def ros_imports(folder):
    trees = [ast.parse(path.read_text()) for path in (REPO / folder).rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    modules = {name.split(".")[0] for name in names}
    return {PACKAGES.get(module, module) for module in modules if ROS.match(module)} - OWN


@pytest.mark.parametrize("folder", ["dope_ros2", "dope_datagen", "dope_training", "launch"])
def test_every_ros_package_that_is_imported_is_declared(folder):
    assert ros_imports(folder) <= declared(REPO / "package.xml", "depend", "exec_depend")


def test_every_ros_package_that_tests_import_is_declared():
    assert ros_imports("test") <= declared(REPO / "package.xml", "depend", "exec_depend", "test_depend")


def test_what_tests_need_beyond_the_package_is_declared():
    assert declared(REPO / "package.xml", "test_depend") >= {"python3-pytest", "python3-hypothesis"}


def test_what_cmake_finds_for_the_interfaces_is_declared_for_them_and_for_the_package_that_builds_them():
    text = (REPO / "msg/CMakeLists.txt").read_text()
    found = set(re.findall(r"^\s*find_(?:package|interfaces)\((\w+)", text, re.MULTILINE))
    tags = ("depend", "build_depend", "buildtool_depend")
    assert found <= declared(REPO / "msg/package.xml", *tags)
    assert found <= declared(REPO / "package.xml", *tags)


def test_no_dependency_is_declared_twice():
    for path in MANIFESTS.values():
        names = [tag.text for tag in ElementTree.parse(path).getroot() if tag.tag == "depend"]
        others = {tag.text for tag in ElementTree.parse(path).getroot() if tag.tag in ("exec_depend", "build_depend")}
        assert len(names) == len(set(names))
        assert not others & set(names)


@pytest.mark.parametrize("path", MANIFESTS.values(), ids=MANIFESTS)
def test_manifests_name_website_repository_and_bugtracker(path):
    urls = {url.get("type"): url.text for url in ElementTree.parse(path).getroot().iter("url")}
    assert urls.keys() == {"website", "repository", "bugtracker"}
    assert all(text.startswith("https://") for text in urls.values())


@pytest.mark.parametrize("path", MANIFESTS.values(), ids=MANIFESTS)
def test_package_names_follow_rep_144(path):
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", ElementTree.parse(path).getroot().findtext("name"))


def test_colcon_builds_the_interfaces_first_and_rosdep_is_not_asked_for_them():
    assert "dope_msgs" in yaml.safe_load((REPO / "colcon.pkg").read_text())["dependencies"]
    assert not any(tag.text == "dope_msgs" for tag in ElementTree.parse(REPO / "package.xml").getroot())


def test_the_change_log_is_what_bloom_reads():
    title, *rest = re.findall(r"^(\S.*)\n([\^-])\2+$", (REPO / "CHANGELOG.rst").read_text(), re.MULTILINE)
    assert title == ("Changelog for package dope_ros2", "^")
    version = ElementTree.parse(REPO / "package.xml").getroot().findtext("version")
    assert rest
    for text, _ in rest:
        assert text == "Forthcoming" or re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d{2}-\d{2}\)", text)
    assert rest[0][0] == "Forthcoming" or rest[0][0].startswith(version)


def test_the_workflow_builds_and_tests_a_workspace_for_each_distribution():
    [job] = yaml.safe_load((REPO / ".github/workflows/ros.yaml").read_text())["jobs"].values()
    commands = " ".join(step.get("run", "") for step in job["steps"])
    assert job["strategy"]["matrix"]["ros"] == ["jazzy", "kilted", "rolling"]
    assert all(tool in commands for tool in ("rosdep install", "colcon build", "colcon test", "colcon test-result"))
