import time

import pytest

from dope_ros2.common.stage_timer import StageTimer


def test_a_stage_that_comes_twice_is_summed_and_taken_once_in_the_order_of_the_work():
    stages = StageTimer()
    for name in ("pnp", "network", "pnp"):
        with stages(name):
            time.sleep(0.01)
    taken = stages.take()
    assert list(taken) == ["network", "pnp"]
    assert taken["pnp"] >= 0.02 > 0.01 <= taken["network"]
    assert stages.take() == {}


def test_a_stage_that_fails_is_measured_too():
    stages = StageTimer()
    with pytest.raises(ZeroDivisionError), stages("decode"):
        _ = 1 / 0
    assert list(stages.take()) == ["decode"]
