"""Images as cameras give them to images as a network takes them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """Subtracts a mean and divides by a deviation, channel by channel; a part of the graph that is exported."""

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        """Of RGB in [0, 1], as `Metadata` has them."""
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, 255 * torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB to (N, 3, H, W) of the buffers' type, channels last in memory."""
        return (images.permute(0, 3, 1, 2).to(self.mean.dtype) - self.mean) / self.std
