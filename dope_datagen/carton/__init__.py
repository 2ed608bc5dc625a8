"""`dope carton`: a box that code draws, as a mesh to render and as sheets to print. One drawing serves both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dope_ros2.common import files
from dope_ros2.common.command_runner import command


def write_carton(out: Path) -> list[Path]:
    """Write carton.obj, .mtl, .png, carton_a4.pdf and carton_letter.pdf into a folder; returns the files."""
    from dope_datagen.carton.mesh import write_mesh
    from dope_datagen.carton.sheets import PAPERS, pdf

    sheets = {out / f"carton_{paper}.pdf": pdf(paper) for paper in PAPERS}
    meshes = write_mesh(out)
    for path, content in sheets.items():
        files.write_bytes(path, content)
    return [*meshes, *sheets]


@command("dope carton")
def main(out: Annotated[Path, typer.Option(help="folder for the files, made when missing")]) -> None:
    """Make the carton: a textured mesh, and two sheets at true scale to print, cut and glue."""
    for file in write_carton(out):
        print(file)
