"""What the network is trained to draw: belief, affinity and surface maps, for a whole batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from dope_ros2.network.belief_maps import OFFSET_SCALE, MapSpec
from dope_training.objective.crop_batch import CropBatch

MIN_TAUGHT_VISIBILITY = 0.25  # visible share under which an instance is neither asked for nor forbidden


class Targets(NamedTuple):
    """Maps of a batch: belief (B, C, 9, h, w), affinity (B, C, 16, h, w) and where each counts (0 or 1)."""

    belief: Tensor
    affinity: Tensor
    belief_counts: Tensor
    affinity_counts: Tensor


def draw_targets(batch: CropBatch, objects: int, spec: MapSpec) -> Targets:
    """Draw the maps of each class: a Gaussian at each keypoint, and around it the way to its object's centroid.

    Of several instances the nearest one counts. What is less visible than `MIN_TAUGHT_VISIBILITY` is not drawn, and
    its surroundings do not count. Belief channel k and affinity channels 2k and 2k + 1 (x and y) are those of corner k.

    Args:
        batch: crops, of which `seen` and `rays` are not looked at; they need not be square.
        objects: number of classes C.
        spec: stride, sigma and kind of affinity.
    """
    height, width = (side // spec.stride for side in batch.image.shape[1:3])
    cells = (batch.keypoints - (spec.stride - 1) / 2) / spec.stride  # (B, M, 9, 2)
    ys = torch.arange(height, device=cells.device)
    xs = torch.arange(width, device=cells.device)
    dx = xs - cells[..., 0, None]  # (B, M, 9, w)
    dy = ys - cells[..., 1, None]  # (B, M, 9, h)
    squared = dx[..., None, :] ** 2 + dy[..., :, None] ** 2  # (B, M, 9, h, w)
    in_map = (cells > -0.5).all(-1) & (cells < cells.new_tensor([width - 0.5, height - 0.5])).all(-1)
    squared = squared.masked_fill(~in_map[..., None, None], torch.inf)
    wanted = batch.visibility >= MIN_TAUGHT_VISIBILITY
    maps = [_class_targets(squared, cells, wanted, batch.classes == c, spec) for c in range(objects)]
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


def count_maps(targets: Targets) -> dict[str, Tensor]:
    """What `belief_loss` divides by: keypoints in the image, and cells that vote."""
    keypoints = (targets.belief.flatten(3).amax(-1) > 0.5).sum()
    return {"belief": keypoints.float(), "affinity": targets.affinity_counts.sum()}


class SurfaceTargets(NamedTuple):
    """What each cell shows: seen (B, C, h, w), 0 or 1; coordinates (B, 3, h, w), 0 to 1 across the cuboid."""

    seen: Tensor
    coordinates: Tensor


def draw_surface(batch: CropBatch, objects: int, stride: int) -> SurfaceTargets:
    """Follow the ray of each cell's middle to the cuboid of the object that is seen there.

    The mesh lies inside of its cuboid, so the point is on the cuboid's near side rather than on the mesh; it needs
    neither depth nor mesh, and tells the object's sides apart as well.

    Args:
        batch: crops, of which `seen`, `rays` and `classes` are looked at.
        objects: number of classes C.
        stride: pixels per cell.
    """
    owner = batch.seen[:, stride // 2 :: stride, stride // 2 :: stride].long()  # (B, h, w)
    slot = (owner - 1).clamp(min=0)
    number = torch.arange(len(owner), device=owner.device)[:, None, None]
    rays = batch.rays[number, slot]  # (B, h, w, 3, 4)
    ys, xs = (torch.arange(side, device=owner.device) * stride + (stride - 1) / 2 for side in owner.shape[1:])
    pixels = torch.stack([*torch.meshgrid(xs, ys, indexing="xy"), torch.ones_like(owner[0], dtype=torch.float32)], -1)
    direction = (rays[..., :3] @ pixels[..., None])[..., 0]  # (B, h, w, 3)
    direction = torch.where(direction.abs() < 1e-6, 1e-6, direction)
    origin = rays[..., 3]
    enters = ((-direction.sign() - origin) / direction).amax(-1, keepdim=True)  # past the near plane of each axis
    point = (origin + enters * direction).clamp(-1, 1)
    kind = batch.classes.gather(1, slot.flatten(1)).view_as(slot).masked_fill(owner == 0, -1)
    seen = torch.stack([kind == c for c in range(objects)], 1).float()
    return SurfaceTargets(seen, (point.permute(0, 3, 1, 2) + 1) / 2)


def count_surface(targets: SurfaceTargets) -> dict[str, Tensor]:
    """What `surface_loss` divides by: all cells, and those that show an object."""
    return {"seen": torch.ones_like(targets.seen).sum(), "coordinates": targets.seen.sum()}
