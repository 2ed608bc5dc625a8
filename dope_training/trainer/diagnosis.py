"""How a run goes, in words."""

from __future__ import annotations

from typing import NamedTuple

MIN_STEPS = 300  # steps after the warm-up before which nothing can be said
BEATEN = 0.95  # of the loss of all-zero maps
WORSE = 1.03  # above the best validation loss by this factor is worse
RISES = 3  # validations in a row that are worse than the best
DIVERGED = 2.0  # times the best
FALLEN_RATIO = 0.98  # a loss that fell to this factor has fallen
PLATEAU_RATIO = 0.99  # of the best loss a quarter of the run ago
ADVICE = "docs/when-it-does-not-learn.md"


class Validation(NamedTuple):
    """What a validation found.

    Attributes:
        step: after how many steps.
        train: the loss in training since the last one.
        loss: on held-out crops.
        belief: the belief part of it.
        empty: the belief part for maps that are zero everywhere.
        recall: share of held-out objects with a right pose; None where none were estimated.
    """

    step: int
    train: float
    loss: float
    belief: float
    empty: float
    recall: float | None = None


def verdict(history: list[Validation], warmup: int) -> str:
    """Say how a run goes; `history` is not empty."""
    now = history[-1]
    best = min(history, key=lambda entry: entry.loss)
    if now.loss > DIVERGED * best.loss and now.train > best.train:
        return (
            f"diverging: the held-out loss is {now.loss / best.loss:.1f} times that of step {best.step}; "
            f"go on from best.ckpt with a lower learning rate; see {ADVICE}"
        )
    if now.belief > BEATEN * now.empty:
        if now.step < warmup + MIN_STEPS:
            return "too early to say"
        return (
            f"learning nothing: the belief loss {now.belief:.3g} has not fallen below that of an all-zero map, "
            f"{now.empty:.3g}, after {now.step} steps; see {ADVICE}"
        )
    late = history[-RISES:]
    if len(late) == RISES and all(e.loss > WORSE * best.loss for e in late) and now.train < FALLEN_RATIO * best.train:
        return (
            f"over-fitting: the training loss still falls, the held-out one is lowest at step {best.step}; "
            "more or other images help, more steps do not"
        )
    before = [entry.loss for entry in history if entry.step <= 0.75 * now.step]
    if len(history) > RISES and before and best.loss > PLATEAU_RATIO * min(before):
        return f"hardly learning any more: the held-out loss was {min(before):.3g} a quarter of the run ago"
    if now.recall is None or now.recall > 0:
        return "learning"
    return "learning: maps better than nothing, poses not right yet"
