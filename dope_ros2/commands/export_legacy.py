"""Write weights of the published network as a public `.pth`, for code that was written for DOPE."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.legacy.checkpoints import PREFIX, save_legacy
from dope_ros2.network.weights import load


@command("dope export-legacy")
def main(
    weights: Annotated[Path, typer.Argument(help="weights of the network `paper`")],
    out: Annotated[Path, typer.Option(help="the .pth file to write")],
    old_format: Annotated[bool, typer.Option("--old-format", help="readable by PyTorch before 1.6")] = False,
    bare: Annotated[bool, typer.Option("--bare", help=f"names without the prefix {PREFIX!r}")] = False,
) -> None:
    """Write weights of the published network as a public .pth, for code that was written for DOPE."""
    network, metadata = load(weights)
    if metadata.architecture != "paper":
        raise UserError(
            f"{weights}: is a {metadata.architecture}, which DOPE's code does not know; "
            "train with `architecture: paper`"
        )
    save_legacy(out, network, old_format=old_format, prefix="" if bare else PREFIX)
    typer.echo(f"{out}: {metadata.objects[0].name}; comes back with `dope import-weights {out} --profile native`")
