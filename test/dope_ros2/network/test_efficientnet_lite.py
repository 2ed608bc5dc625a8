import pytest
import torch

from dope_ros2.common.errors import UserError
from dope_ros2.network.architectures import initial_network, make_network
from dope_ros2.network.efficientnet_lite import EfficientNetLite0, Padded
from dope_ros2.network.metadata import IMAGENET_MEAN, IMAGENET_STD
from dope_training.config import TrainConfig
from dope_training.optimizers.optimizers import make_optimiser
from helpers.tiny_training import RECIPE

FINE = [-15.0444, 5.7123, -5.0124, 6.5070, 11.8053]  # of the published network, see below
MIDDLE = [0.4160, 4.2778, -8.1579, -1.3146, 20.2982]


def test_a_padded_convolution_is_tensorflows():
    """With stride 2 and an even side TensorFlow pads at the end first: cell i begins at pixel 2 i."""
    layer = Padded(1, 1, 3, 2)
    with torch.no_grad():
        layer.weight.zero_()[..., 0, 0] = 1
        layer.bias.zero_()
        picture = torch.arange(64.0).view(1, 1, 8, 8)
        torch.testing.assert_close(layer(picture), picture[..., ::2, ::2])


def test_the_packages_features_are_those_of_the_published_network():
    """Compared with its layers as published: normalisations not folded, (v - 127) / 128, where no border is near."""
    rows, columns = torch.meshgrid(torch.arange(160.0), torch.arange(192.0), indexing="ij")
    waves = [128 + 100 * torch.sin(rows / 9 + columns / (7 + k)) for k in range(3)]
    picture = torch.stack([(w / 255 - m) / s for w, m, s in zip(waves, IMAGENET_MEAN, IMAGENET_STD, strict=True)])
    with torch.inference_mode():
        fine, middle = initial_network("dope-lite", 1).features(picture[None])
    torch.testing.assert_close(fine[0, :5, 10, 11], torch.tensor(FINE), atol=0.05, rtol=0.01)
    torch.testing.assert_close(middle[0, :5, 5, 5], torch.tensor(MIDDLE), atol=0.05, rtol=0.01)


def test_features_are_at_strides_8_and_16():
    with torch.inference_mode():
        fine, middle = EfficientNetLite0()(torch.zeros(2, 3, 64, 96))
    assert (fine.shape, middle.shape) == ((2, 40, 8, 12), (2, 112, 4, 6))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_training_begins_with_the_packages_features_and_leaves_them_alone(optimizer):
    network = initial_network("dope-lite", 1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = make_optimiser(network, TrainConfig(**RECIPE | {"architecture": "dope-lite", "optimizer": optimizer}))
    sum(part.square().mean() for part in network(torch.randn(2, 3, 64, 64))).backward()
    optimiser.step()
    after = network.state_dict()
    fixed = [name for name in after if name.startswith("features.")]
    assert len(fixed) > 40
    assert all(torch.equal(before[name], after[name]) for name in fixed)
    assert not torch.equal(before["known.0.0.weight"], after["known.0.0.weight"])
    other = initial_network("dope-lite", 2).state_dict()
    assert all(torch.equal(other[name], after[name]) for name in fixed)
    assert not all(
        torch.equal(value, after[f"features.{name}"]) for name, value in EfficientNetLite0().state_dict().items()
    )


def test_a_package_without_the_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("dope_ros2.network.architectures.share", lambda: tmp_path)
    with pytest.raises(UserError, match=r"lite0.safetensors: cannot be read .*; install the package again"):
        initial_network("dope-lite", 1)
    make_network("dope-lite", 1)
