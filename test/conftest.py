import os
from pathlib import Path

import pytest

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
if IS_WORKER:  # workers share the cores among them; said before anything is imported that starts threads
    os.environ |= dict.fromkeys(THREADS, "1")

pytest_plugins = ["helpers.missing_packages", "helpers.node_processes"]

# Files that take longest, those that mostly wait beside those that compute. Begun first, none is left over at the end.
LONGEST = [
    "dope_training/trainer/test_resume.py",
    "dope_ros2/nodes/test_hard_to_kill.py",
    "dope_datagen/dataset/test_kill.py",
    "dope_ros2/nodes/test_camera_node.py",
    "dope_training/checks/test_overfit_check.py",
    "dope_ros2/nodes/test_managed_node.py",
    "dope_datagen/renderers/path/test_path_tracer.py",
    "dope_ros2/nodes/dope/test_recorder.py",
    "dope_training/trainer/test_loop.py",
    "dope_ros2/nodes/test_faults.py",
    "dope_ros2/nodes/test_fuzz_node.py",
    "dope_ros2/nodes/dope/test_depth_input.py",
    "dope_ros2/nodes/test_dope_node.py",
    "dope_ros2/estimation/test_fuzz_maps.py",
    "dope_ros2/nodes/dope/test_detect_action.py",
    "dope_training/test_train.py",
]
PLACES = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}


def pytest_collection_modifyitems(items):
    if IS_WORKER:
        items.sort(key=lambda item: PLACES.get(item.path, len(PLACES)))


@pytest.fixture
def denormals():
    """Training flushes denormal numbers to zero, in its process for good; this undoes it."""
    import torch

    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def places_of_objects():
    """Commands say in the environment where objects and meshes are; the next test does not want to know."""
    names = ("DOPE_OBJECTS", "DOPE_MODELS")
    before = {name: os.environ.get(name) for name in names}
    yield
    for name, value in before.items():
        os.environ.pop(name, None)
        os.environ |= {} if value is None else {name: value}
