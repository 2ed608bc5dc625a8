"""Optimisers, the learning rate over a run, averaged weights, and one step."""

from __future__ import annotations

import math

import torch
from torch import nn

from dope_training.config import TrainConfig
from dope_training.optimizers.muon import Muon, hidden_matrices

MIN_RATE_RATIO = 0.01  # of the learning rate, at the end
SGD_MOMENTUM = 0.9


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
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=SGD_MOMENTUM, nesterov=True)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.learning_rate)


def learning_rate(config: TrainConfig, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to one percent at the last of `steps`."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    progress = min(1.0, (step - config.warmup) / max(1, steps - config.warmup))
    return config.learning_rate * (MIN_RATE_RATIO + (1 - MIN_RATE_RATIO) * (1 + math.cos(math.pi * progress)) / 2)
