"""What augmentation does to a crop's pixels and mask."""

import numpy as np
import pytest

from dope_training.data.augmentation import hide, occlude

SIZE = 96


def picture():
    """A grey crop with two objects side by side, as an image and a mask."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[20:70, 10:40], mask[30:60, 50:90] = 1, 2
    return np.full((SIZE, SIZE, 3), 127, np.uint8), mask


@pytest.mark.parametrize("cover", [occlude, hide])
@pytest.mark.parametrize("seed", range(8))
def test_what_is_covered_is_not_seen_and_what_is_seen_is_untouched(cover, seed):
    image, mask = picture()
    before = mask.copy()
    cover(np.random.default_rng(seed), image, mask)
    painted = (image != 127).any(2)
    assert painted.any()
    assert not mask[painted].any()
    np.testing.assert_array_equal(mask[~painted], before[~painted])


def test_of_one_object_a_part_stays_in_view():
    left = []
    for seed in range(200):
        image, mask = picture()
        mask[mask == 2] = 0
        hide(np.random.default_rng(seed), image, mask)
        left.append((mask == 1).sum() / 1500)
    assert min(left) > 0.3
    assert max(left) < 1
    assert 0.4 < np.median(left) < 0.8


def test_an_empty_crop_has_nothing_to_hide():
    image, mask = picture()
    mask[:] = 0
    hide(np.random.default_rng(0), image, mask)
    assert (image == 127).all()
