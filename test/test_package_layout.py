"""What `pip install .` puts where, so that `ros2 run` and `ros2 launch` find it; and what the manifests say."""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from email.utils import parseaddr
from pathlib import Path

import pytest

import dope_ros2
from dope_ros2.common.python_packages import too_old

pytestmark = pytest.mark.ros
REPO = Path(__file__).resolve().parents[1]
EXECUTABLES = {
    "dope_ros2": {
        "dope_node",
        "camera_node",
        "monitor_node",
        "demo",
        "predict",
        "view",
        "rviz",
        "import_weights",
        "export",
        "export_legacy",
        "benchmark",
        "import_config",
        "replay",
    },
    "dope_datagen": {"generate", "preview", "carton", "assets", "check", "convert", "view"},
    "dope_training": {"train", "evaluate", "calibrate"},
}
MANIFESTS = sorted([REPO / "package.xml", *REPO.glob("resource/share/*/package.xml"), *REPO.glob("msg/**/package.xml")])

# What `ros2 run` does: the ament index names the prefix, lib/<package>/<executable> is started.
ROS2_RUN = """
import os, sys
from ament_index_python.packages import get_package_prefix
package, name, *arguments = sys.argv[1:]
path = os.path.join(get_package_prefix(package), "lib", package, name)
os.execv(path, [path, *arguments])
"""


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """A prefix with the package installed, without its dependencies."""
    if too_old("setuptools>=70.1"):
        pytest.importorskip("wheel", reason="needs wheel, or setuptools 70.1")
    folder = tmp_path_factory.mktemp("install")
    source = folder / "source"
    source.mkdir()
    for name in ("dope_ros2", "dope_datagen", "dope_training", "resource", "launch", "config", "msg"):
        (source / name).symlink_to(REPO / name)
    for name in ("setup.py", "setup.cfg", "pyproject.toml", "package.xml"):
        (source / name).symlink_to(REPO / name)
    (source / "weights").mkdir()
    for name in ("own.safetensors", "foreign.pth"):
        (source / "weights" / name).write_bytes(b"weights")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command += ["--prefix", folder / "prefix", "--ignore-installed", source]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder / "prefix"


def environment(prefix):
    paths = [str(prefix), *filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))]
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"AMENT_PREFIX_PATH": os.pathsep.join(paths), "PATH": here}


@pytest.mark.parametrize("package", EXECUTABLES)
def test_each_name_is_in_the_ament_index_with_manifest_and_executables(prefix, package):
    assert (prefix / "share/ament_index/resource_index/packages" / package).is_file()
    assert (prefix / "share" / package / "package.xml").is_file()
    files = {path.name: path for path in (prefix / "lib" / package).iterdir()}
    assert files.keys() >= EXECUTABLES[package]
    assert all(os.access(path, os.X_OK) for path in files.values())


def test_scripts_that_colcon_writes_use_the_python_of_the_active_environment():
    assert "[build_scripts]\nexecutable=/usr/bin/env python3\n" in (REPO / "setup.cfg").read_text()
    assert {path.read_text().splitlines()[0] for path in REPO.glob("resource/lib/*/*")} == {"#!/usr/bin/env python3"}


def test_no_key_of_package_xml_makes_rosdep_call_pip():
    root = ElementTree.parse(REPO / "package.xml").getroot()
    keys = {node.text for node in root if node.tag.endswith("depend")}
    assert not {key for key in keys if key.endswith("-pip")}


def test_ros2_run_starts_a_node(prefix):
    command = [sys.executable, "-c", ROS2_RUN, "dope_ros2", "camera_node", "--ros-args", "-p", "source:=nowhere"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment(prefix), timeout=60)
    assert result.returncode == 2
    assert "camera source 'nowhere': no such file or folder" in result.stderr


def test_launch_config_and_rviz_files_are_installed(prefix):
    share = prefix / "share/dope_ros2"
    for name in (
        "launch/dope.launch.py",
        "launch/two_cameras.launch.py",
        "launch/rectify.launch.py",
        "config/dope.yaml",
        "config/dope.rviz",
        "config/objects.yaml",
    ):
        assert (share / name).read_bytes() == (REPO / name).read_bytes()


def test_own_weights_are_installed_and_foreign_ones_are_not(prefix):
    assert [path.name for path in (prefix / "share/dope_ros2/weights").iterdir()] == ["own.safetensors"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(REPO)))
def test_manifests_are_format_3_with_licence_and_a_well_formed_address(path):
    root = ElementTree.parse(path).getroot()
    assert root.get("format") == "3"
    assert root.findtext("license") == "Apache-2.0"
    address = root.find("maintainer").get("email")
    assert re.fullmatch(r"[\w.-]+@[\w-]+(\.[\w-]+)+", parseaddr(address)[1])


def test_every_version_is_the_same():
    versions = {
        ElementTree.parse(path).getroot().findtext("version") for path in MANIFESTS if "compat" not in path.parts
    }
    versions |= set(re.findall(r'^version = "(.+)"', (REPO / "msg/pyproject.toml").read_text(), re.MULTILINE))
    assert versions == {dope_ros2.__version__}
