"""What is said of a camera: every fault while it lasts, nothing when it is over."""

from types import SimpleNamespace

import pytest

from dope_ros2.pipeline.diagnostics import CameraHealth, DepthHealth, Level, engine_condition


def working(until=10.0, rate=30, age=0.02, seconds=0.03):
    health = CameraHealth("/image", 0.0)
    for k in range(int(until * rate) + 1):
        health.arrived(k / rate)
        health.looked(age, seconds)
    return health


def test_all_is_well():
    condition = working().condition(10.1)
    assert (condition.level, condition.message) == (Level.OK, "looking at images")
    assert condition.source == "/image"
    assert condition.values == {
        "topic": "/image", "images": "301", "looked_at": "301", "refused": "0", "displaced": "0", "lost": "0",
        "images_per_s": "30.0", "published_per_s": "0.0",
        "age_ms_p50": "20.0", "age_ms_p95": "20.0", "time_ms_p50": "30.0", "time_ms_p95": "30.0",
    }  # fmt: skip


def test_a_camera_that_never_came_and_one_that_went():
    assert CameraHealth("/image", 0.0).condition(0.3).level == Level.OK
    never = CameraHealth("/image", 0.0).condition(0.7)
    assert (never.level, never.values["images_per_s"]) == (Level.ERROR, "0.0")
    assert never.message.startswith("/image: no image yet")
    health = working()
    gone = health.condition(11.2)
    assert (gone.level, gone.message) == (Level.ERROR, "/image: no image for 1.2 s; is the camera still running?")
    health.arrived(11.5)
    health.looked(0.0, 0.03)
    assert health.condition(11.6).level == Level.OK


def test_a_slow_camera_is_not_called_silent():
    assert working(rate=1).condition(12.5).level == Level.OK
    assert working(rate=1).condition(13.5).level == Level.ERROR


def test_a_camera_is_not_called_silent_while_the_node_is_busy_with_others():
    health = working(rate=3)
    assert health.condition(11.7, slack=0.8).level == Level.OK
    assert health.condition(11.9, slack=0.8).level == Level.ERROR


def test_silence_is_judged_by_the_cameras_period_and_not_by_what_the_node_had_time_for():
    health = CameraHealth("/image", 0.0)
    for k in range(5):
        health.deliveries.take(2.0 * k, 60 * k + 1)
        health.arrived(2.0 * k)
        health.looked(0.02, 1.9)
    assert health.condition(8.0 + 1.2).message.startswith("/image: no image for 1.2 s")


def test_loss_is_a_warning_with_the_share_and_the_remedy_and_no_silence():
    health = working(until=10.0)
    for k in range(30):
        health.deliveries.take(0.1 * k, k + 1)
    health.deliveries.snapshot(3.0)
    for k in range(70):
        health.deliveries.lose(3.0 + 0.1 * k, 1)
    condition = health.condition(10.0, remedy="publish reliably")
    assert condition.level == Level.WARN
    assert condition.message == "/image: 100 % of the images are lost on the way; publish reliably"
    assert condition.values["lost"] == "70"


@pytest.mark.parametrize(
    ("age", "seconds", "message"),
    [
        (2.5, 0.03, "/image: images are 2.5 s old"),
        (-0.5, 0.03, "/image: stamps are 0.5 s in the future"),
        (0.02, 0.9, "an image takes 0.9 s"),
    ],
)
def test_times_that_make_one_think_are_warnings_and_pass(age, seconds, message):
    health = working()
    health.arrived(10.05)
    health.looked(age, seconds)
    condition = health.condition(10.1)
    assert condition.level == Level.WARN
    assert condition.message.startswith(message)
    health.looked(0.02, 0.03)
    assert health.condition(10.1).level == Level.OK


def test_a_fault_lasts_until_an_image_is_used():
    health = working()
    health.failed("no camera_info\nmore of it")
    assert health.condition(10.1).message == "no camera_info"
    assert health.condition(10.1).level == Level.ERROR
    assert health.condition(10.1).values["refused"] == "1"
    health.looked(0.02, 0.03)
    assert health.condition(10.1).level == Level.OK


def test_who_does_not_look_has_no_faults():
    assert working().condition(20.0, idle="switched off").message == "switched off"
    assert working().condition(20.0, idle="switched off").level == Level.OK


def test_stages_are_told_by_name():
    health = working()
    for spent in (0.01, 0.02, 0.03):
        health.looked(0.02, 0.03, {"network": spent})
    values = health.condition(10.1).values
    assert (values["network_ms_p50"], values["network_ms_p95"]) == ("20.0", "29.0")


@pytest.mark.parametrize(
    ("fallback", "memory", "level", "message"),
    [
        ("", None, Level.OK, "openvino on cpu"),
        ("openvino: no such instruction", None, Level.WARN, "openvino on cpu, since others do not work: openvino"),
        ("", (8 << 30, 16 << 30), Level.OK, "openvino on cpu"),
        ("", (100 << 20, 16 << 30), Level.WARN, "only 100 of 16384 MiB of GPU memory are free"),
    ],
)
def test_what_runs_the_network_is_told_with_what_is_wrong_with_it(fallback, memory, level, message):
    engine = SimpleNamespace(name="openvino on cpu", fallback=fallback, memory=lambda: memory)
    condition = engine_condition(engine)
    assert condition.level == level
    assert condition.message.startswith(message)
    assert condition.values["engine"] == "openvino on cpu"
    assert ("gpu_memory_mib" in condition.values) == (memory is not None)


def test_missing_depth_is_told_while_it_lasts_unless_nobody_looks():
    health = DepthHealth()
    assert (health.condition().level, health.condition().message) == (Level.OK, "no image looked at yet")
    health.missing("/depth: no depth yet")
    assert (health.condition().level, health.condition().message) == (Level.WARN, "/depth: no depth yet")
    assert (health.condition("not active").level, health.condition("not active").message) == (Level.OK, "not active")
    health.served(2, 1)
    assert (health.condition().level, health.condition().message) == (Level.OK, "correcting ranges")
    assert health.condition().values == {
        "with_depth": "1", "without_depth": "1", "corrected": "2", "left_as_they_were": "1",
    }  # fmt: skip
