"""The object's entry in objects.yaml: its text, and adding it to a file that keeps its comments."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import ObjectModel, load_objects


@dataclass(frozen=True)
class Entry:
    """What `dope assets prepare` knows of an object; fields as in `ObjectModel`."""

    name: str
    class_id: int
    size: tuple[float, ...]
    centre: tuple[float, ...]
    mesh: str
    mesh_unit: str
    color: tuple[int, ...]
    symmetries_discrete: list[list[float]]
    symmetries_continuous: list[dict]

    def text(self, indent: int = 2) -> str:
        """The lines below `objects:`, indented by so many spaces."""
        lines = [
            f"class_id: {self.class_id}",
            f"size: {_numbers(self.size)}",
            f"centre: {_numbers(self.centre)}",
            f"mesh: {_scalar(self.mesh)}",
            f"mesh_unit: {self.mesh_unit}",
            f"color: {list(self.color)}",
        ]
        if self.symmetries_discrete:
            lines += ["symmetries_discrete:", *(f"  - {_numbers(row, 9)}" for row in self.symmetries_discrete)]
        if self.symmetries_continuous:
            lines.append("symmetries_continuous:")
            rows = self.symmetries_continuous
            lines += [f"  - {{axis: {_numbers(r['axis'])}, offset: {_numbers(r['offset'], 9)}}}" for r in rows]
        pad = " " * indent
        return "".join(f"{pad}{line}\n" for line in [f"{_scalar(self.name)}:", *(pad + line for line in lines)])


def check_new(objects: dict[str, ObjectModel], file: Path, name: str, class_id: int | None) -> int:
    """The class id of a new entry, the next free one unless given.

    Raises:
        UserError: the name or the class id is taken, or cannot be one.
    """
    ids = {model.class_id: model.name for model in objects.values()}
    if not re.fullmatch(r"[A-Za-z0-9_-]*[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"--name {name!r}: a name has letters, digits, '_' and '-' only; it becomes a TF frame")
    if name in objects:
        raise UserError(f"{file}: there is an object {name!r} already; choose another --name, or remove that entry")
    if class_id in ids:
        raise UserError(
            f"{file}: class_id {class_id} is that of {ids[class_id]}; leave --class-id out to get {_free(ids)}"
        )
    return class_id or _free(ids)


def known(file: Path | None) -> dict[str, ObjectModel]:
    """The objects of a file that may not be there yet."""
    return load_objects(file) if file is not None and file.exists() else {}


def add(entry: Entry, file: Path) -> None:
    """Add an entry at the end of a file's objects; all else in it stays as it is. A missing file is made.

    Raises:
        UserError: the name or class id is taken, or the file has a layout that is not understood or cannot be written.
    """
    file = Path(os.path.realpath(file))  # a link stays one
    before = known(file)
    check_new(before, file, entry.name, entry.class_id)
    try:
        if not file.exists():
            files.write_text(file, "objects:\n" + entry.text())
            return
        old = file.read_bytes().decode()
        new = with_entry(old, entry, file)
        found = yaml.safe_load(new)["objects"]
        if found.keys() != before.keys() | {entry.name}:
            raise UserError(f"{file}: its layout is not understood; add the entry by hand:\n{entry.text()}")
        mode = file.stat().st_mode
        files.write_text(file, new)
        file.chmod(mode)
    except files.WriteError as error:
        raise UserError(
            f"{file}: cannot be written ({error.reason}); add the entry by hand:\n{entry.text()}"
        ) from error


def with_entry(text: str, entry: Entry, file: Path) -> str:
    """The text of an objects.yaml with one more entry after its last one."""
    root = yaml.compose(text)
    objects = next(value for key, value in root.value if key.value == "objects")
    if objects.flow_style or not objects.value:
        raise UserError(
            f"{file}: `objects:` is written in braces; write one entry below the other, or add this by hand:\n"
            f"{entry.text()}"
        )
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    at = objects.end_mark.line if objects.end_mark.index < len(text) else len(lines)
    while at and (not lines[at - 1].strip() or lines[at - 1].startswith(("#", "..."))):
        at -= 1
    if not lines[at - 1].endswith(("\n", "\r")):
        lines[at - 1] += newline
    added = entry.text(indent=objects.value[0][0].start_mark.column).replace("\n", newline)
    return "".join([*lines[:at], newline, added, *lines[at:]])


def mesh_reference(obj: Path, file: Path | None) -> str:
    """How an entry names a mesh: relative to objects.yaml if below its folder, else absolute."""
    obj = obj.resolve()
    folder = None if file is None else Path(os.path.realpath(file)).parent
    return obj.relative_to(folder).as_posix() if folder and obj.is_relative_to(folder) else obj.as_posix()


def _free(ids: dict[int, str]) -> int:
    return max(ids, default=0) + 1


def _numbers(values: tuple[float, ...], digits: int = 6) -> str:
    """Numbers in a row, short, zero never negative."""
    return "[" + ", ".join(f"{round(float(v), digits) + 0.0:.{digits + 1}g}" for v in values) + "]"


def _scalar(text: str) -> str:
    """A string as YAML, quoted where it needs to be."""
    return yaml.safe_dump(text, default_flow_style=True, width=10_000, allow_unicode=True).removesuffix("...\n").strip()
