"""The whole state of a run on disk: written whole or not at all, the last few and the best kept."""

from __future__ import annotations

import os
import pickle
import random
import re
import shutil
import sys
from pathlib import Path

import torch
from numpy.random import get_state, set_state
from torch import nn

from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.network.metadata import Conventions

FOLDER, BEST = "checkpoints", "best.ckpt"
FORMAT = 1
NAME = re.compile(r"step-(\d+)\.ckpt$")
OLDER = "last.ckpt"  # what versions that trained with Lightning's Trainer wrote


class Checkpoints:
    """Those of one run, in its folder `checkpoints`."""

    def __init__(self, out: Path, keep: int) -> None:
        self.folder, self._keep = Path(out) / FOLDER, keep

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._numbered())

    def prepare(self) -> None:
        """Make the folder and remove what killed processes left in it.

        Raises:
            UserError: it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise refused(self.folder, error) from error
        files.remove_stale(self.folder)

    def save(self, state: dict, *, best: bool) -> None:
        """Write the state after its step, and remove those that are no longer kept.

        Raises:
            UserError: the disk is full or cannot be written; what was there before is still there.
        """
        path = self.folder / f"step-{state['step']:08d}.ckpt"
        write(path, {"format": FORMAT} | state)
        if best:
            try:
                with files.replacing(self.folder / BEST) as temporary:
                    _second_name(path, temporary)
            except files.WriteError as error:
                raise refused(self.folder / BEST, error) from error
        for old in self._numbered()[: -self._keep]:
            files.remove(old)

    def newest(self) -> dict | None:
        """The last state that can be read; None when there is none. Damaged ones are named on standard error."""
        for path in reversed(self._numbered()):
            try:
                return read(path)
            except UserError as error:
                print(f"{error}; going back to the checkpoint before", file=sys.stderr)
        return None

    def remove_after(self, step: int) -> None:
        """Remove those of later steps, which could not be read."""
        for path in self._numbered():
            if int(NAME.search(path.name)[1]) > step:
                files.remove(path)

    def _numbered(self) -> list[Path]:
        found = self.folder.glob("step-*.ckpt") if self.folder.is_dir() else ()
        return sorted((path for path in found if NAME.search(path.name)), key=lambda p: int(NAME.search(p.name)[1]))


def write(path: Path, content: object, *, zipped: bool = True) -> None:
    """Write with `torch.save`, whole or not at all.

    Raises:
        UserError: the disk is full or cannot be written.
    """
    try:
        with files.open_replacing(path) as file:
            torch.save(content, file, _use_new_zipfile_serialization=zipped)
    except files.WriteError as error:
        raise refused(path, error) from error


def read(path: Path) -> dict:
    """Read a checkpoint; nothing in it is executed.

    Raises:
        UserError: it is damaged, or no checkpoint of this version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a whole checkpoint ({str(error).strip().splitlines()[0][:100]})") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{path}: not a checkpoint of this version of `dope train`; start from weights with --net")
    return state


def check_fits(path: Path, state: dict, architecture: str, objects: list[str], optimizer: str) -> None:
    """Refuse to go on with the state of another network.

    Raises:
        UserError: saying what the checkpoint is and what the recipe asks for.
    """
    there = (state["architecture"], state["objects"], state["optimizer"])
    if there != (architecture, objects, optimizer):
        raise UserError(
            f"{path}: is a run of a {there[0]} of {', '.join(there[1])} with {there[2]}, but the recipe asks for a "
            f"{architecture} of {', '.join(objects)} with {optimizer}; use that run's recipe, or start another --out "
            "with --net"
        )


def conventions_of(state: dict) -> Conventions | None:
    """What images and maps mean to the network of a checkpoint; None where it is too old to say so."""
    return Conventions(**state["conventions"]) if "conventions" in state else None


def load_tensors(path: Path, module: nn.Module, tensors: dict) -> None:
    """Load a state dict into a module.

    Raises:
        UserError: the layers are of another version.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path}: its layers are not those of this version ({reason}); start with --net") from error


def random_state() -> dict:
    """The states of all global generators, as plain lists and tensors."""
    kind, keys, *rest = get_state()  # noqa: NPY002 what others may draw from, kept as it is
    return {
        "torch": torch.get_rng_state(),
        "torch.cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [kind, keys.tolist(), *rest],
        "python": random.getstate(),
    }


def restore_random_state(states: dict) -> None:
    """Set all global generators; those of devices only where there are as many."""
    version, keys, gauss = states["python"]
    random.setstate((version, tuple(keys), gauss))
    set_state(tuple(states["numpy"]))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if len(states["torch.cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["torch.cuda"])


def refused(path: Path, error: OSError | files.WriteError) -> UserError:
    """The user's view of a folder that did not take what was to be written."""
    told = error if isinstance(error, files.WriteError) else files.write_error(path, error)
    advice = "make room" if told.disk_full else "mend this"
    return UserError(
        f"{path}: cannot be written ({told.reason}); {advice} and go on with --resume, the last good checkpoint is kept"
    )


def _second_name(path: Path, place: Path) -> None:
    """A further name for a file, or a copy where the file system has no such names."""
    try:
        os.link(path, place)
    except OSError:
        shutil.copyfile(path, place)
