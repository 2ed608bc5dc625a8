"""The Python packages that parts of this package need, and the command that installs those that are missing.

setup.py runs this file by its path.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

BASE = (
    "numpy>=1.26",
    "opencv-python-headless>=4.6",
    "pyyaml>=6",
    "safetensors>=0.4",
    "scipy>=1.11",
    "torch>=2.1",
    "typer>=0.9",
)
EXTRAS = {
    "bags": ("rosbags>=0.10",),
    # Openvino makes the node twice as fast on a CPU; the other two are for ONNX files.
    "engines": ("onnx>=1.16", "onnxruntime>=1.18", "openvino>=2024.4"),
    # Loops of the refinement, compiled: drawing an object is quicker with it.
    "speed": ("numba>=0.59",),
    "datagen": (
        "fast-simplification>=0.1.7",
        "matplotlib>=3.6",
        "moderngl>=5.10",
        "openexr>=3.3",
        "pillow>=10",
        "pybullet>=3.2.6",
        "pydantic>=2.5",
        "reportlab>=4",
        "tqdm>=4.60",
        "trimesh>=4",
        "xatlas>=0.0.9",
        "zarr>=3",
    ),
    "path": ("mitsuba>=3.5", "pyoidn>=2.3"),
    "beam": ("apache-beam>=2.71",),
    "training": ("lightning>=2.2", "matplotlib>=3.6", "pydantic>=2.5", "tensorboard>=2.14", "tqdm>=4.60", "zarr>=3"),
    "view": ("rerun-sdk>=0.41",),
}
EXTRA_OF = {"dope_datagen": "datagen", "dope_training": "training"}  # what the verbs of each package need
MODULES = {  # what is imported, where it is not called as the package
    "apache-beam": "apache_beam",
    "fast-simplification": "fast_simplification",
    "opencv-python-headless": "cv2",
    "openexr": "OpenEXR",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "rerun-sdk": "rerun",
}
NEEDS_NUMPY_2 = {"rerun-sdk"}  # which what apt built for NumPy 1 does not bear, ROS messages among it
# It takes the build for the GPU that is there or, where none is, the one for CPUs, a tenth of the size.
INSTALL_TORCH = "pip install uv && uv pip install {} --torch-backend=auto"
ROS_MODULE = re.compile(
    r"(rclpy|rosidl_\w+|ament_index_python|launch|launch_ros|tf2_\w+|\w+_msgs|\w+_interfaces|std_srvs)$"
)


def package(requirement: str) -> str:
    """The name in "name>=version"."""
    return re.split(r"[<>=!\[]", requirement)[0]


def module_of(requirement: str) -> str:
    """The module that one imports from a package."""
    name = package(requirement)
    return MODULES.get(name, name)


def too_old(requirement: str) -> str | None:
    """The installed version, where it is lower than "name>=version" asks; apt's OpenCV states none."""
    _, _, lowest = requirement.partition(">=")
    try:
        installed = metadata.version(package(requirement))
    except metadata.PackageNotFoundError:
        return None
    return installed if _numbers(installed) < _numbers(lowest) else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", re.match(r"[\d.]*", version)[0])))


def unmet(requirements: Iterable[str]) -> list[str]:
    """Those that are not installed, or too old."""
    return [each for each in requirements if too_old(each) or not _is_here(module_of(each))]


def _is_here(module: str) -> bool:
    try:
        return sys.modules.get(module) is not None or find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _reasons(requirements: list[str]) -> str:
    old = [f"{package(each)} {too_old(each)} is too old" for each in requirements if too_old(each)]
    absent = [package(each) for each in requirements if not too_old(each)]
    return ", ".join(old + ([f"not installed: {', '.join(absent)}"] if absent else []))


def pip_install(*requirements: str) -> str:
    """The command that installs packages beside those of apt, without replacing NumPy 1 under what was built for it.

    Where pip may not touch this Python (PEP 668), the command makes an environment first that sees apt's packages.
    """
    if _numpy_bound() and set(map(package, requirements)) & NEEDS_NUMPY_2:
        inside = f"pip install {' '.join(map(_quoted, requirements))}"
        return f"since it needs NumPy 2, in an environment of its own: make setup && . .venv/bin/activate && {inside}"
    torch = [package(each) for each in requirements if package(each) in ("torch", "torchvision")]
    others = [each for each in requirements if package(each) not in torch]
    parts = [INSTALL_TORCH.format(" ".join(torch))] if torch else []
    if others:
        parts.append(f"pip install {' '.join(map(_quoted, [*others, *_numpy_bound()]))}")
    venv = "~/dope_venv"
    make = [f"python3 -m venv --system-site-packages {venv}", f". {venv}/bin/activate"] if _managed() else []
    return ("activate your environment, or make one: " if make else "") + " && ".join([*make, *parts])


def _quoted(requirement: str) -> str:
    return f'"{requirement}"' if re.search(r"[<>=\[]", requirement) else requirement


def _numpy_bound() -> list[str]:
    try:
        return ["numpy<2"] if _numbers(metadata.version("numpy")) < (2,) else []
    except metadata.PackageNotFoundError:
        return []


def _managed() -> bool:
    """This is the system's Python, which refuses pip."""
    return sys.prefix == sys.base_prefix and Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").is_file()


def check_versions(extra: str) -> None:
    """Check what has been imported of an extra.

    Raises:
        ImportError: one of its packages is too old.
    """
    for each in EXTRAS.get(extra, ()):
        if module_of(each) in sys.modules and too_old(each):
            raise ImportError(f"{each} is needed", name=module_of(each))


def remedy(error: ImportError, extra: str = "") -> str:
    """Why something cannot be imported, and what to type; the command installs all of an extra, by default its own."""
    top = (error.name or "").partition(".")[0]
    if ROS_MODULE.match(top):
        return _ros_remedy(top)
    extra = extra or next((name for name, group in EXTRAS.items() if top in map(module_of, group)), "")
    missing = unmet((*BASE, *EXTRAS.get(extra, ())))
    if top in map(module_of, missing):
        return f"{_reasons(missing)}; {pip_install(*missing)}"
    if isinstance(error, ModuleNotFoundError):
        return f"{top} is not installed; {pip_install(top)}"
    mixed = 'where NumPy 2 lies over packages that apt built for NumPy 1: pip install "numpy<2"'
    return f"{' '.join(str(error).split())}; {mixed}"


def _ros_remedy(top: str) -> str:
    if top == "dope_msgs":
        return "dope_msgs is not built: `colcon build && source install/setup.bash`; without colcon `pip install ./msg`"
    if distribution := os.environ.get("ROS_DISTRO"):
        return f"{top} is not installed: sudo apt-get install ros-{distribution}-{top.replace('_', '-')}"
    return f"{top} is not found: `source` the setup.bash of ROS 2 and of the workspace first"
