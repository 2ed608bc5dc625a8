"""`dope import-config`: the configuration of DOPE's ROS 1 node becomes objects.yaml and a parameter file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
import yaml

from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.legacy.ros1_config import Ros1Config
from dope_ros2.legacy.ros1_launch import Ros1Launch
from dope_ros2.legacy.ros1_objects import ImportedObjects

OBJECTS = """\
# Imported from {name}. Lengths in metres. The frame of an object is that of the old node's poses: its origin is
# the box's centre, its axes are those of the box, or of the mesh where model_transforms said so.
"""
PARAMETERS = """\
# Imported from {name}; `ros2 param describe` explains each parameter.
# tracking: false leaves poses as measured, as the ROS 1 node did; true gives names that last and filtered poses.
"""


def write(path: Path, comment: str, content: dict, *, flow: bool | None) -> None:
    """Write YAML with a comment above; `flow` as PyYAML's default_flow_style.

    Raises:
        UserError: it cannot be written.
    """
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=flow, width=1000)
    files.write_text(path, comment + text)


def report(imported: ImportedObjects, start: Ros1Launch) -> list[str]:
    """What was made, what has no counterpart, and what to do next, as lines."""
    notes = [f"  {note}" for note in imported.notes + start.notes()]
    return [
        f"{start.objects_file}: {', '.join(imported.objects)}",
        f"{start.params}: {', '.join(start.parameters())}",
        *(["", "without a counterpart, or changed:", *notes] if notes else []),
        "",
        "turn the old weights into files of this package (--profile nvlabs-2024 for those trained by later code):",
        *(f"  {shlex.join(command)}" for command in start.imports()),
        "",
        "start:",
        *(f"  {shlex.join(command)}" for command in start.nodes()),
    ]


@command("dope import-config")
def main(
    config: Annotated[Path, typer.Argument(help="config_pose.yaml of the ROS 1 node")],
    out: Annotated[Path, typer.Option(help="objects.yaml to write; the weights will lie beside it")],
    params: Annotated[Path, typer.Option(help="parameter file to write")],
    package: Annotated[
        Path | None,
        typer.Option(help="folder that package:// URIs mean; default: the nearest above CONFIG with a package.xml"),
    ] = None,
) -> None:
    """Turn the configuration of DOPE's ROS 1 node into objects.yaml and parameters, and say what is left to do."""
    for path in (out, params):
        if path.exists() or out == params:
            raise UserError(f"{path}: is there already; name another file, or remove it")
    old = Ros1Config.read(config, package)
    imported = ImportedObjects(old)
    start = Ros1Launch(config=old, axes=imported.axes, objects_file=out, params=params)
    lines, parameters = report(imported, start), start.parameters()
    write(out, OBJECTS.format(name=config.name), {"objects": imported.objects}, flow=None)
    write(params, PARAMETERS.format(name=config.name), parameters, flow=False)
    typer.echo("\n".join(lines))
