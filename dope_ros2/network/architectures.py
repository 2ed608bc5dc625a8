"""The networks: an image in, per object nine belief maps and sixteen affinity channels out.

`Paper` is DOPE as published (Tremblay et al., CoRL 2018), with the layer names of existing checkpoints.
`DopeLite` is ours: one light network for all objects; `DopeM` is the same, larger, for GPUs. All take (B, 3, H, W)
normalised RGB, H and W multiples of 32, and return `belief` (B, C, 9, h, w) and `affinity` (B, C, 16, h, w) at
stride 8, C objects; the last two a third, `surface` (B, C, 4, h, w).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from dope_ros2.network import efficientnet_lite

BELIEFS = 9
AFFINITIES = 16
SURFACE = 4
STRIDE = 8
MULTIPLE = 32  # the light network wants sides that are multiples of its coarsest stride


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
        self.features = efficientnet_lite.Features()
        self.known = nn.ModuleList(
            nn.Sequential(*conv_norm(width, self.WIDTH, 1)) for width in efficientnet_lite.WIDTHS
        )
        self.smooth = nn.Sequential(*conv_norm(self.WIDTH, self.WIDTH, 3), nn.ReLU(inplace=True), Residual(self.WIDTH))
        self.surface = nn.Conv2d(self.WIDTH, objects * SURFACE, 1)
        self.merge = nn.Sequential(
            *conv_norm(self.WIDTH + objects * SURFACE, self.WIDTH, 3), nn.ReLU(inplace=True), Residual(self.WIDTH)
        )
        self.head = nn.Conv2d(self.WIDTH, objects * (BELIEFS + AFFINITIES), 1)
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
        maps = maps.unflatten(1, (self.objects, BELIEFS + AFFINITIES))
        return maps[:, :, :BELIEFS], maps[:, :, BELIEFS:], surface.unflatten(1, (self.objects, SURFACE))


class DopeM(DopeLite):
    """The light network with four times the work: 60 GFLOP at 640x480, a tenth of `Paper`'s."""

    WIDTHS, DEPTHS = (72, 160, 320, 512), (2, 3, 4, 3)
    STEM, WIDTH = 48, 192


def _vgg() -> nn.Sequential:
    """VGG-19 up to conv4_2, then two adapters to 128 channels; indices as in published checkpoints."""
    layers: list[nn.Module] = []
    inputs = 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 256, 128):
        if width == 0:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
        inputs = width
    return nn.Sequential(*layers)


def _stage(inputs: int, outputs: int, first: bool) -> nn.Sequential:
    """One belief or affinity head: 3x3 convolutions in the first stage, 7x7 ones afterwards."""
    kernel, count, wide = (3, 3, 512) if first else (7, 5, 128)
    layers: list[nn.Module] = []
    for _ in range(count):
        layers += [nn.Conv2d(inputs, 128, kernel, padding=kernel // 2), nn.ReLU(inplace=True)]
        inputs = 128
    layers += [nn.Conv2d(128, wide, 1), nn.ReLU(inplace=True), nn.Conv2d(wide, outputs, 1)]
    return nn.Sequential(*layers)


class Paper(nn.Module):
    """DOPE with six stages and 50,267,350 parameters, for one object.

    State-dict keys: `vgg`, then `m{1..6}_2` (belief) and `m{1..6}_1` (affinity).
    """

    STAGES = 6

    def __init__(self, objects: int = 1) -> None:
        super().__init__()
        if objects != 1:
            raise ValueError(f"the paper's network knows one object, not {objects}")
        self.vgg = _vgg()
        for stage in range(1, self.STAGES + 1):
            inputs = 128 if stage == 1 else 128 + BELIEFS + AFFINITIES
            setattr(self, f"m{stage}_2", _stage(inputs, BELIEFS, stage == 1))
            setattr(self, f"m{stage}_1", _stage(inputs, AFFINITIES, stage == 1))

    def stages(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Belief (B, 9, h, w) and affinity (B, 16, h, w) of each of the six stages."""
        features = self.vgg(x)
        outputs: list[tuple[Tensor, Tensor]] = []
        inputs = features
        for stage in range(1, self.STAGES + 1):
            belief, affinity = getattr(self, f"m{stage}_2")(inputs), getattr(self, f"m{stage}_1")(inputs)
            outputs.append((belief, affinity))
            inputs = torch.cat([belief, affinity, features], 1)
        return outputs

    @torch.no_grad()
    def renumber(self, order: Sequence[int]) -> None:
        """Let keypoint k of all stages be the one that was order[k] (9,); the last stays the last."""
        beliefs = torch.as_tensor(order)
        affinities = (2 * beliefs[:-1, None] + torch.arange(2)).flatten()
        inputs = torch.cat(
            [beliefs, BELIEFS + affinities, torch.arange(BELIEFS + AFFINITIES, 128 + BELIEFS + AFFINITIES)]
        )
        for stage in range(1, self.STAGES + 1):
            for name, outputs in ((f"m{stage}_2", beliefs), (f"m{stage}_1", affinities)):
                first, last = getattr(self, name)[0], getattr(self, name)[-1]
                last.weight.copy_(last.weight[outputs])
                last.bias.copy_(last.bias[outputs])
                if stage > 1:
                    first.weight.copy_(first.weight[:, inputs])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) to the last stage's belief (B, 1, 9, H/8, W/8) and affinity (B, 1, 16, H/8, W/8)."""
        belief, affinity = self.stages(x)[-1]
        return belief[:, None], affinity[:, None]


ARCHITECTURES = {"dope-lite": DopeLite, "dope-m": DopeM, "paper": Paper}
