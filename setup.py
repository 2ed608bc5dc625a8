"""One distribution, three ROS package names; plain `colcon build` also builds the interface package in msg/.

colcon does not look for packages inside a package, so `msg/` (dope_msgs) is built from here, into the same prefix.
Where it is a package of the workspace, through a link to it, colcon builds it first and nothing is built here
(docs/decisions/0024-dope-msgs-in-a-workspace.md). pip builds it by its own: `pip install . ./msg`.
"""

import os
import re
import subprocess
import sys
from itertools import groupby, product
from pathlib import Path
from runpy import run_path

from setuptools import find_namespace_packages, setup
from setuptools.command.develop import develop
from setuptools.command.install import install

HERE = Path(__file__).resolve().parent
NAMES = ["dope_ros2", "dope_datagen", "dope_training"]
STAND_IN = "that dope_ros2 uses, for systems that have no"  # manifests of msg/compat, which once got into workspaces
PACKAGES = run_path(str(HERE / "dope_ros2/common/python_packages.py"))


def sourced():
    """The prefixes of AMENT_PREFIX_PATH, the first to be searched first."""
    return [Path(p).resolve() for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]


def check_ros(prefix):
    """End with a line where ROS 2 lacks what the interfaces and the nodes need, or an earlier build hides it."""
    for place, name in product([prefix, *sourced()], ("tf2_msgs", "vision_msgs")):
        manifest = place / "share" / name / "package.xml"
        if (place / "share/colcon-core").is_dir() and manifest.is_file() and STAND_IN in manifest.read_text():
            sys.exit(
                f"{place} has a part of {name} from a build of an earlier version, which hides the whole. "
                f"Delete it and build again in a new shell: rm -r {place}"
            )
    needs = ("rosidl_default_generators", "tf2_msgs", "vision_msgs")
    missing = [name for name in needs if not any((place / "share" / name).is_dir() for place in sourced())]
    if missing and not os.environ.get("ROS_DISTRO"):
        sys.exit("no ROS 2 is sourced; before colcon build: source /opt/ros/<distribution>/setup.bash")
    if missing:
        packages = " ".join(f"ros-{os.environ['ROS_DISTRO']}-{name.replace('_', '-')}" for name in missing)
        sys.exit(
            f"missing: {', '.join(missing)}; sudo apt install {packages} "
            "(or all that the workspace needs: rosdep install --from-paths src --ignore-src)"
        )


def other_interfaces(prefix):
    """The prefix of a dope_msgs that is a package of its own and has the interfaces of msg/, if that is sourced."""
    for place in sourced():
        built_by_colcon = (place / "share/colcon-core/packages/dope_msgs").is_file()
        if (place / "share/dope_msgs").is_dir() and (place != prefix or built_by_colcon):
            files = [file for kind in ("msg", "srv", "action") for file in (HERE / "msg").glob(f"*.{kind}")]
            installed = [place / "share/dope_msgs" / file.suffix[1:] / file.name for file in files]
            same = all(b.is_file() and a.read_bytes() == b.read_bytes() for a, b in zip(files, installed, strict=True))
            return place if same else None
    return None


def build_interfaces(prefix, build, root=None):
    """Build msg/ with CMake into `prefix` (below `root`), unless dope_msgs is there as a package of its own."""
    prefix, build = Path(prefix).resolve(), Path(build).resolve()
    check_ros(prefix)
    if place := other_interfaces(prefix):
        if place != prefix and (prefix / "share/dope_msgs").is_dir() and (prefix / "share/colcon-core").is_dir():
            sys.exit(
                f"{prefix} has dope_msgs from an earlier build, which would hide that of {place}. "
                f"Delete it and build again in a new shell: rm -r {prefix}"
            )
        return
    options = {
        "CMAKE_INSTALL_PREFIX": prefix,
        "Python3_EXECUTABLE": sys.executable,
        "BUILD_TESTING": "OFF",
        "CMAKE_BUILD_TYPE": "Release",
    }
    configure = ["cmake", "-S", str(HERE / "msg"), "-B", str(build), *(f"-D{k}={v}" for k, v in options.items())]
    install = ["cmake", "--build", str(build), "--target", "install", "-j", str(os.cpu_count() or 1)]
    staged = os.environ | ({"DESTDIR": str(Path(root).resolve())} if root else {})
    try:
        subprocess.check_call(configure)
        subprocess.check_call(install, env=staged)
    except FileNotFoundError:
        sys.exit("dope_msgs cannot be built: no cmake; sudo apt install cmake")
    except subprocess.CalledProcessError:
        sys.exit("dope_msgs could not be built; the reason is above")


class Install(install):
    """`setup.py install`, as colcon calls it; a wheel gets no interfaces, since they are a wheel of their own."""

    def run(self):
        super().run()
        if self.distribution.get_command_obj("bdist_wheel", create=False) is None:
            prefix, root = self.install_data, self.root
            if root:  # setuptools has put it in front of every place
                prefix = "/" + os.path.relpath(prefix, root)
            build_interfaces(prefix, Path(self.build_base or "build") / "dope_msgs", root)


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
