"""A network as it is deployed: images as cameras give them in, maps as the decoder wants them out."""

from __future__ import annotations

import io
import warnings
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import pip_install
from dope_ros2.network.channels import SIDE_MULTIPLE
from dope_ros2.network.metadata import Metadata
from dope_ros2.network.normalization import Normalize

INPUT, OUTPUTS = "images", ("belief", "affinity", "surface")
OPSET = 17


class Deployed(nn.Module):
    """Normalisation, network, and the surface as probabilities, in one graph."""

    def __init__(self, network: nn.Module, metadata: Metadata) -> None:
        super().__init__()
        self.normalize, self.network = Normalize(metadata.mean, metadata.std), network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, H, W, 3) uint8 RGB to belief, affinity and, where the network has it, surface."""
        belief, affinity, *surface = self.network(self.normalize(images))
        return belief, affinity, *(logits.sigmoid() for logits in surface)


def example(count: int = 2) -> Tensor:
    """Images of the smallest size whose sides differ, to trace a network with."""
    return torch.zeros(count, 2 * SIDE_MULTIPLE, 3 * SIDE_MULTIPLE, 3, dtype=torch.uint8)


def to_onnx(network: nn.Module, metadata: Metadata) -> bytes:
    """The network as an ONNX model, for images of any size and number.

    Raises:
        UserError: the package `onnx` is missing.
    """
    if find_spec("onnx") is None:
        raise UserError(f"needs the Python package 'onnx' to read weights; {pip_install('onnx')}")
    deployed, written = Deployed(network, metadata).eval().cpu(), io.BytesIO()
    with torch.no_grad():
        names = OUTPUTS[: len(deployed(example()))]
    axes = {name: {0: "n", 3: "h", 4: "w"} for name in names} | {INPUT: {0: "n", 1: "height", 2: "width"}}
    with warnings.catch_warnings():  # the newer exporter takes eight seconds and two packages more
        warnings.simplefilter("ignore")
        torch.onnx.export(
            deployed, (example(),), written, input_names=[INPUT], output_names=list(names), dynamic_axes=axes,
            opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    return written.getvalue()
