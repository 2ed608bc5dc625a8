"""Write weights of the published network as a public `.pth`, for code that was written for DOPE."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dope_ros2.common.command_runner import run_typer
from dope_ros2.common.errors import UserError
from dope_ros2.legacy.checkpoints import PREFIX, save_legacy
from dope_ros2.network.weights import load

app = typer.Typer(add_completion=False)


@app.command()
def export_legacy(
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


def main(argv: list[str] | None = None) -> int:
    """Run `dope export-legacy`; returns the exit status."""
    return run_typer(app, argv, "dope export-legacy")


if __name__ == "__main__":
    sys.exit(main())
