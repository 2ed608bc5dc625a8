"""What the network learns from at a step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class CropBatch(NamedTuple):
    """B crops of S x S pixels with up to M labelled objects each.

    Attributes:
        image: (B, S, S, 3) uint8 RGB.
        keypoints: (B, M, 9, 2) float32 in the crop, inside or not [px].
        classes: (B, M) int64, places in the recipe's objects; -1 where unused.
        visibility: (B, M) float32, visible pixels in the crop over those of the object alone.
        rays: (B, M, 3, 4) float32, see `crops.viewing_rays`.
        seen: (B, S, S) uint8, m + 1 where object m is seen.
    """

    image: Tensor
    keypoints: Tensor
    classes: Tensor
    visibility: Tensor
    rays: Tensor
    seen: Tensor

    @classmethod
    def of_keypoints(cls, keypoints: Tensor, size: tuple[int, int]) -> CropBatch:
        """One black crop of (height, width) [px] with visible objects of class 0 at keypoints (M, 9, 2) [px]."""
        count = len(keypoints)
        return cls(
            image=torch.zeros(1, *size, 3, dtype=torch.uint8), keypoints=keypoints[None],
            classes=torch.zeros(1, count, dtype=torch.int64), visibility=torch.ones(1, count),
            rays=torch.zeros(1, count, 3, 4), seen=torch.zeros(1, *size, dtype=torch.uint8),
        )  # fmt: skip

    def part(self, crops: slice) -> CropBatch:
        """Some of the crops."""
        return CropBatch(*(field[crops] for field in self))

    def to(self, device: torch.device | str) -> CropBatch:
        """The same on a device."""
        return CropBatch(*(field.to(device) for field in self))
