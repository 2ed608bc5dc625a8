"""Muon (Jordan et al., 2024): momentum whose matrices are made orthogonal before they are followed.

All directions that a layer's gradients agree on are followed equally far, not the strongest ones the farthest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
QUINTIC, NEWTON_SCHULZ_STEPS = (3.4445, -4.775, 2.0315), 5  # of the Newton-Schulz iteration
MATCH = 0.2  # root mean square of AdamW's steps at the same rate (Liu et al., 2025)
TINY = 1e-8


class Muon(torch.optim.AdamW):
    """Muon for the groups of parameters with `muon`, AdamW for the others; both take the same learning rate."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Make one step."""
        ours = [group for group in self.param_groups if group["muon"]]
        for group in ours:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._follow(weight, group)
        every = self.param_groups
        try:
            self.param_groups = [group for group in every if not group["muon"]]
            super().step(closure)
        finally:
            self.param_groups = every

    def _follow(self, weight: Tensor, group: dict) -> None:
        state = self.state[weight]
        if not state:
            state |= {"step": torch.zeros(()), "momentum": torch.zeros_like(weight)}  # AdamW asks for the former
        state["step"] += 1
        mean = state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
        ahead = torch.lerp(weight.grad, mean, MOMENTUM)  # as Nesterov
        step = orthogonal(ahead.flatten(1)).view_as(weight)
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(step, alpha=-group["lr"] * MATCH * max(len(weight), weight[0].numel()) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix whose singular values are all about 1, within 0.4; the shape (M, N) is kept.

    Those below a hundredth of the whole stay smaller.

    Newton-Schulz in the smaller Gram matrix: every iterate is a polynomial of it times the matrix.
    """
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.T).T
    a, b, c = QUINTIC
    X = matrix.float() / (matrix.float().norm() + TINY)
    gram = X @ X.T
    eye = torch.eye(len(gram), device=gram.device)
    whole = eye
    for _ in range(NEWTON_SCHULZ_STEPS):
        factor = a * eye + b * gram + c * (gram @ gram)
        whole = factor @ whole
        gram = factor @ gram @ factor
    return whole @ X


def hidden_matrices(network: nn.Module) -> list[Tensor]:
    """The parameters that Muon is for: matrices that a normalisation follows, which therefore have no bias."""
    layers = (m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    return [layer.weight for layer in layers if layer.bias is None]
