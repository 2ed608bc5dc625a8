"""Turn a public DOPE checkpoint (.pth) into a weights file of this package."""

from pathlib import Path
from typing import Annotated

import typer

from dope_ros2.common.command_runner import command
from dope_ros2.legacy.box_axes import IDENTITY_AXES
from dope_ros2.legacy.checkpoints import PROFILES, import_paper
from dope_ros2.network.weights import save
from dope_ros2.objects.object_model import load_objects, pick


@command("dope import-weights")
def main(
    checkpoint: Annotated[Path, typer.Argument(help="the .pth file, of any PyTorch version")],
    name: Annotated[str, typer.Option("--object", help="the object's name in objects.yaml")],
    profile: Annotated[str, typer.Option(help=f"the code that trained it: {', '.join(PROFILES)}")],
    out: Annotated[Path, typer.Option(help="the .safetensors file to write")],
    axes: Annotated[
        str, typer.Option(help="which axes of the weights' box are the object's x, y, z: z,-y,x")
    ] = IDENTITY_AXES,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
) -> None:
    """Import a public DOPE checkpoint of one object; nothing in it is executed."""
    [model] = pick(load_objects(objects_file), [name])
    network, metadata = import_paper(checkpoint, model, profile, axes)
    save(out, network, metadata)
    typer.echo(f"{out}: the paper's network for {name} ({profile})")
