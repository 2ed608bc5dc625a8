"""DOPE as published (Tremblay et al., CoRL 2018), with the layer names of existing checkpoints."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dope_ros2.network.channels import AFFINITY_CHANNELS, BELIEF_CHANNELS


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
            inputs = 128 if stage == 1 else 128 + BELIEF_CHANNELS + AFFINITY_CHANNELS
            setattr(self, f"m{stage}_2", _stage(inputs, BELIEF_CHANNELS, stage == 1))
            setattr(self, f"m{stage}_1", _stage(inputs, AFFINITY_CHANNELS, stage == 1))

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
            [
                beliefs,
                BELIEF_CHANNELS + affinities,
                torch.arange(BELIEF_CHANNELS + AFFINITY_CHANNELS, 128 + BELIEF_CHANNELS + AFFINITY_CHANNELS),
            ]
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
