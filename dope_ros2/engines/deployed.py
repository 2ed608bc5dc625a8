"""A network as it is deployed: pictures as cameras give them in, maps as the decoder wants them out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dope_ros2.network import MULTIPLE
from dope_ros2.weights import Metadata

INPUT, OUTPUTS = "images", ("belief", "affinity", "surface")


class Deployed(nn.Module):
    """Normalisation, network, and the surface as probabilities, in one graph."""

    def __init__(self, network: nn.Module, metadata: Metadata) -> None:
        super().__init__()
        self.network = network
        for name, values in (("mean", metadata.mean), ("std", metadata.std)):
            self.register_buffer(name, 255 * torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(N, H, W, 3) uint8 RGB to belief, affinity and, where the network has it, surface."""
        x = images.permute(0, 3, 1, 2).to(self.mean.dtype)
        belief, affinity, *surface = self.network((x - self.mean) / self.std)
        return belief, affinity, *(logits.sigmoid() for logits in surface)


def example(count: int = 2) -> Tensor:
    """Pictures of the smallest size whose sides differ, to trace a network with."""
    return torch.zeros(count, 2 * MULTIPLE, 3 * MULTIPLE, 3, dtype=torch.uint8)
