"""What a soak is judged by, on records that a test writes."""

import pytest

from dope_ros2.benchmarks.soak import faults, shares, summary, tell

LIMITS = {"flat": 0.02, "growth": 1.5, "recovery": 1.0}


def record(latency=lambda t: 0.05, recoveries=(0.1, 0.2), calls=(0.1, 0.2, 3.0), silent=0):
    return {
        "images": 3000,
        "latencies": [(t, latency(t)) for t in range(100) if latency(t) is not None],
        "asked": len(calls) + silent,
        "calls": list(calls),
        "recoveries": {"half an image": list(recoveries), "reset": []},
    }


def report(memory=lambda t: 400.0, exceptions=0, status=0, **named):
    figures = summary(record(**named), [(t, memory(t)) for t in range(100)], 100.0)
    return figures | {"seconds": 100.0, "exceptions": exceptions, "status": status}


def test_a_calm_run_holds():
    calm = report(memory=lambda t: 350 + min(t, 15) * 3, latency=lambda t: 0.05 + 0.001 * (t % 7))
    assert faults(calm, **LIMITS) == []
    assert calm["memory_mb"][1:] == [395.0] * 4
    assert "0.2 s at most, after: half an image" in tell(calm)
    assert "answer after 0.2 s (median), 3 s at most" in tell(calm)


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        ({"memory": lambda t: 400 + 0.3 * t}, "the memory deviates by 2.15 %"),
        ({"latency": lambda t: 0.05 + 0.002 * t}, "the latency has grown from 126.1 to 246.1 ms"),
        ({"latency": lambda t: 0.05 if t < 70 else None}, "the latency has grown from 50 to 20000 ms"),
        ({"recoveries": (0.1, 1.2)}, "it recovers too slowly from half an image (1.2 s)"),
        ({"silent": 3}, "3 calls of services were never answered"),
        ({"exceptions": 1}, "1 exceptions are in the log"),
        ({"status": -9}, "it ended with status -9 when it was asked to"),
    ],
)
def test_what_grows_slows_or_stumbles_is_named(trouble, text):
    assert faults(report(**trouble), **LIMITS) == [text]


def test_a_node_that_never_answers_has_figures_too():
    silent = report(latency=lambda t: None)
    assert silent["latency_p95_ms"] == [20000.0] * 5
    assert silent["answers"] == 0


def test_every_value_is_in_its_fifth():
    assert shares([(0.0, 1.0), (19.9, 2.0), (20.0, 3.0), (100.0, 4.0)], 100.0) == [[1.0, 2.0], [3.0], [], [], [4.0]]
