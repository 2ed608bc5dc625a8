"""How much of an object a training crop says to be visible."""

import cv2
import numpy as np
import pytest

from dope_training.data.augmentation import augment
from helpers.painted_store import picture

SIZE = 96


def crops(count, number=3):
    """Crops of an image in which one carton is wholly seen."""
    sample = picture(number)
    return sample, [augment(np.random.default_rng(seed), sample, SIZE) for seed in range(count)]


def test_the_visibility_is_the_share_of_the_object_that_is_left_in_the_crop():
    sample, cut = crops(60)
    for crop in cut:
        margin = 400  # around the crop, where the object would go on
        A = crop.window + np.array([[0, 0, margin], [0, 0, margin]])
        whole = cv2.warpAffine(sample.mask, A, (SIZE + 2 * margin,) * 2, flags=cv2.INTER_NEAREST)
        left = np.count_nonzero(crop.mask == 1) / np.count_nonzero(whole == 1)
        assert crop.visibility[0] == pytest.approx(left, abs=0.03)


def test_crops_show_the_object_wholly_in_part_and_hardly():
    _, cut = crops(120)
    visibility = np.array([crop.visibility[0] for crop in cut])
    assert visibility.min() < 0.25
    assert np.mean((visibility > 0.3) & (visibility < 0.9)) > 0.15
    assert visibility.max() == pytest.approx(1, abs=0.03)


def test_what_is_hidden_in_the_picture_is_hidden_in_its_crops():
    sample = picture(3)
    rows = np.flatnonzero(sample.mask.any(1))
    sample.mask[: int(np.median(rows))] = 0  # something stands in front of the upper half
    shares = [augment(np.random.default_rng(seed), sample, SIZE).visibility[0] for seed in range(40)]
    assert max(shares) < 0.75
