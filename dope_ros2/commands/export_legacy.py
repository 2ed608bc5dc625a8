"""Write weights of the published network as a public `.pth`, for code that was written for DOPE."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import nn

from dope_ros2.cli import run_typer
from dope_ros2.common.errors import UserError
from dope_ros2.network.weights import load

PREFIX = "module."  # of published checkpoints, which were saved from a parallel module


def save_legacy(path: Path, network: nn.Module, *, old_format: bool = False, prefix: str = PREFIX) -> None:
    """Write a `Paper` with the published layer names, in single precision, to a temporary name first.

    Args:
        path: the file.
        network: with `vgg`, `m1_1` and so on.
        old_format: as PyTorch before 1.6 wrote and reads it.
        prefix: of every name.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    tensors = {prefix + name: value.detach().cpu().float().contiguous() for name, value in network.state_dict().items()}
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save(tensors, file, _use_new_zipfile_serialization=not old_format)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # a full disk shows as either
        partial.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({str(error).splitlines()[0]}); make room") from error


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
