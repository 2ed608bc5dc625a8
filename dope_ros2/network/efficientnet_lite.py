"""What a network that was trained on photographs sees: the first stages of EfficientNet-Lite0.

Layers and weights are those of the published network (Tan and Le, ICML 2019, in its variant without squeeze and
excitation, with ReLU6); batch normalisation and the scale of colours are folded into the convolutions. They stay as
they are in training.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

STEM = 32
# Of each stage: blocks, kernel, stride of the first block, how much wider its inside is, channels.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112))
FINE, MIDDLE = 2, 4  # stages whose output is used, at strides 8 and 16
WIDTHS = (STAGES[FINE][-1], STAGES[MIDDLE][-1])


class Padded(nn.Conv2d):
    """A convolution that pads as TensorFlow does: with stride 2 and even sides, less at the top left."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H / stride, W / stride)."""
        whole = self.kernel_size[0] - self.stride[0]
        before = whole // 2
        if after := whole - 2 * before:
            x = functional.pad(x, (0, after, 0, after))
        return functional.conv2d(x, self.weight, self.bias, self.stride, before, groups=self.groups)


class Block(nn.Module):
    """An inverted residual: widen, look around in each channel, narrow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, wider: int) -> None:
        super().__init__()
        width = inputs * wider
        widen = [Padded(inputs, width, 1), nn.ReLU6(inplace=True)] if wider > 1 else []
        around = [Padded(width, width, kernel, stride, groups=width), nn.ReLU6(inplace=True)]
        self.body = nn.Sequential(*widen, *around, Padded(width, outputs, 1))
        self.short = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H / stride, W / stride)."""
        return x + self.body(x) if self.short else self.body(x)


class EfficientNetLite0(nn.Module):
    """The fixed layers; random until weights are loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(Padded(3, STEM, 3, 2), nn.ReLU6(inplace=True))
        self.stages = nn.ModuleList()
        inputs = STEM
        for depth, kernel, stride, wider, width in STAGES:
            blocks = [Block(inputs, width, kernel, stride, wider)]
            blocks += [Block(width, width, kernel, 1, wider) for _ in range(depth - 1)]
            self.stages.append(nn.Sequential(*blocks))
            inputs = width
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) normalised by ImageNet's figures to (B, 40, H/8, W/8) and (B, 112, H/16, W/16)."""
        x = self.stem(x)
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs[FINE], outputs[MIDDLE]
