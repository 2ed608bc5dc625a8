"""Each message that was published arrived, was displaced, or was lost; and how fast they come."""

import pytest

from dope_ros2.pipeline.deliveries import WINDOW, Counts, Deliveries


def taken(sequences, deliveries=None, period=0.1):
    deliveries = deliveries or Deliveries()
    for sequence in sequences:
        deliveries.take(sequence * period, sequence)
    deliveries.snapshot(sequences[-1] * period)
    return deliveries


def test_what_is_missing_and_not_reported_as_lost_was_displaced():
    deliveries = taken([5, 6])
    deliveries.take(1.0, 10)
    deliveries.lose(1.0, 2)
    assert deliveries.counts() == Counts(arrived=3, displaced=1, lost=2)
    assert deliveries.counts().published == 6


def test_what_was_lost_before_the_first_message_does_not_hide_what_is_displaced():
    deliveries = Deliveries()
    deliveries.lose(0.0, 15)
    taken([16], deliveries)
    taken([20], deliveries)
    assert deliveries.counts() == Counts(arrived=2, displaced=3, lost=15)


def test_the_period_is_the_cameras_whatever_arrives():
    assert taken([1, 4, 9, 11]).period() == pytest.approx(0.1)
    assert Deliveries().period() is None


def test_a_publisher_that_is_started_again_leaves_no_gap():
    deliveries = taken([100, 102])
    taken([1, 2], deliveries)
    assert deliveries.counts() == Counts(arrived=4, displaced=1, lost=0)


def test_numbers_of_several_publishers_are_not_mixed_up():
    deliveries = Deliveries()
    deliveries.restart(publishers=2)
    for sequence in (100, 5, 101, 6):
        deliveries.take(0.1 * sequence, sequence)
    assert deliveries.counts() == Counts(arrived=4)


def test_without_sequence_numbers_what_arrived_is_counted():
    deliveries = Deliveries()
    for second in range(3):
        deliveries.take(second, None)
    assert deliveries.counts() == Counts(arrived=3)
    assert deliveries.period() == 1.0


def test_loss_and_rate_are_those_of_the_last_seconds():
    deliveries = Deliveries()
    for number in range(1, 401):
        now = 0.1 * number
        deliveries.take(now, number) if number % 4 or number > 200 else deliveries.lose(now, 1)
        deliveries.snapshot(now)
        if number == 200:
            assert deliveries.loss() == pytest.approx(0.25, abs=0.02)
    assert 2 * WINDOW < 400 * 0.1
    assert deliveries.loss() == 0
    assert deliveries.rate() == pytest.approx(10, rel=0.02)


def test_one_message_lost_is_no_trouble():
    deliveries = taken([1])
    deliveries.lose(1.0, 1)
    deliveries.snapshot(2.0)
    assert deliveries.loss() == 0
