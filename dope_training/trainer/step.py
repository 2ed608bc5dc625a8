"""One step of training."""

from __future__ import annotations

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from dope_training.config import TrainConfig
from dope_training.objective.crop_batch import CropBatch


def train_step(
    fabric: Fabric, model: nn.Module, optimiser: torch.optim.Optimizer, batch: CropBatch, stop: int = 0
) -> tuple[dict[str, Tensor], int]:
    """One step on a batch that is shared by all ranks and cut into sub-batches.

    Losses are divided by what the whole batch contains, so neither the cut nor the number of ranks changes them; only
    batch normalisation sees the sub-batch.

    Args:
        fabric: how the ranks talk.
        model: a `BeliefModule` that `fabric` has set up.
        optimiser: likewise.
        batch: this rank's share.
        stop: above 0 where this rank wants the run to end.

    Returns:
        This rank's share of the losses, and the highest `stop` of all ranks; if that is not 0, there was no step and
        there are no losses.
    """
    config: TrainConfig = model.config
    pieces = split(batch, config.subbatch_size)
    wanted = [model.module.wanted(piece) for piece in pieces]
    counts, stop = _whole(fabric, {k: sum(w.counts[k] for w in wanted) for k in wanted[0].counts}, stop)
    if stop:
        return {}, stop
    total: dict[str, Tensor] = {}
    for number, (piece, targets) in enumerate(zip(pieces, wanted, strict=True), 1):
        with fabric.no_backward_sync(model, enabled=number < len(pieces)):
            losses = model(piece, targets, counts)
            fabric.backward(losses["loss"] * fabric.world_size)  # ranks are averaged, but their losses are shares
        total = {name: total.get(name, 0) + value.detach() for name, value in losses.items()}
    fabric.clip_gradients(model, optimiser, max_norm=config.clip, error_if_nonfinite=False)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return total, 0


def split(batch: CropBatch, size: int) -> list[CropBatch]:
    """Cut a batch into parts of at most `size` crops; 0 leaves it whole."""
    count = len(batch.image)
    size = size or count
    return [batch.part(slice(k, k + size)) for k in range(0, count, size)]


def _whole(fabric: Fabric, counts: dict[str, Tensor], stop: int) -> tuple[dict[str, Tensor], int]:
    """The counts of all ranks together, and the highest `stop`."""
    if fabric.world_size == 1:
        return counts, stop
    flags = [counts["belief"].new_tensor(float(stop == code)) for code in (1, 2)]
    summed = fabric.all_reduce(torch.stack([*counts.values(), *flags]), reduce_op="sum")
    told = summed[-2:].tolist()
    return dict(zip(counts, summed[:-2], strict=True)), 2 if told[1] else int(told[0] > 0)
