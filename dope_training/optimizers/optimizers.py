"""Optimisers, the learning rate over a run, averaged weights, and one step."""

from __future__ import annotations

import copy
import math

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from dope_training.config import TrainConfig
from dope_training.optimizers.muon import Muon, hidden_matrices

LEAST = 0.01  # of the learning rate, at the end
MOMENTUM = 0.9


def make_optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The configured optimiser; weights decay, biases and norms do not, and with Adam, as published, nothing does."""
    trained = [p for p in network.parameters() if p.requires_grad]
    decayed, plain = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    decay = 0.0 if config.optimizer == "adam" else config.weight_decay
    groups = [{"params": decayed, "weight_decay": decay}, {"params": plain, "weight_decay": 0.0}]
    if config.optimizer == "muon":
        hidden = {id(weight) for weight in hidden_matrices(network)}
        groups = [{"params": [p for p in decayed if id(p) in hidden], "weight_decay": decay, "muon": True}]
        groups += [{"params": [p for p in decayed if id(p) not in hidden], "weight_decay": decay, "muon": False}]
        return Muon([*groups, {"params": plain, "weight_decay": 0.0, "muon": False}], lr=config.learning_rate)
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=MOMENTUM, nesterov=True)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.learning_rate)


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to one percent at the last of `steps`."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    progress = min(1.0, (step - config.warmup) / max(1, steps - config.warmup))
    return config.learning_rate * (LEAST + (1 - LEAST) * (1 + math.cos(math.pi * progress)) / 2)


class Average:
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


def train_step(
    fabric: Fabric, model: nn.Module, optimiser: torch.optim.Optimizer, batch: dict[str, Tensor], stop: int = 0
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


def split(batch: dict[str, Tensor], size: int) -> list[dict[str, Tensor]]:
    """Cut a batch into parts of at most `size` crops; 0 leaves it whole."""
    count = len(batch["image"])
    size = size or count
    return [{key: value[k : k + size] for key, value in batch.items()} for k in range(0, count, size)]


def _whole(fabric: Fabric, counts: dict[str, Tensor], stop: int) -> tuple[dict[str, Tensor], int]:
    """The counts of all ranks together, and the highest `stop`."""
    if fabric.world_size == 1:
        return counts, stop
    flags = [counts["belief"].new_tensor(float(stop == code)) for code in (1, 2)]
    summed = fabric.all_reduce(torch.stack([*counts.values(), *flags]), reduce_op="sum")
    told = summed[-2:].tolist()
    return dict(zip(counts, summed[:-2], strict=True)), 2 if told[1] else int(told[0] > 0)
