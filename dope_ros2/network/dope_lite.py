"""Our light network for all objects at once, and its larger sister for GPUs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dope_ros2.network import efficientnet_lite
from dope_ros2.network.channels import AFFINITY_CHANNELS, BELIEF_CHANNELS, SURFACE_CHANNELS


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution without bias and its batch normalisation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """Two dense 3x3 convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv_norm(width, width, 3), nn.ReLU(inplace=True), *conv_norm(width, width, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Shape is kept."""
        return functional.relu(x + self.body(x))


class DopeLite(nn.Module):
    """A dense residual trunk, a top-down pyramid to stride 8, and two heads, the second of which sees the first.

    The first says of every cell whether it shows the object and where on the cuboid (`surface`), the second draws
    the maps. Features of a network that knows photographs come in beside the trunk. Why: docs/decisions/
    0006-light-network.md, 0007-surface-head.md and 0019-features-of-photographs-and-muon.md.
    """

    WIDTHS, DEPTHS = (48, 96, 192, 384), (1, 2, 3, 2)  # at strides 4, 8, 16, 32
    STEM, WIDTH = 32, 96

    def __init__(self, objects: int) -> None:
        super().__init__()
        self.objects = objects
        self.stem = nn.Sequential(*conv_norm(3, self.STEM, 3, 2), nn.ReLU(inplace=True))
        self.trunk = nn.ModuleList()
        inputs = self.STEM
        for width, depth in zip(self.WIDTHS, self.DEPTHS, strict=True):
            down = nn.Sequential(*conv_norm(inputs, width, 3, 2), nn.ReLU(inplace=True))
            self.trunk.append(nn.Sequential(down, *(Residual(width) for _ in range(depth - 1))))
            inputs = width
        self.lateral = nn.ModuleList(nn.Conv2d(width, self.WIDTH, 1) for width in self.WIDTHS[1:])
        self.features = efficientnet_lite.EfficientNetLite0()
        self.known = nn.ModuleList(
            nn.Sequential(*conv_norm(width, self.WIDTH, 1)) for width in efficientnet_lite.WIDTHS
        )
        self.smooth = nn.Sequential(*conv_norm(self.WIDTH, self.WIDTH, 3), nn.ReLU(inplace=True), Residual(self.WIDTH))
        self.surface = nn.Conv2d(self.WIDTH, objects * SURFACE_CHANNELS, 1)
        self.merge = nn.Sequential(
            *conv_norm(self.WIDTH + objects * SURFACE_CHANNELS, self.WIDTH, 3),
            nn.ReLU(inplace=True),
            Residual(self.WIDTH),
        )
        self.head = nn.Conv2d(self.WIDTH, objects * (BELIEF_CHANNELS + AFFINITY_CHANNELS), 1)
        for layer in (self.surface, self.head):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to belief (B, C, 9, H/8, W/8), affinity (B, C, 16, H/8, W/8) and surface (B, C, 4, H/8, W/8).

        The surface's channels are logits: the object is seen here; x, y, z of what is seen, 0 to 1 across its cuboid.
        """
        known = [layer(f) for layer, f in zip(self.known, self.features(x), strict=True)]
        x = self.stem(x)
        levels = []
        for stage in self.trunk:
            x = stage(x)
            levels.append(x)
        fine, middle, coarse = (layer(f) for layer, f in zip(self.lateral, levels[1:], strict=True))
        fine, middle = fine + known[0], middle + known[1]
        middle = middle + functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        fine = fine + functional.interpolate(middle, scale_factor=2.0, mode="nearest")
        fine = self.smooth(fine)
        surface = self.surface(fine)
        maps = self.head(self.merge(torch.cat([fine, surface.sigmoid()], 1)))
        maps = maps.unflatten(1, (self.objects, BELIEF_CHANNELS + AFFINITY_CHANNELS))
        return (
            maps[:, :, :BELIEF_CHANNELS],
            maps[:, :, BELIEF_CHANNELS:],
            surface.unflatten(1, (self.objects, SURFACE_CHANNELS)),
        )


class DopeM(DopeLite):
    """The light network with four times the work: 60 GFLOP at 640x480, a tenth of `Paper`'s."""

    WIDTHS, DEPTHS = (72, 160, 320, 512), (2, 3, 4, 3)
    STEM, WIDTH = 48, 192
