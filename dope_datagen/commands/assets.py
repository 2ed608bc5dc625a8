"""`dope assets`: is a mesh fit to train on, and make it so; put what it looks like into weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from dope_datagen.assets.library import object_mesh
from dope_datagen.mesh_preparation import entry as entries
from dope_datagen.mesh_preparation.entry import Entry
from dope_datagen.mesh_preparation.mesh_file import read
from dope_datagen.mesh_preparation.prepare import TEXTURE_SIZE, TRIANGLES, prepare
from dope_datagen.mesh_preparation.report import MeshReport, closed, inspect, levels, volume
from dope_datagen.mesh_preparation.surface import Surface, agreement
from dope_datagen.mesh_preparation.symmetry import matrices
from dope_datagen.mesh_preparation.write import write
from dope_ros2.common.command_runner import commands
from dope_ros2.common.errors import UserError, closest
from dope_ros2.common.resources import default_weights
from dope_ros2.meshes.read_parts import MESH_SUFFIXES
from dope_ros2.objects.mesh_units import name_from
from dope_ros2.objects.object_model import UNITS, ObjectModel, load_objects, use_objects

SAME_BOX = 0.005  # of an edge
DUST = 1e-6  # [m], a centre nearer to 0 is 0
MeshArgument = Annotated[Path, typer.Argument(metavar="MESH", help=f"{', '.join(MESH_SUFFIXES)}")]
UnitOption = Annotated[
    str | None, typer.Option(help="unit of the mesh: m, cm or mm; guessed from its size if not given")
]


def _check(mesh: MeshArgument, unit: UnitOption = None) -> None:
    """Report size, unit, texture and symmetry of a mesh; fails if it cannot be used."""
    print(inspect(read(mesh), unit).text())
    print(f"\n`dope assets prepare {mesh} --out FOLDER` makes it ready and prints its entry for objects.yaml")


def _prepare(
    mesh: MeshArgument,
    out: Annotated[Path, typer.Option(help="folder for the OBJ, MTL and PNG")],
    unit: UnitOption = None,
    triangles: Annotated[int, typer.Option(min=100, help="maximum number of triangles")] = TRIANGLES,
    texture_size: Annotated[int, typer.Option(min=16, max=16384, help="longer side of the texture at most [px]")] = (
        TEXTURE_SIZE
    ),
    mesh_unit: Annotated[str, typer.Option(help="unit to write: m, cm or mm")] = "m",
    name: Annotated[str | None, typer.Option(help="name of the object; from the file if not given")] = None,
    class_id: Annotated[
        int | None, typer.Option(min=1, help="class id of the object; the next free one if not given")
    ] = None,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml to add the entry to; printed if none")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace files of an earlier run")] = False,
) -> None:
    """Write a mesh as OBJ in metres with one texture and few triangles, and its entry for objects.yaml."""
    if mesh_unit not in UNITS:
        raise UserError(f"--mesh-unit {mesh_unit!r} is not one of {', '.join(UNITS)}")
    name = name or name_from(mesh)
    file = Path(objects_file or "objects.yaml")
    taken = entries.known(objects_file)
    class_id = entries.check_new(taken, file, name, class_id or (None if objects_file else _next_id()))
    report = inspect(read(mesh), unit)
    print(report.text())
    ready = prepare(outward(report.source.surface), triangles, texture_size)
    obj = write(ready, out, name, report.unit.factor / UNITS[mesh_unit], overwrite)
    entry = entry_of(report, ready, name, class_id, entries.mesh_reference(obj, objects_file), mesh_unit)
    verify(entry, file)
    print(f"\n{obj}: {summary(report, ready)}")
    if objects_file is None:
        print(f"add to `objects:` in your objects.yaml:\n\n{entry.text()}", end="")
    else:
        entries.add(entry, objects_file)
        print(f"{objects_file}: added {name}, class_id {class_id}:\n\n{entry.text()}", end="")


def _appearance(
    weights: Annotated[
        Path | None, typer.Option(help="weights, or a network of `dope export`; rewritten; default: the package's")
    ] = None,
    objects: Annotated[str | None, typer.Option(help="names, separated by commas; all of the weights' if none")] = None,
    models: Annotated[Path | None, typer.Option(help="folder that meshes in objects.yaml are relative to")] = None,
    objects_file: Annotated[Path | None, typer.Option(help="objects.yaml; default: the package's")] = None,
) -> None:
    """Put what objects look like into weights, from their meshes, so that a robot refines poses without these."""
    from dope_ros2.engines import registry  # here, so that the other two do not wait for torch
    from dope_ros2.network.weights import EXPORTED, appearance_file, load, match_objects
    from dope_ros2.refinement.drawing.appearances import put_appearances, summary_of

    use_objects(None, models)
    path = weights or default_weights()
    metadata = registry.start(path)[1] if path.suffix in EXPORTED else load(path)[1]
    known = {model.name: model for model in match_objects(path, metadata, load_objects(objects_file))}
    names = [name.strip() for name in objects.split(",")] if objects else list(known)
    for name in names:
        if name not in known:
            raise UserError(f"{path}: was not trained on the object {name!r}{closest(name, known)}")
    made = put_appearances(path, [known[name] for name in names])
    for line in [*made.notes, *(f"{name}: {summary_of(appearance)}" for name, appearance in made.items())]:
        print(line)
    if not made:
        raise UserError(f"{path}: no appearance was made; see above, and `dope assets appearance --help`")
    print(f"{appearance_file(path)}: {appearance_file(path).stat().st_size / 2**20:.1f} MiB")


def _next_id() -> int:
    """The number after all of the package's own objects.yaml."""
    return max((model.class_id for model in load_objects().values()), default=0) + 1


def outward(surface: Surface) -> Surface:
    """The surface with its triangles turned round if they all face inward."""
    if not closed(surface) or volume(surface) >= 0:
        return surface
    triangles, uvs, colors = (part[:, ::-1] for part in (surface.triangles, surface.uvs, surface.corner_colors))
    return replace(surface, triangles=triangles, uvs=uvs, corner_colors=colors)


def entry_of(report: MeshReport, ready: Surface, name: str, class_id: int, mesh: str, mesh_unit: str) -> Entry:
    """The entry of a prepared mesh; its box is the original's, unless thinning out changed it."""
    before, after = report.source.surface.box, ready.box
    box = before if (np.abs(after.size / before.size - 1) < SAME_BOX).all() else after
    centre = box.centre * report.unit.factor
    centre = np.where(np.abs(centre) < DUST, 0, centre)
    discrete, continuous = matrices(report.axes, centre)
    return Entry(
        name,
        class_id,
        tuple((box.size * report.unit.factor).tolist()),
        tuple(centre.tolist()),
        mesh,
        mesh_unit,
        tuple(levels(report.color)),
        discrete,
        continuous,
    )


def verify(entry: Entry, file: Path) -> ObjectModel:
    """Read the written mesh as everything else will, through the entry.

    Raises:
        UserError: it cannot be read so.
    """
    fields = {key: value for key, value in vars(entry).items() if key != "name"}
    model = ObjectModel.from_dict(entry.name, fields, Path(file).resolve())
    object_mesh(model)
    return model


def summary(report: MeshReport, ready: Surface) -> str:
    """A line about what became of the mesh."""
    before = report.source.surface
    off = agreement(before, ready, np.random.default_rng(0))
    return (
        f"{len(ready.triangles):,} of {len(before.triangles):,} triangles, texture {ready.images[0].shape[1]} x "
        f"{ready.images[0].shape[0]} px; colours differ from the original by {off.mean():.1f} of 255 levels on average"
    )


main = commands("dope assets", {"check": _check, "prepare": _prepare, "appearance": _appearance})
