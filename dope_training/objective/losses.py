"""Targets drawn on the device, and the loss between them and the network's maps."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from dope_training.objective.targets import SurfaceTargets, Targets, count_maps, count_surface

PEAK_WEIGHT = 10.0  # how much more a cell at a target's peak counts than an empty one
AFFINITY_WEIGHT = 10.0  # votes are errors per cell, beliefs per keypoint
SURFACE_WEIGHT = 20.0


def belief_loss(
    belief: Tensor, affinity: Tensor, targets: Targets, counts: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Squared error of the beliefs per keypoint, peaks weighted up; smooth L1 of the affinities near corners.

    Args:
        belief: (B, C, 9, h, w).
        affinity: (B, C, 16, h, w).
        targets: what they should be.
        counts: what to divide by, where this is a part of a larger batch: the losses of the parts add up to its loss.
    """
    counts = count_maps(targets) if counts is None else counts
    weight = (1 + PEAK_WEIGHT * targets.belief) * targets.belief_counts
    error = (weight * (belief.float() - targets.belief) ** 2).sum() / counts["belief"].clamp(min=1)
    votes = functional.smooth_l1_loss(affinity.float(), targets.affinity, reduction="none", beta=0.1)
    votes = (votes * targets.affinity_counts).sum() / counts["affinity"].clamp(min=1)
    return {"belief": error, "affinity": votes, "loss": error + AFFINITY_WEIGHT * votes}


def surface_loss(
    surface: Tensor, targets: SurfaceTargets, counts: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Cross-entropies of the surface's logits (B, C, 4, h, w): of all cells `seen`, of own cells `coordinates`.

    `counts` as in `belief_loss`.
    """
    counts = count_surface(targets) if counts is None else counts
    entropy = functional.binary_cross_entropy_with_logits
    seen = entropy(surface[:, :, 0].float(), targets.seen, reduction="sum") / counts["seen"]
    wanted = targets.coordinates[:, None].expand_as(surface[:, :, 1:])
    each = entropy(surface[:, :, 1:].float(), wanted, reduction="none").mean(2)
    coordinates = (each * targets.seen).sum() / counts["coordinates"].clamp(min=1)
    return {"seen": seen, "coordinates": coordinates, "loss": SURFACE_WEIGHT * (seen + coordinates)}
