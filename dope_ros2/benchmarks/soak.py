"""`make soak`: the live node among faults for as long as one likes; does it grow, slow down, or stumble?"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer

from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.harness.child_processes import Processes
from dope_ros2.harness.live_system import NODE, START_TIMEOUT, environment, render, ros_arguments

SHARES = 5  # of the time: the first is for warming up, the second is compared with the last
PAUSE = 0.5  # between two looks at the memory [s]
UNDERWAY = 2  # calls of services that may be unanswered at the end
SLACK_MS = 20.0  # that a latency may be higher than another for nothing
# What ~/record keeps is bounded, but goes up and down with the size of the images.
PARAMETERS = ros_arguments(["record_seconds:=0.0"])


def watch(processes: Processes, seconds: float) -> list[tuple[float, float]]:
    """When [s], and the node's resident memory then [MB], until the trouble is over or the node has ended."""
    begin, samples = time.monotonic(), []
    while processes.status("trouble") is None and processes.status("node") is None:
        samples.append((time.monotonic() - begin, processes.resident("node") / 1e6))
        if samples[-1][0] > seconds + START_TIMEOUT:
            raise UserError(f"the trouble does not end; see {processes.log('trouble')}")
        time.sleep(PAUSE)
    return samples


def shares(samples: list[tuple[float, float]], seconds: float) -> list[list[float]]:
    """The values of (time, value) in each fifth of the time."""
    parts: list[list[float]] = [[] for _ in range(SHARES)]
    for at, value in samples:
        parts[min(int(at / seconds * SHARES), SHARES - 1)].append(value)
    return parts


def summary(record: dict, memory: list[tuple[float, float]], seconds: float) -> dict:
    """The figures of a run: memory [MB], latencies [ms] and recoveries [s]."""
    resident = [median(values) for values in shares(memory, memory[-1][0] + PAUSE)]
    unanswered = [seconds / SHARES]  # in which not one answer came
    latency = [1e3 * np.percentile(values or unanswered, 95) for values in shares(record["latencies"], seconds)]
    known = [value for _, value in record["latencies"]] or unanswered
    return {
        "images": record["images"],
        "answers": len(record["latencies"]),
        "memory_mb": [round(value, 1) for value in resident],
        "memory_deviation": round((max(resident[1:]) - min(resident[1:])) / (max(resident[1:]) + min(resident[1:])), 4),
        "latency_p95_ms": [round(float(value), 1) for value in latency],
        "latency_p50_ms": round(1e3 * median(known), 1),
        "call_s": [round(float(np.percentile(record["calls"] or [0.0], share)), 3) for share in (50, 100)],
        "unanswered": record["asked"] - len(record["calls"]),
        "recovery_s": {name: round(max(values), 3) for name, values in record["recoveries"].items() if values},
    }


def faults(report: dict, flat: float, growth: float, recovery: float) -> list[str]:
    """What does not hold, in words.

    Args:
        report: figures, as `summary` makes them, with the exceptions in the log and the status at the end.
        flat: share by which the memory may deviate after the first fifth of the time.
        growth: how many times as high the latency's 95th percentile may become, besides SLACK_MS.
        recovery: longest time to an answer after a fault [s].
    """
    first, last = report["latency_p95_ms"][1], report["latency_p95_ms"][-1]
    slow = [f"{name} ({seconds:g} s)" for name, seconds in report["recovery_s"].items() if seconds > recovery]
    found = {
        f"the memory deviates by {100 * report['memory_deviation']:.2f} %": report["memory_deviation"] > flat,
        f"the latency has grown from {first:g} to {last:g} ms": last > growth * first + SLACK_MS,
        f"it recovers too slowly from {', '.join(slow)}": bool(slow),
        f"{report['unanswered']} calls of services were never answered": report["unanswered"] > UNDERWAY,
        f"{report['exceptions']} exceptions are in the log": report["exceptions"] > 0,
        f"it ended with status {report['status']} when it was asked to": report["status"] != 0,
    }
    return [text for text, holds in found.items() if holds]


def tell(report: dict) -> str:
    """The figures as a table."""
    memory, latency = (", ".join(f"{v:g}" for v in report[key]) for key in ("memory_mb", "latency_p95_ms"))
    half, longest = report["call_s"]
    name, slowest = max(report["recovery_s"].items(), key=lambda item: item[1], default=("nothing", 0.0))
    return "\n".join(
        [
            f"images       {report['images']} in {report['seconds']:g} s; {report['answers']} good ones answered",
            f"memory       {memory} MB (fifths of the time); deviates by {100 * report['memory_deviation']:.2f} %",
            f"latency      {latency} ms (p95 of the same); {report['latency_p50_ms']:g} ms (median)",
            f"recovery     {slowest:g} s at most, after: {name}",
            f"services     answer after {half:g} s (median), {longest:g} s at most",
            f"exceptions   {report['exceptions']} in the log; status at the end {report['status']}",
        ]
    )


def play(processes: Processes, program: list[str], options: list[str], seconds: float) -> list[tuple[float, float]]:
    """Run the node and the trouble around it; returns its memory over the time.

    Raises:
        NodeEndedError: the node is no more.
    """
    processes.start("node", [*program, *PARAMETERS])
    processes.wait_for("node", "looking for", START_TIMEOUT)
    processes.start("trouble", ["-m", "dope_ros2.nodes.soak_node", *options])
    memory = watch(processes, seconds)
    if (status := processes.status("node")) is not None:
        raise NodeEndedError(f"the node has ended with status {status}: {processes.last_line('node')}")
    processes.wait_until_ended("trouble", START_TIMEOUT)
    return memory


class NodeEndedError(Exception):
    """The node has ended before it was asked to."""


@command("soak")
def main(
    out: Annotated[Path, typer.Option(help="JSON with all figures; logs go beside it")] = Path("out/soak.json"),
    seconds: Annotated[float, typer.Option(help="duration [s]", min=20)] = 1800.0,
    rate: Annotated[float, typer.Option(help="images a second", min=1)] = 30.0,
    program: Annotated[str, typer.Option(help="a script to run instead of dope_node")] = "",
    source: Annotated[str, typer.Option(help="images, as for camera_node; `demo` renders the demo's scene")] = "",
    flat: Annotated[float, typer.Option(help="largest relative deviation of the memory", min=0)] = 0.02,
    growth: Annotated[float, typer.Option(help="largest ratio of a latency to its p95 at the beginning", min=1)] = 1.5,
    recovery: Annotated[
        float, typer.Option(help="longest time from the end of a fault to the next answer [s]", min=0)
    ] = 1.0,
) -> int:
    """The node among faults, in processes of their own over ROS 2."""
    logs = out.parent / "soak"
    files.new_folder(logs)
    record, report = logs / "record.json", {"seconds": seconds, "rate": rate}
    with Processes(logs, environment()) as processes:
        if source == "demo":
            source = str(out.parent / "demo" / "scene")
            render(Path(source), processes)
        options = ["--seconds", str(seconds), "--rate", str(rate), "--source", source, "--out", str(record)]
        try:
            memory = play(processes, [program] if program else NODE, options, seconds)
            report |= summary(json.loads(record.read_text()), memory, seconds)
            report["status"] = processes.stop("node")
            report["exceptions"] = processes.log("node").read_text(errors="replace").count("Traceback")
            report["faults"] = faults(report, flat, growth, recovery)
            print(tell(report))
        except NodeEndedError as error:
            report["faults"] = [str(error)]
    files.write_json(out, report)
    print(*(f"does not hold: {fault}" for fault in report["faults"]), sep="\n", flush=True)
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
