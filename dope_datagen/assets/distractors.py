"""Which meshes there are to distract: those of pybullet_data, and those of the user's folders."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from dope_datagen.assets.library import Assets, files_of
from dope_ros2.common.errors import UserError
from dope_ros2.meshes.read_parts import MESH_SUFFIXES

# Names of meshes, or of their folders, that are made for collisions and have no look.
COLLISION = re.compile(r"collision|vhacd|(?<![a-z])coll(?:ider)?(?![a-z])", re.I)
# Things of pybullet_data that look like something, beside its 1000 random shapes.
PYBULLET_MESHES = (
    "duck.obj",
    "domino/domino.obj",
    "jenga/jenga.obj",
    "soccerball.obj",
    "objects/mug.obj",
    "lego/lego.obj",
    "torus/torus_textured.obj",
    "bunny.obj",
    "stone.obj",
    "teddy2_VHACD_CHs.obj",
    "tray/tray_textured.obj",
)
RANDOM_SHAPES = 400  # of pybullet_data's random_urdfs


def distractor_keys(pybullet: bool, folders: tuple[Path, ...]) -> list[str]:
    """Keys of all distractor meshes: those of pybullet_data and all mesh files of folders.

    Raises:
        UserError: a folder is missing or has no mesh.
    """
    paths, own = _pybullet_paths() if pybullet else [], []
    for folder in folders:
        own += meshes_of(folder)
    if own:  # the user's folders look like the user's scenes: drawn as often as all the rest
        paths += max(1, round(len(paths) / len(own))) * own
    return [f"file:{path}" for path in paths]


def meshes_of(folder: Path) -> list[Path]:
    """All mesh files below a folder, but for collision meshes that lie beside others.

    Raises:
        UserError: there is none.
    """
    found = [p for p in files_of(folder) if p.suffix.lower() in MESH_SUFFIXES and not p.name.startswith(".")]
    if not found:
        raise UserError(f"{folder}: no mesh ({', '.join(MESH_SUFFIXES)}) here, for distractors")
    shown = {path for path in found if not _collision(path, folder)}
    around = {above for path in shown for above in path.parents}
    return [path for path in found if path in shown or _home(path, folder) not in around]


def _collision(path: Path, folder: Path) -> bool:
    return any(COLLISION.search(name) for name in (path.stem, *_inner(path, folder)))


def _inner(path: Path, folder: Path) -> Sequence[str]:
    """Names of the folders between `folder` and a file."""
    return path.relative_to(folder).parts[:-1]


def _home(path: Path, folder: Path) -> Path:
    """The folder of the object that a collision mesh belongs to: above all folders of collision meshes."""
    inner = _inner(path, folder)
    level = next((k for k, name in enumerate(inner) if COLLISION.search(name)), len(inner))
    return folder.joinpath(*inner[:level])


def refuse_broken(assets: Assets, folders: tuple[Path, ...]) -> None:
    """Read meshes of each folder, the smallest first, until one can be used; single broken ones are replaced later.

    Raises:
        UserError: no mesh of a folder can be used.
    """
    for folder in folders:
        paths = sorted(meshes_of(folder), key=lambda path: path.stat().st_size)
        if not any(assets.usable(f"file:{path}") for path in paths):
            raise UserError(
                f"{folder}: none of its {len(paths)} meshes can be used, the first because of: "
                f"{assets.refused[f'file:{paths[0]}']}; put whole files there, or take the folder out of "
                "distractor_folders"
            )


def _pybullet_paths() -> list[Path]:
    spec = importlib.util.find_spec("pybullet_data")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("pybullet_meshes: the package pybullet_data is missing; install pybullet, or set it to false")
    root = Path(spec.submodule_search_locations[0])
    named = [root / name for name in PYBULLET_MESHES]
    random = [p for p in sorted(root.glob("random_urdfs/*/*.obj"))[:RANDOM_SHAPES] if b"nan" not in p.read_bytes()]
    # Textured things are few and look like real ones, so each counts as much as several random shapes.
    return 12 * [p for p in named if p.is_file()] + random
