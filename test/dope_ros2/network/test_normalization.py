import numpy as np
import pytest
import torch

from dope_ros2.network.metadata import IMAGENET_MEAN, IMAGENET_STD
from dope_ros2.network.normalization import Normalize


@pytest.mark.parametrize(("mean", "std"), [(IMAGENET_MEAN, IMAGENET_STD), ((0.5,) * 3, (0.5,) * 3)])
def test_bytes_become_what_the_mean_and_deviation_of_rgb_from_0_to_1_say(mean, std):
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    normalised = Normalize(mean, std)(torch.from_numpy(images))
    np.testing.assert_allclose(normalised.permute(0, 2, 3, 1), (images / 255 - mean) / std, atol=1e-5)
    assert normalised.is_contiguous(memory_format=torch.channels_last)


def test_it_follows_the_network_into_half_precision_and_is_no_part_of_its_weights():
    normalize = Normalize((0.5,) * 3, (0.25,) * 3).half()
    assert normalize(torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)).dtype == torch.float16
    assert not normalize.state_dict()
