"""What is kept of the newest messages."""

import time

from hypothesis import given
from hypothesis import strategies as st

from dope_ros2.pipeline.ring_buffer import RingBuffer

SECOND = 10**9


class Clock:
    """Goes when it is told to."""

    now = 0

    def __call__(self):
        return self.now


def filled(steps, size=10, **keywords):
    """A ring with a message after each step [s], and its clock."""
    clock = Clock()
    ring = RingBuffer(clock)
    for number, step in enumerate(steps):
        clock.now += int(step * SECOND)
        ring.keep("/topic", number, size, **keywords)
    return ring


def contents(ring):
    return [kept.message for kept in ring.messages()]


def test_only_what_came_in_the_last_seconds_is_kept():
    ring = filled([1] * 10)
    ring.trim(3.5, 1000)
    assert contents(ring) == [6, 7, 8, 9]


def test_and_only_so_many_bytes_of_it():
    ring = filled([1] * 10)
    ring.trim(100, 49)
    assert contents(ring) == [6, 7, 8, 9]
    ring.trim(100, 5)
    assert contents(ring) == []


def test_nothing_is_kept_of_no_seconds():
    ring = filled([1, 0, 0])
    ring.trim(0, 1000)
    assert contents(ring) == []


def test_what_lasts_stands_before_the_first_message_that_it_holds_for():
    ring = filled([1] * 3, lasts=True)
    ring.keep("/other", "old", 1, lasts=True)
    ring.trim(0, 1000)
    assert contents(ring) == []  # nothing that it could hold for
    ring.keep("/image", "image", 1)
    kept = ring.messages()
    assert sorted(map(str, contents(ring)[:2])) == ["2", "old"]
    assert kept[2].message == "image"
    assert kept[0].time < kept[1].time < kept[2].time < kept[0].time + 10


@given(st.lists(st.sampled_from([0, 1e-9, 0.5, 2.0]), min_size=1), st.floats(0, 5), st.integers(0, 200))
def test_times_are_unique_in_order_and_within_the_bounds(steps, seconds, size):
    ring = filled(steps)
    ring.trim(seconds, size)
    times = [kept.time for kept in ring.messages()]
    assert times == sorted(set(times))
    assert 10 * len(times) <= size
    assert not times or times[-1] - times[0] <= seconds * SECOND


def test_times_begin_at_those_of_the_system():
    before = time.time_ns()
    ring = RingBuffer()
    ring.keep("/topic", 0, 1)
    assert before - SECOND < ring.messages()[0].time < time.time_ns() + SECOND
