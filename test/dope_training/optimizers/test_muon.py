from copy import deepcopy

import pytest
import torch

from dope_ros2.network.dope_lite import conv_norm
from dope_training.config import TrainConfig
from dope_training.optimizers.muon import MATCH, Muon, orthogonal
from dope_training.optimizers.optimizers import make_optimiser
from helpers.tiny_training import RECIPE


@pytest.fixture
def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(*conv_norm(6, 8, 3), torch.nn.Conv2d(8, 2, 1))


def optimiser_of(network) -> Muon:
    return make_optimiser(network, TrainConfig(**RECIPE | {"optimizer": "muon", "weight_decay": 0.1}))


def draw_gradients(network, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("shape", [(8, 54), (54, 8), (30, 30)])
def test_singular_values_become_about_one_and_singular_vectors_stay(shape):
    generator = torch.Generator().manual_seed(1)
    U, _, V = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    strengths = torch.logspace(-1, 0.5, min(shape))
    result = U.T @ orthogonal(U * strengths @ V) @ V.T
    assert (result.diagonal() - 1).abs().max() < 0.4
    assert (result - torch.diag(result.diagonal())).abs().max() < 0.01


def test_a_matrix_of_zeros_stays_one():
    assert not orthogonal(torch.zeros(4, 9)).any()


def test_hidden_matrices_follow_muon_and_all_else_adamw_at_the_same_rate(network):
    optimiser = optimiser_of(network)
    assert [[tuple(p.shape) for p in group["params"]] for group in optimiser.param_groups] == [
        [(8, 6, 3, 3)], [(2, 8, 1, 1)], [(8,), (8,), (2,)]
    ]  # fmt: skip
    before = [parameter.detach().clone() for parameter in network.parameters()]
    draw_gradients(network, 2)
    network[0].weight.grad *= torch.logspace(-1.5, 0, 8)[:, None, None, None]
    optimiser.step()
    rate = optimiser.param_groups[0]["lr"]
    moved = [was - now.detach() for was, now in zip(before, network.parameters(), strict=True)]
    hidden, head = (moved[k] - rate * 0.1 * before[k] for k in (0, 3))  # without what decays
    lengths = torch.linalg.svdvals(hidden.flatten(1))
    assert lengths.max() / lengths.min() < 2
    assert 0.7 < hidden.square().mean().sqrt() / (MATCH * rate) < 1.3
    for step in (*moved[1:3], head, moved[4]):
        torch.testing.assert_close(step.abs(), torch.full_like(step, rate), rtol=1e-3, atol=0)


def test_a_resumed_optimiser_goes_on_as_it_would_have(network):
    twin = torch.nn.Sequential(*conv_norm(6, 8, 3), torch.nn.Conv2d(8, 2, 1))
    optimiser, other = optimiser_of(network), optimiser_of(twin)
    for seed in range(3):
        draw_gradients(network, seed)
        optimiser.step()
    twin.load_state_dict(network.state_dict())
    other.load_state_dict(deepcopy(optimiser.state_dict()))
    for seed in (7, 8):
        for net, its in ((network, optimiser), (twin, other)):
            draw_gradients(net, seed)
            its.step()
    for mine, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0)
