"""`make bench-loss`: images that another process publishes, and what becomes of them on the way to the node."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.harness.child_processes import Processes
from dope_ros2.harness.live_system import NODE, START_TIMEOUT, environment, ros_arguments

CASES = ("640x480@4", "640x480@15", "640x480@30", "1280x720@10")
PARAMETERS = ["objects:=[carton]", "record_seconds:=0.0"]
COMPRESSED = "image_transport:=compressed"
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")  # until Jazzy, from Kilted on


def measure(case: str, seconds: float, camera: list[str], processes: Processes, out: Path) -> dict:
    """One run of a case, written as `<width>x<height>@<images a second>`, with options of loss_node."""
    size, rate = case.split("@")
    width, height = size.split("x")
    record = out / "loss.json"
    options = ["--width", width, "--height", height, "--rate", rate, "--seconds", str(seconds), "--out", str(record)]
    processes.start("camera", ["-m", "dope_ros2.nodes.loss_node", *options, *camera])
    processes.wait_until_ended("camera", START_TIMEOUT + seconds)
    processes.check("node")
    return summary(json.loads(record.read_text()))


def summary(record: dict) -> dict:
    """Figures of a run.

    `arrived` is the share of the images that were not lost on the way, whether the node had time for them or not. A
    node that does not count what is displaced or lost has None for these.
    """
    published, answered, counts = record["published"], record["answered"], record["counts"]
    displaced, lost = counts.get("displaced"), counts.get("lost")
    came = None if lost is None else counts["images"] + displaced
    return {
        "published": published,
        "answered": answered,
        "displaced": displaced,
        "lost": lost,
        "arrived": None if lost is None else round(came / max(1, came + lost), 3),
        "time_ms": float(record["values"].get("time_ms_p50", 0)),
        "warned": max(record["levels"], default=0),
        "silences": record["silences"],
    }


def line(case: str, run: dict) -> str:
    """A line of the table."""
    displaced, lost, arrived = ("-" if run[key] is None else run[key] for key in ("displaced", "lost", "arrived"))
    return (
        f"{case:<14}{run['published']:>10}{run['answered']:>10}{displaced:>10}{lost:>8}{arrived:>9}"
        f"{run['time_ms']:>10.0f}{len(run['silences']):>14}"
    )


@command("bench-loss")
def main(
    out: Annotated[Path, typer.Option(help="JSON with all figures; logs go beside it")] = Path("out/loss.json"),
    seconds: Annotated[float, typer.Option(help="length of a run [s]", min=1)] = 10.0,
    runs: Annotated[int, typer.Option(help="runs of each case", min=1)] = 4,
    case: Annotated[list[str] | None, typer.Option(help="such as 640x480@15; may be given several times")] = None,
    program: Annotated[str, typer.Option(help="a script to run instead of dope_node")] = "",
    camera: Annotated[str, typer.Option(help="options of loss_node, such as '--qos best_effort'")] = "",
    profile: Annotated[Path | None, typer.Option(help="a profile of Fast DDS, such as fastdds_images.xml")] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="of dope_node, such as qos:=reliable")] = None,
) -> int:
    """Images lost on the way from another process, with the node's default settings."""
    logs, report = out.parent / "loss", {}
    files.new_folder(logs)
    options = camera.split()
    parameters = [*PARAMETERS, *(parameter or []), *([COMPRESSED] if "--compressed" in options else [])]
    print("case           published  answered displaced    lost  arrived   time ms  called silent")
    variables = dict.fromkeys(PROFILE_VARIABLES, str(profile.resolve())) if profile else {}
    with Processes(logs, environment() | variables) as processes:
        for each in case or CASES:
            processes.start("node", [*([program] if program else NODE), *ros_arguments(parameters)])
            processes.wait_for("node", "looking for", START_TIMEOUT)
            report[each] = []
            for _ in range(runs):
                report[each].append(measure(each, seconds, options, processes, logs))
                print(line(each, report[each][-1]), flush=True)
            processes.stop("node")
    files.write_json(out, report)
    return 1 if any(run["silences"] for found in report.values() for run in found) else 0


if __name__ == "__main__":
    sys.exit(main())
