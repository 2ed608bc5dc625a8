"""The laws of mixing stores."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dope_ros2.common.errors import UserError
from dope_training.data.sampler import WeightedSampler

stores = st.lists(st.integers(1, 40), min_size=1, max_size=4)


def pictures(mix, total):
    return [visit % total for visit in mix]


def epochs(mix, count):
    for epoch in range(count):
        mix.set_epoch(epoch)
        yield list(mix)


@given(stores, st.integers(0, 5), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_with_weight_one_an_epoch_has_each_picture_once(lengths, epoch, seed):
    mix = WeightedSampler(lengths, [1] * len(lengths), seed)
    mix.set_epoch(epoch)
    assert sorted(mix) == list(range(sum(lengths)))
    assert len(mix) == sum(lengths)


def test_an_epoch_depends_on_seed_and_epoch_alone():
    first, second = WeightedSampler([30, 20], [1, 1], 5), WeightedSampler([30, 20], [1, 1], 5)
    list(epochs(first, 3))
    second.set_epoch(2)
    assert list(first) == list(second) == list(second)
    assert list(first) != next(epochs(first, 1))
    assert pictures(first, 50) != pictures(WeightedSampler([30, 20], [1, 1], 6), 50)


def test_two_epochs_have_their_pictures_in_different_orders():
    one, two = epochs(WeightedSampler([50], [1], 0), 2)
    assert [t % 50 for t in one] != [t % 50 for t in two]


@given(stores, st.integers(1, 4), st.floats(0.1, 3.5))
@settings(max_examples=50, deadline=None)
def test_no_visit_is_made_twice_in_an_epoch(lengths, count, weight):
    for visits in epochs(WeightedSampler(lengths, [weight] * len(lengths), 1), count):
        assert len(set(visits)) == len(visits)
        assert max(visits) < (np.ceil(weight) + 1) * sum(lengths)


def test_weights_are_the_proportions_of_an_epoch():
    lengths, weights = [100, 40, 60], [1, 3, 0.5]
    mix = WeightedSampler(lengths, weights, 0)
    counts = Counter("abc"[(p >= 100) + (p >= 140)] for p in pictures(mix, 200))
    assert counts == {"a": 100, "b": 120, "c": 30}


def test_a_part_of_a_store_is_another_part_in_the_next_epoch():
    one, two = epochs(WeightedSampler([60], [0.5], 0), 2)
    assert sorted(t % 60 for t in one + two) == list(range(60))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([3, 4], [1], 0), "1 weights for 2 stores"),
        (([3], [0], 0), "must be above 0"),
        (([3], [float("nan")], 0), "must be above 0"),
    ],
)
def test_a_mistake_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        WeightedSampler(*arguments)
