"""`dope view`: what the live node sees, or a dataset, in the viewer rerun."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dope_ros2.common.command_runner import guarded, load_function
from dope_ros2.common.errors import UserError
from dope_ros2.visualization.viewer.rerun_process import LOCAL

LIVE, DATASET = "dope_ros2.nodes.view_node:show", "dope_datagen.commands.view:main"
DEFAULT_PORT, DEFAULT_RATE = 9190, 10.0  # 9090 is rosbridge's


def _parser() -> argparse.ArgumentParser:
    text = "Show what the live node sees on a web page: camera, scene, tracks, latencies; or open a dataset."
    parser = argparse.ArgumentParser(prog="dope view", description=text)
    parser.add_argument("data", nargs="?", type=Path, help="a dataset of `dope generate`, instead of the live node")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write a recording (.rrd) instead of showing it")
    live = parser.add_argument_group("the live node")
    live.add_argument("--node", default="/dope", help="name of the node")
    live.add_argument("--camera", help="namespace of image_rect and camera_info; default: what the node listens to")
    live.add_argument(
        "--rate", type=float, default=DEFAULT_RATE, help="maximum rate of images [Hz] (default: %(default)s)"
    )
    live.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="of the page; its data use the next one (%(default)s)"
    )
    live.add_argument(
        "--address",
        default=LOCAL,
        help="address to listen on; 0.0.0.0 lets other machines see the page (default: this machine)",
    )
    live.add_argument("--native", action="store_true", help="open a window instead of serving a page")
    data = parser.add_argument_group("a dataset")
    data.add_argument("--count", type=int, help="how many images, from the first")
    return parser


def _check(options: argparse.Namespace) -> None:
    if options.rate <= 0:
        raise UserError(f"--rate {options.rate:g} is not above 0")
    if not 1 <= options.port <= 65534:
        raise UserError(f"--port {options.port} is not from 1 to 65534")
    if options.count is not None:
        raise UserError("--count is of a dataset, which is not named; `dope view --help` shows how")


def _check_dataset(options: argparse.Namespace) -> None:
    for name in ("node", "camera", "rate", "port", "address", "native"):
        if getattr(options, name) != _parser().get_default(name):
            raise UserError(f"--{name} is of the live node, and {options.data} is a dataset; leave one of them out")


def _view(argv: list[str]) -> int:
    ros = argv.index("--ros-args") if "--ros-args" in argv else len(argv)
    options = _parser().parse_args(argv[:ros])
    if options.data is None:
        _check(options)
        return load_function(LIVE, "view")(options, argv[ros:])
    _check_dataset(options)
    given = {"--save": options.save, "--count": options.count}
    arguments = [str(part) for name, value in given.items() if value is not None for part in (name, value)]
    return load_function(DATASET, "view")([str(options.data), *arguments])


def main(argv: list[str] | None = None) -> int:
    """Run `dope view`; returns the exit status."""
    return guarded(_view, sys.argv[1:] if argv is None else argv, "dope view")
