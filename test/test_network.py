import pytest
import torch

from dope_ros2.network import DopeLite, Paper


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def test_the_papers_network_has_its_published_number_of_parameters():
    assert parameters(Paper()) == 50_267_350


def test_the_papers_network_has_the_key_names_of_published_checkpoints():
    keys = set(Paper().state_dict())
    assert {"vgg.0.weight", "vgg.25.bias", "m1_2.0.weight", "m1_1.8.bias", "m6_2.12.weight", "m6_1.12.bias"} <= keys
    assert len(keys) == 2 * (12 + 2 * 5 + 10 * 7)  # weight and bias of every convolution


@pytest.mark.parametrize(("network", "objects"), [(Paper(), 1), (DopeLite(3), 3)])
def test_maps_are_an_eighth_of_the_image(network, objects):
    with torch.inference_mode():
        belief, affinity = network.eval()(torch.zeros(2, 3, 64, 96))
    assert belief.shape == (2, objects, 9, 8, 12)
    assert affinity.shape == (2, objects, 16, 8, 12)


def test_dope_lite_stays_under_eight_million_parameters():
    assert parameters(DopeLite(3)) < 8e6


def test_a_further_object_costs_less_than_three_percent():
    assert parameters(DopeLite(11)) / parameters(DopeLite(1)) < 1 + 10 * 0.03


def test_a_second_object_changes_nothing_for_the_first():
    torch.manual_seed(0)
    one, two = DopeLite(1).eval(), DopeLite(2).eval()
    state = two.state_dict() | {k: v for k, v in one.state_dict().items() if not k.startswith("head")}
    for key in ("head.weight", "head.bias"):
        state[key] = torch.cat([one.state_dict()[key], two.state_dict()[key][25:]])
    two.load_state_dict(state)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(one(image)[0][:, 0], two(image)[0][:, 0], atol=1e-5)
