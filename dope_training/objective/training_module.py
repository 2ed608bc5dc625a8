"""The network with its losses, as the training loop calls it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dope_ros2.network.architectures import initial_network
from dope_ros2.network.dope_paper import Paper
from dope_ros2.network.metadata import Conventions
from dope_ros2.network.normalization import Normalize
from dope_training.config import TrainConfig
from dope_training.objective.crop_batch import CropBatch
from dope_training.objective.losses import belief_loss, surface_loss
from dope_training.objective.targets import (
    SurfaceTargets,
    Targets,
    count_maps,
    count_surface,
    draw_surface,
    draw_targets,
)


class TrainingTargets(NamedTuple):
    """What a network should say of a batch; `counts` are what its losses are divided by."""

    maps: Targets
    surface: SurfaceTargets | None
    counts: dict[str, Tensor]


class BeliefModule(nn.Module):
    """Draws the targets on the device and measures how far the network is from them.

    Attributes:
        config: the recipe.
        network: that is trained.
        conventions: what its images and maps mean; those of this package unless it `adopt`s others.
    """

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        self.network = initial_network(config.architecture, len(config.objects)).to(memory_format=torch.channels_last)
        self.adopt(config.conventions)

    def adopt(self, conventions: Conventions) -> None:
        """Go on as weights were trained that the network has been given; before the module is moved to a device."""
        self.conventions, self.normalize = conventions, Normalize(conventions.mean, conventions.std)

    @torch.no_grad()
    def wanted(self, batch: CropBatch) -> TrainingTargets:
        """Draw the targets of a batch."""
        objects, spec = len(self.config.objects), self.config.map_spec
        moved = self.conventions.origin - (spec.stride - 1) / 2  # [px], from where a map is drawn to where it lies
        maps = draw_targets(batch._replace(keypoints=batch.keypoints - moved), objects, spec)
        if isinstance(self.network, Paper):
            return TrainingTargets(maps, None, count_maps(maps))
        surface = draw_surface(batch, objects, spec.stride)
        return TrainingTargets(maps, surface, count_maps(maps) | count_surface(surface))

    def normalised(self, batch: CropBatch) -> Tensor:
        """The images of a batch as the network takes them, (B, 3, S, S), channels last in memory."""
        return self.normalize(batch.image)

    def forward(
        self, batch: CropBatch, wanted: TrainingTargets | None = None, counts: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The losses of a batch, `loss` and its parts.

        Args:
            batch: the crops.
            wanted: its targets; drawn if None.
            counts: of the larger batch that this one is a part of; its own if None.
        """
        wanted = wanted or self.wanted(batch)
        counts = counts or wanted.counts
        image = self.normalised(batch)
        if isinstance(self.network, Paper):
            return _of_stages(self.network.stages(image), wanted.maps, counts)
        belief, affinity, *surface = self.network(image)
        of_maps = belief_loss(belief, affinity, wanted.maps, counts)
        if not surface:
            return of_maps
        of_surface = surface_loss(surface[0], wanted.surface, counts)
        return of_surface | of_maps | {"loss": of_maps["loss"] + of_surface["loss"]}

    def empty_loss(self, wanted: TrainingTargets) -> Tensor:
        """The belief loss of maps that are zero everywhere: a network that does not beat it has learnt nothing."""
        empty = torch.zeros_like(wanted.maps.belief), torch.zeros_like(wanted.maps.affinity)
        return belief_loss(*empty, wanted.maps, wanted.counts)["belief"]


def _of_stages(stages: list[tuple[Tensor, Tensor]], targets: Targets, counts: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every stage of the published network has the same targets and an equal share in the loss."""
    each = [belief_loss(belief[:, None], affinity[:, None], targets, counts) for belief, affinity in stages]
    parts = {f"stage{number}": losses["loss"] for number, losses in enumerate(each, 1)}
    return each[-1] | parts | {"loss": sum(parts.values())}
