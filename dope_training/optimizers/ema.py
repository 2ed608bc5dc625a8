"""Exponential moving average of weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class ExponentialMovingAverage:
    """Exponential moving average of a module's tensors; quicker at first, so that a short run has one too."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self._decay = decay
        pairs = list(zip(self.module.state_dict().values(), module.state_dict().values(), strict=True))
        self._floats = [list(side) for side in zip(*[p for p in pairs if p[0].is_floating_point()], strict=True)]
        self._counters = [p for p in pairs if not p[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the module's weights after step number `step`, from 1."""
        torch._foreach_lerp_(*self._floats, 1 - min(self._decay, (step - 1) / (step + 9)))
        for mean, now in self._counters:
            mean.copy_(now)
