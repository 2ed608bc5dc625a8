import pytest

pytest_plugins = ["helpers.node_processes"]


@pytest.fixture
def denormals():
    """Training flushes denormal numbers to zero, in its process for good; this undoes it."""
    import torch

    yield
    torch.set_flush_denormal(False)
