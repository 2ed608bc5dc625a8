"""Where the package's own files lie: config, weights, meshes."""

import os
import sys
from pathlib import Path

from dope_ros2.common.errors import UserError

PACKAGE = "dope_ros2"


def share() -> Path:
    """The folder that holds `config/`, `weights/` and `launch/`: a source tree, a ROS prefix or a Python prefix."""
    source = Path(__file__).resolve().parents[2]
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    for folder in [source, *(Path(prefix) / "share" / PACKAGE for prefix in prefixes)]:
        if (folder / "config" / "objects.yaml").is_file():
            return folder
    raise UserError(f"config/objects.yaml of {PACKAGE} is in none of {prefixes}; install the package again")


def default_weights() -> Path:
    """The weights file that the package brings."""
    return share() / "weights" / "dope-lite.safetensors"


def example(name: str) -> str:
    """A file or folder of the package as one can name it here: as in the source tree, else with its whole path."""
    return name if os.path.exists(name) else str(share() / name)


def resolve(uri: str, relative_to: Path) -> Path:
    """Turn a package:// or file:// URI, or a path relative to a folder or to one in $DOPE_MODELS, into a path."""
    if uri.startswith(f"package://{PACKAGE}/"):
        return share() / uri.removeprefix(f"package://{PACKAGE}/")
    path = Path(os.path.expanduser(os.path.expandvars(uri.removeprefix("file://"))))
    folders = [relative_to, *map(Path, filter(None, os.environ.get("DOPE_MODELS", "").split(os.pathsep)))]
    found = (folder / path for folder in folders if os.path.isfile(folder / path))  # unlike Path's, of any text
    return next(found, relative_to / path)
