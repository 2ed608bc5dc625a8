"""The network as Lightning trains it."""

from __future__ import annotations

import math
import time

import lightning
import torch
from torch import Tensor

from dope_ros2.weights import IMAGENET_MEAN, IMAGENET_STD, build
from dope_training.config import TrainConfig
from dope_training.losses import belief_loss, draw_surface, draw_targets, surface_loss

PARTS = ("loss", "belief", "affinity", "seen", "coordinates")


class BeliefModule(lightning.LightningModule):
    """Draws the targets on the device and learns to predict them."""

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        self.network = build(config.architecture, len(config.objects)).to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD) * 255, persistent=False)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses of a batch as `data.Crops` makes it."""
        image = ((batch["image"] - self.mean) / self.std).permute(0, 3, 1, 2)  # channels last in memory
        objects, spec = len(self.config.objects), self.config.map_spec
        with torch.no_grad():
            targets = draw_targets(batch, objects, spec)
        belief, affinity, *surface = self.network(image)
        of_maps = belief_loss(belief, affinity, targets)
        if not surface:  # the published network has none
            return of_maps
        of_surface = surface_loss(surface[0], draw_surface(batch, objects, spec.stride))
        return of_surface | of_maps | {"loss": of_maps["loss"] + of_surface["loss"]}

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        """One step; logs the parts of the loss."""
        losses = self.losses(batch)
        self.log_dict({f"train/{name}": value for name, value in losses.items()})
        return losses["loss"]

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        """The same losses on held-out pictures."""
        losses = self.losses(batch)
        self.log_dict({f"validation/{n}": v for n, v in losses.items()}, batch_size=len(batch["image"]))

    def configure_optimizers(self) -> dict:
        """AdamW without decay on biases and norms, linear warm-up, cosine to one percent."""
        config = self.config
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        plain = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, lr=config.learning_rate)

        def factor(step: int) -> float:
            if step < config.warmup:
                return (step + 1) / config.warmup
            progress = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
            return 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Progress(lightning.Callback):
    """One line every so many steps: `step 500/12000  loss 12.31  belief 10.20  affinity 0.21  41 pictures/s`."""

    def __init__(self, config: TrainConfig, every: int = 50) -> None:
        self._config, self._every = config, every
        self._since = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        """Print the line when it is due."""
        if trainer.global_step % self._every:
            return
        now = time.monotonic()
        rate = self._every * self._config.batch_size / (now - self._since)
        self._since = now
        print(
            f"step {trainer.global_step}/{self._config.steps}  {_figures(trainer, 'train/')}  {rate:.0f} pictures/s",
            flush=True,
        )

    def on_validation_end(self, trainer: lightning.Trainer, *_: object) -> None:
        """Print the losses on held-out pictures."""
        print(
            f"step {trainer.global_step}/{self._config.steps}  validation: {_figures(trainer, 'validation/')}",
            flush=True,
        )


def _figures(trainer: lightning.Trainer, prefix: str) -> str:
    metrics = {k.removeprefix(prefix): float(v) for k, v in trainer.callback_metrics.items() if k.startswith(prefix)}
    return "  ".join(f"{name} {metrics[name]:.3f}" for name in PARTS if name in metrics)
