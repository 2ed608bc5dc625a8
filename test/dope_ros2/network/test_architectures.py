from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dope_ros2.network.dope_lite import DopeLite, DopeM
from dope_ros2.network.dope_paper import Paper


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_the_papers_network_has_its_published_number_of_parameters():
    assert parameters(Paper()) == 50_267_350


def test_the_papers_network_has_the_key_names_of_published_checkpoints():
    keys = set(Paper().state_dict())
    assert {"vgg.0.weight", "vgg.25.bias", "m1_2.0.weight", "m1_1.8.bias", "m6_2.12.weight", "m6_1.12.bias"} <= keys
    assert len(keys) == 2 * (12 + 2 * 5 + 10 * 7)  # weight and bias of every convolution


@pytest.mark.parametrize(("make", "objects"), [(Paper, 1), (partial(DopeLite, 3), 3), (partial(DopeM, 2), 2)])
def test_maps_are_an_eighth_of_the_image(make, objects):
    network = make()
    with torch.inference_mode():
        belief, affinity, *surface = network.eval()(torch.zeros(2, 3, 64, 96))
    assert belief.shape == (2, objects, 9, 8, 12)
    assert affinity.shape == (2, objects, 16, 8, 12)
    assert [s.shape for s in surface] == ([(2, objects, 4, 8, 12)] if isinstance(network, DopeLite) else [])


def test_dope_lite_stays_under_eight_million_parameters():
    assert parameters(DopeLite(3)) < 8e6


def test_dope_m_stays_within_60_mebibytes_in_half_precision_and_60_gflop_at_640x480():
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = DopeM(10)
        network(torch.zeros(1, 3, 480, 640))
    assert 2 * parameters(network) < 60 * 2**20
    assert counter.get_total_flops() < 60e9


def test_a_further_object_costs_less_than_three_percent():
    assert parameters(DopeLite(11)) / parameters(DopeLite(1)) < 1 + 10 * 0.03


def test_a_second_object_changes_nothing_for_the_first():
    torch.manual_seed(0)
    one, two = DopeLite(1).eval(), DopeLite(2).eval()
    old, new = one.state_dict(), two.state_dict()
    for key, value in new.items():
        if key.startswith(("head", "surface")):  # rows of the second object stay
            value[: len(old[key])] = old[key]
        elif value.shape != old[key].shape:  # the second object's surface is not listened to
            value[:] = torch.nn.functional.pad(old[key], (0, 0, 0, 0, 0, value.shape[1] - old[key].shape[1]))
        else:
            value.copy_(old[key])
    two.load_state_dict(new)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        for first, both in zip(one(image), two(image), strict=True):
            assert torch.allclose(first[:, 0], both[:, 0], atol=1e-5)
