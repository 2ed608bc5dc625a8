"""What is missing, and a command that installs it without breaking what apt has installed."""

import sys
from importlib import metadata

import pytest

from dope_ros2.common import python_packages
from dope_ros2.common.command_runner import guarded, load_function
from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import BASE, EXTRAS, pip_install, remedy, too_old, unmet

TORCH = "pip install uv && uv pip install torch --torch-backend=auto"
ONNX = EXTRAS["engines"][0]


@pytest.fixture
def noble(monkeypatch):
    """The versions of Ubuntu 24.04 in an environment of one's own, and what is installed besides."""
    installed = {"numpy": "1.26.4", "pydantic": "1.10.14", "scipy": "1.11.4"}

    def version(name):
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(python_packages, "_managed", lambda: False)
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    return installed


def test_beside_numpy_1_pip_is_told_to_leave_it(noble):
    assert pip_install("onnx>=1.16", "openvino") == 'pip install "onnx>=1.16" openvino "numpy<2"'
    noble["numpy"] = "2.4.6"
    assert pip_install("openvino") == "pip install openvino"


def test_what_needs_numpy_2_goes_into_an_environment_of_its_own(noble):
    assert "make setup && . .venv/bin/activate && pip install" in pip_install(*EXTRAS["view"])
    noble["numpy"] = "2.4.6"
    assert pip_install(*EXTRAS["view"]) == 'pip install "rerun-sdk>=0.41"'


def test_torch_is_the_build_for_the_gpu_that_is_there_or_for_cpus(noble):
    assert pip_install("torch>=2.1") == TORCH
    assert pip_install("torch>=2.1", "zarr") == f'{TORCH} && pip install zarr "numpy<2"'


def test_where_the_system_refuses_pip_the_command_makes_an_environment_first(noble, monkeypatch):
    monkeypatch.setattr(python_packages, "_managed", lambda: True)
    make = "python3 -m venv --system-site-packages ~/dope_venv && . ~/dope_venv/bin/activate && "
    told = f'activate your environment, or make one: {make}pip install rosbags "numpy<2"'
    assert pip_install("rosbags") == told


def test_a_python_is_managed_where_its_distribution_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(python_packages.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    assert not python_packages._managed()
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    assert python_packages._managed()
    monkeypatch.setattr(sys, "base_prefix", "elsewhere")  # an environment is one's own
    assert not python_packages._managed()


@pytest.mark.parametrize(
    ("installed", "old"), [("1.10.14", True), ("2.4", True), ("2.5", False), ("2.14.3", False), ("2.5.0rc1", False)]
)
def test_versions_are_compared_by_their_numbers(noble, installed, old):
    noble["pydantic"] = installed
    assert too_old("pydantic>=2.5") == (installed if old else None)


def test_a_package_of_apt_that_states_no_version_counts_as_installed(noble):
    assert "opencv-python-headless" not in noble
    assert not [each for each in unmet(BASE) if each.startswith("opencv")]


def test_the_remedy_of_one_module_installs_all_that_its_verbs_need(noble, monkeypatch):
    monkeypatch.setattr(python_packages, "_is_here", lambda module: module not in ("zarr", "xatlas"))
    text = remedy(ModuleNotFoundError(name="zarr.storage"))
    noble["zarr"] = "2.17"
    assert text == (
        "pydantic 1.10.14 is too old, not installed: xatlas, zarr; "
        'pip install "pydantic>=2.5" "xatlas>=0.0.9" "zarr>=3" "numpy<2"'
    )
    assert "zarr 2.17 is too old" in remedy(ImportError("no LocalStore", name="zarr.storage"))


@pytest.mark.parametrize(
    ("module", "distribution", "text"),
    [
        ("vision_msgs.msg", "jazzy", "vision_msgs is not installed: sudo apt-get install ros-jazzy-vision-msgs"),
        ("rclpy", None, "rclpy is not found: `source` the setup.bash of ROS 2 and of the workspace first"),
        ("dope_msgs.msg", "jazzy", "dope_msgs is not built: `colcon build && source install/setup.bash`"),
        ("flask", None, 'flask is not installed; pip install flask "numpy<2"'),
    ],
)
def test_other_modules_have_a_remedy_too(noble, monkeypatch, module, distribution, text):
    if distribution:
        monkeypatch.setenv("ROS_DISTRO", distribution)
    assert remedy(ModuleNotFoundError(name=module)).startswith(text)


def test_mixed_versions_of_numpy_are_a_line_about_numpy(noble):
    assert 'pip install "numpy<2"' in remedy(ImportError("numpy.core.multiarray failed to import"))


def test_an_old_package_is_refused_although_it_can_be_imported(noble, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", object())
    noble["zarr"] = "2.17"
    with pytest.raises(UserError, match=r"`dope carton` cannot run: .*zarr 2.17 is too old"):
        load_function("dope_datagen.carton:main", "carton")


def test_a_package_that_is_missed_later_is_one_line_too(noble, capsys):
    def later(_):
        import not_a_package_at_all  # noqa: F401

    assert guarded(later, [], "dope convert") == 2
    assert capsys.readouterr().err.startswith(
        "dope convert: error: cannot go on: not_a_package_at_all is not installed"
    )


def test_a_missing_module_of_our_own_is_a_fault_and_keeps_its_traceback():
    with pytest.raises(ModuleNotFoundError):
        load_function("dope_ros2.commands.not_there:main", "x")
