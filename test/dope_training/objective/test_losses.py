"""What the losses weigh against each other."""

import numpy as np
import pytest
import torch

from dope_training.objective.losses import belief_loss
from dope_training.objective.targets import Targets

CELLS = 24


def peak(x, y, height=1.0):
    """A belief map with one Gaussian of one cell's width."""
    ys, xs = torch.meshgrid(torch.arange(CELLS), torch.arange(CELLS), indexing="ij")
    return height * torch.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 2)


def maps(*peaks):
    """(1, 1, 9, h, w) whose first channel has these peaks."""
    belief = torch.zeros(1, 1, 9, CELLS, CELLS)
    belief[0, 0, 0] = torch.stack(peaks).amax(0)
    return belief


VOTES = torch.zeros(1, 1, 16, CELLS, CELLS)
WANTED = maps(peak(7, 7))
TARGETS = Targets(WANTED, VOTES, torch.ones_like(WANTED), torch.zeros_like(VOTES))


def loss(belief):
    return belief_loss(belief, VOTES, TARGETS)["belief"].item()


def test_a_peak_that_is_missing_costs_several_times_a_ghost_of_its_size():
    missing, ghost = maps(peak(7, 7, 0.0)), maps(peak(7, 7), peak(16, 16))
    assert loss(missing) > 4 * loss(ghost)
    assert loss(ghost) > 0.1 * loss(missing)  # and yet ghosts are not free


@pytest.mark.parametrize("height", [0.25, 0.5])
def test_where_a_peak_is_there_half_the_time_its_best_height_is_above_its_share(height):
    heights = np.linspace(0, 1, 101)
    nothing = Targets(torch.zeros_like(WANTED), VOTES, torch.ones_like(WANTED), torch.zeros_like(VOTES))
    costs = [
        height * loss(maps(peak(7, 7, h)))
        + (1 - height) * belief_loss(maps(peak(7, 7, h)), VOTES, nothing)["belief"].item()
        for h in heights
    ]
    assert heights[np.argmin(costs)] > height + 0.2
