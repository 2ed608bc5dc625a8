"""Targets drawn on the device, and the loss between them and the network's maps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from dope_ros2.maps import OFFSET_SCALE, MapSpec

IGNORED_BELOW = 0.25  # visible share under which an instance is neither asked for nor forbidden
PEAK_WEIGHT = 10.0  # how much more a cell at a target's peak counts than an empty one
AFFINITY_WEIGHT = 10.0  # votes are errors per cell, beliefs per keypoint


@dataclass(frozen=True, eq=False)
class Targets:
    """Maps of a batch: belief (B, C, 9, h, w), affinity (B, C, 16, h, w) and where each counts (0 or 1)."""

    belief: Tensor
    affinity: Tensor
    belief_counts: Tensor
    affinity_counts: Tensor


def draw_targets(batch: dict[str, Tensor], objects: int, spec: MapSpec) -> Targets:
    """Draw the maps of `dope_ros2.maps.encode` for a whole batch.

    Args:
        batch: image (B, S, S, 3), keypoints (B, M, 9, 2) [px], classes (B, M), visibility (B, M).
        objects: number of classes C.
        spec: stride, sigma and kind of affinity.
    """
    height, width = (side // spec.stride for side in batch["image"].shape[1:3])
    cells = (batch["keypoints"] - (spec.stride - 1) / 2) / spec.stride  # (B, M, 9, 2)
    ys = torch.arange(height, device=cells.device)
    xs = torch.arange(width, device=cells.device)
    dx = xs - cells[..., 0, None]  # (B, M, 9, w)
    dy = ys - cells[..., 1, None]  # (B, M, 9, h)
    squared = dx[..., None, :] ** 2 + dy[..., :, None] ** 2  # (B, M, 9, h, w)
    in_map = (cells > -0.5).all(-1) & (cells < cells.new_tensor([width - 0.5, height - 0.5])).all(-1)
    squared = squared.masked_fill(~in_map[..., None, None], torch.inf)
    wanted = batch["visibility"] >= IGNORED_BELOW
    maps = [_class_targets(squared, cells, wanted, batch["classes"] == c, spec) for c in range(objects)]
    belief, affinity, belief_counts, affinity_counts = (torch.stack(m, 1) for m in zip(*maps, strict=True))
    return Targets(belief, affinity, belief_counts, affinity_counts)


def _class_targets(squared: Tensor, cells: Tensor, wanted: Tensor, chosen: Tensor, spec: MapSpec) -> tuple[Tensor, ...]:
    """The maps of one class; `wanted` and `chosen` are (B, M)."""
    nearest = squared.masked_fill(~(chosen & wanted)[..., None, None, None], torch.inf).min(1)  # (B, 9, h, w)
    belief = torch.exp(-nearest.values / (2 * spec.sigma**2))
    ignored = squared.masked_fill(~(chosen & ~wanted)[..., None, None, None], torch.inf).amin(1)
    belief_counts = (ignored > (3 * spec.sigma) ** 2).float()
    arms = cells[:, :, 8:] - cells[:, :, :8]  # (B, M, 8, 2) corner to centre
    arms = functional.normalize(arms, dim=-1) if spec.affinity == "unit" else arms / OFFSET_SCALE
    owner = nearest.indices[:, :8].flatten(2)  # (B, 8, h * w)
    votes = [arms[..., axis].transpose(1, 2).gather(2, owner) for axis in (0, 1)]  # x and y, (B, 8, h * w)
    near = (nearest.values[:, :8] <= spec.radius**2).repeat_interleave(2, 1).float()
    affinity = torch.stack(votes, 2).flatten(1, 2).view_as(near) * near  # (B, 16, h, w)
    return belief, affinity, belief_counts, near


def belief_loss(belief: Tensor, affinity: Tensor, targets: Targets) -> dict[str, Tensor]:
    """Squared error of the beliefs per keypoint, peaks weighted up; smooth L1 of the affinities near corners."""
    weight = (1 + PEAK_WEIGHT * targets.belief) * targets.belief_counts
    keypoints = (targets.belief.flatten(3).amax(-1) > 0.5).sum().clamp(min=1)
    error = (weight * (belief.float() - targets.belief) ** 2).sum() / keypoints
    votes = functional.smooth_l1_loss(affinity.float(), targets.affinity, reduction="none", beta=0.1)
    votes = (votes * targets.affinity_counts).sum() / targets.affinity_counts.sum().clamp(min=1)
    return {"belief": error, "affinity": votes, "loss": error + AFFINITY_WEIGHT * votes}
