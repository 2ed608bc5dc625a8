"""The networks: an image in, per object nine belief maps and sixteen affinity channels out.

`Paper` is DOPE as published (Tremblay et al., CoRL 2018), with the layer names of existing checkpoints.
`DopeLite` is ours: one light network for all objects; `DopeM` is the same, larger, for GPUs. All take (B, 3, H, W)
normalised RGB, H and W multiples of 32, and return `belief` (B, C, 9, h, w) and `affinity` (B, C, 16, h, w) at
stride 8, C objects; the last two a third, `surface` (B, C, 4, h, w).
"""

from __future__ import annotations

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dope_ros2.common.errors import UserError, closest, one_line
from dope_ros2.common.resources import share
from dope_ros2.network.dope_lite import DopeLite, DopeM
from dope_ros2.network.dope_paper import Paper

FEATURES = "efficientnet-lite0.safetensors"  # in the package's weights/


ARCHITECTURES = {"dope-lite": DopeLite, "dope-m": DopeM, "paper": Paper}


def make_network(architecture: str, objects: int) -> nn.Module:
    """Make the named network for a number of objects, with random weights."""
    if architecture not in ARCHITECTURES:
        raise UserError(f"no network {architecture!r}{closest(architecture, ARCHITECTURES)}")
    return ARCHITECTURES[architecture](objects)


def initial_network(architecture: str, objects: int) -> nn.Module:
    """Make the named network to be trained: random weights, but for features that stay as they are.

    Raises:
        UserError: there is no such network, or the file of the features is missing.
    """
    network = make_network(architecture, objects)
    if (features := getattr(network, "features", None)) is not None:
        path = share() / "weights" / FEATURES
        try:
            features.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
        except (OSError, RuntimeError, SafetensorError) as error:
            raise UserError(f"{path}: cannot be read ({one_line(error)}); install the package again") from error
    return network
