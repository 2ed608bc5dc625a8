"""`dope carton`: a box that code draws, as a mesh to render and as sheets to print. One drawing serves both."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dope_ros2.common.command_runner import run_typer
from dope_ros2.common.errors import UserError

app = typer.Typer(add_completion=False)


def write_carton(out: Path) -> list[Path]:
    """Write carton.obj, .mtl, .png, carton_a4.pdf and carton_letter.pdf into a folder; returns the files."""
    from dope_datagen.carton.mesh import write, write_mesh
    from dope_datagen.carton.sheets import PAPERS, pdf

    files = write_mesh(out)
    for paper in PAPERS:
        files.append(out / f"carton_{paper}.pdf")
        write(files[-1], pdf(paper))
    return files


@app.command()
def _command(out: Annotated[Path, typer.Option(help="folder for the files, made when missing")]) -> None:
    """Make the carton: a textured mesh, and two sheets at true scale to print, cut and glue."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        files = write_carton(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); give another --out") from error
    for file in files:
        print(file)


def main(argv: list[str] | None = None) -> int:
    """Run `dope carton`; returns the exit status."""
    return run_typer(app, argv, "dope carton")


if __name__ == "__main__":
    sys.exit(main())
