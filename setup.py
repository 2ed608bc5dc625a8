"""One distribution, three ROS package names; plain `colcon build` also builds the interface package in msg/.

colcon does not look for packages inside a package, so `msg/` (dope_msgs) is built from here, into the same prefix,
where a ROS 2 toolchain is sourced. pip builds it by its own: `pip install . ./msg`.
"""

import os
import re
import shutil
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from runpy import run_path

from setuptools import find_namespace_packages, setup
from setuptools.command.develop import develop
from setuptools.command.install import install

HERE = Path(__file__).resolve().parent
NAMES = ["dope_ros2", "dope_datagen", "dope_training"]
PACKAGES = run_path(str(HERE / "dope_ros2/common/python_packages.py"))


def build_interfaces(prefix, build):
    """Build msg/ with CMake into `prefix`, if the rosidl generators are in a sourced ROS 2."""
    sourced = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    if not shutil.which("cmake") or not any(Path(p, "share/rosidl_default_generators").is_dir() for p in sourced):
        print("dope_msgs is not built: no cmake, or no rosidl_default_generators in AMENT_PREFIX_PATH", file=sys.stderr)
        return
    build = Path(build).resolve()
    options = {
        "CMAKE_INSTALL_PREFIX": Path(prefix).resolve(),
        "Python3_EXECUTABLE": sys.executable,
        "BUILD_TESTING": "OFF",
        "CMAKE_BUILD_TYPE": "Release",
    }
    defines = [f"-D{key}={value}" for key, value in options.items()]
    subprocess.check_call(["cmake", "-S", str(HERE / "msg"), "-B", str(build), *defines])
    subprocess.check_call(["cmake", "--build", str(build), "--target", "install", "-j", str(os.cpu_count() or 1)])


class Install(install):
    """`setup.py install`, as colcon calls it; a wheel gets no interfaces, since they are a wheel of their own."""

    def run(self):
        super().run()
        if self.distribution.get_command_obj("bdist_wheel", create=False) is None:
            build_interfaces(self.install_data, Path(self.build_base or "build") / "dope_msgs")


class Develop(develop):
    """`setup.py develop`, as `colcon build --symlink-install` calls it."""

    def run(self):
        super().run()
        if not self.uninstall:
            build_interfaces(self.prefix or sys.prefix, Path("build") / "dope_msgs")


def tree(source, target, exclude=()):
    """All files below `source` as data_files entries below `target`."""
    files = sorted(p for p in Path(source).rglob("*") if p.is_file() and p.suffix not in {".pyc", *exclude})
    folders = groupby(sorted(files, key=lambda p: p.parent), key=lambda p: p.parent)
    return [((target / f.relative_to(source)).as_posix(), [p.as_posix() for p in group]) for f, group in folders]


# resource/ is laid out as it is installed: ament index markers, a package.xml per name, executables in lib/<name>/.
share = Path("share/dope_ros2")
data_files = [
    (share.as_posix(), ["package.xml"]),
    *tree("resource", Path()),
    *tree("config", share / "config"),
    *tree("launch", share / "launch"),
    *tree("weights", share / "weights", exclude={".pth", ".partial"}),
]

extras = {
    # Real ROS 2 from the Python package index, for systems without an apt ROS 2; unpinned they resolve to Kilted.
    "ros": [
        "pytransform3d>=3.5",
        "ros-jazzy-rclpy[fastrtps]==7.1.6",
        "ros-rmw-fastrtps-cpp==8.4.3",
        "ros-ament-index-python==1.8.1",
        "ros-sensor-msgs==5.3.6",
        "ros-geometry-msgs==5.3.6",
        "ros-std-msgs==5.3.6",
        "ros-std-srvs==5.3.6",
        "ros-diagnostic-msgs==5.3.6",
        "ros-visualization-msgs==5.3.6",
    ],
    **PACKAGES["EXTRAS"],
    "test": ["pytest>=7", "pytest-xdist>=3.4", "hypothesis>=6.80", "ruff>=0.5", "setuptools>=70.1"],
}
# Not Beam and rerun: 330 and 670 MB for one command each, and Beam wants an older pillow.
extras["all"] = sorted({need for name, group in extras.items() if name != "beam" for need in group})
extras["view"] = ["rerun-sdk>=0.41"]
extras["test-view"] = [*extras["view"], "playwright>=1.45"]  # its page in a browser of the system

setup(
    name="dope_ros2",
    version=re.search(r"<version>(.+)</version>", (HERE / "package.xml").read_text()).group(1),
    description="Live 6-DoF pose estimation of known objects in ROS 2: the DOPE method, with datagen and training",
    maintainer="dope_ros2 maintainers",
    maintainer_email="maintainers@dope-ros2.example.org",
    license="Apache-2.0",
    packages=find_namespace_packages(include=[pattern for name in NAMES for pattern in (name, f"{name}.*")]),
    package_data={name: ["py.typed"] for name in NAMES},
    data_files=data_files,
    zip_safe=True,
    python_requires=">=3.11",
    install_requires=PACKAGES["BASE"],
    extras_require=extras,
    entry_points={"console_scripts": ["dope = dope_ros2.cli:main"]},
    cmdclass={"install": Install, "develop": Develop},
)
