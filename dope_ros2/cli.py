"""The command `dope`: finds the verb, runs it, and turns a user's mistake into one line.

Verbs are named by strings and imported when they run, so that this package imports neither of the other two
and `dope --help` does not wait for torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

from dope_ros2 import __version__
from dope_ros2.common import stop_signals
from dope_ros2.common.command_runner import guarded, load_function
from dope_ros2.common.errors import UserError, closest


class Verb(NamedTuple):
    """One verb: `module:function` taking a list of arguments and returning an exit status, and a line of help."""

    target: str
    help: str


VERBS = {
    "demo": Verb(
        "dope_ros2.commands.demo:main", "simulated camera, live node and a table of what it finds, over ROS 2"
    ),
    "node": Verb("dope_ros2.nodes.dope_node:main", "the live ROS 2 node: images in, poses out"),
    "camera": Verb("dope_ros2.nodes.camera_node:main", "publish a webcam, a video or a folder of images over ROS 2"),
    "monitor": Verb("dope_ros2.nodes.monitor_node:main", "compare a node's poses with the truth, live"),
    "rviz": Verb("dope_ros2.nodes.rviz_node:main", "RViz with the topics of a node, in its camera's frame"),
    "predict": Verb("dope_ros2.commands.predict:main", "poses in images, folders, videos and BOP scenes"),
    "replay": Verb("dope_ros2.commands.replay:main", "process a recording of a node again and compare the results"),
    "generate": Verb("dope_datagen.commands.generate:main", "render a labelled dataset from meshes"),
    "convert": Verb("dope_datagen.commands.convert:main", "datasets from and to NDDS, BOP and COCO"),
    "preview": Verb(
        "dope_datagen.commands.preview:main", "labelled images of a dataset as a contact sheet and a web page"
    ),
    "check": Verb("dope_datagen.commands.check:main", "verify a dataset, print its statistics, repair faulty shards"),
    "view": Verb("dope_ros2.commands.view:main", "show the live node or a dataset in the viewer rerun, as a web page"),
    "assets": Verb(
        "dope_datagen.commands.assets:main", "check and prepare a mesh: unit, texture; put its appearance into weights"
    ),
    "carton": Verb("dope_datagen.carton:main", "make the carton: mesh, texture and the PDF to print"),
    "learn": Verb(
        "dope_training.commands.learn:main", "from a mesh to weights in one go: prepare, render, train, evaluate"
    ),
    "train": Verb("dope_training.commands.train:main", "train a network on a dataset"),
    "calibrate": Verb(
        "dope_training.commands.calibrate:main", "measure errors of weights: scores, covariances, distances"
    ),
    "evaluate": Verb(
        "dope_training.commands.evaluate:main", "evaluate weights or results files against the truth, with a report"
    ),
    "card": Verb("dope_training.commands.model_card:main", "write the model card and the checksum of weights"),
    "export": Verb(
        "dope_ros2.commands.export:main", "turn a weights file into a network for ONNX Runtime, OpenVINO or TensorRT"
    ),
    "benchmark": Verb("dope_ros2.benchmarks.stages:main", "time of each stage on this machine, with each engine"),
    "import-weights": Verb("dope_ros2.commands.import_weights:main", "turn a public DOPE .pth into a weights file"),
    "import-config": Verb(
        "dope_ros2.commands.import_config:main", "configuration of DOPE's ROS 1 node to objects and parameters"
    ),
    "export-legacy": Verb(
        "dope_ros2.commands.export_legacy:main", "turn a weights file of DOPE's network into a public .pth"
    ),
}


def usage() -> str:
    """The text of `dope --help`."""
    width = max(map(len, VERBS)) + 2
    lines = [f"  {name:{width}}{verb.help}" for name, verb in VERBS.items()]
    return "\n".join(["usage: dope VERB [OPTIONS]    (`dope VERB --help` explains a verb)", "", *lines])


def load(name: str) -> Callable[[list[str]], int]:
    """Import a verb's function.

    Raises:
        UserError: there is no such verb, or something that it needs is not installed.
    """
    if name not in VERBS:
        raise UserError(f"no verb {name!r}{closest(name, VERBS)}")
    if VERBS[name].target.startswith("dope_ros2.nodes."):
        stop_signals.watch()
    return load_function(VERBS[name].target, name)


def main(argv: list[str] | None = None) -> int:
    """Run `dope VERB ...`; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] == "--version":
        print(f"dope {__version__}")
        return 0
    return guarded(lambda rest: load(argv[0])(rest), argv[1:], "dope")


if __name__ == "__main__":
    sys.exit(main())
