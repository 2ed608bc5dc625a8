"""Weights on disk: safetensors with everything that is needed to use them; nothing is unpickled.

The metadata key `dope` holds one JSON object, the fields of `Metadata`. Tensors `appearance.<object>.<array>` are what
objects look like (`refinement/drawing/appearance.py` says what they mean); a network that was exported has them in a
file of their own beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from dope_ros2 import __version__
from dope_ros2.common import files
from dope_ros2.common.errors import UserError, closest, one_line
from dope_ros2.common.resources import example
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Metadata
from dope_ros2.objects.object_model import ObjectModel

HEADER_LENGTH_BYTES = 8  # bytes with the length of the JSON that follows them
SIZE_TOLERANCE = 0.02  # relative; weights trained for another size would give wrong distances
EXPORTED = (".onnx", ".xml")  # what `dope export` writes
APPEARANCE = "appearance."  # begins the names of such tensors
BESIDE = ".appearance.safetensors"  # follows the name of an exported network

Arrays: TypeAlias = dict[str, np.ndarray]  # of one appearance, by name


def sha256(path: Path) -> str:
    """The checksum by which a file is known, in hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def save(path: Path, network: nn.Module, metadata: Metadata, appearances: Mapping[str, Arrays] | None = None) -> None:
    """Write a network in half precision, and what its objects look like by their names, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    tensors = {
        key: value.detach().cpu().to(torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        for key, value in network.state_dict().items()
    }
    _write(path, tensors | _packed(appearances or {}), metadata.to_json())


def load(path: Path) -> tuple[nn.Module, Metadata]:
    """Read a network, in single precision and evaluation mode, and its metadata.

    Raises:
        UserError: the file is missing, damaged or no weights of this package.
    """
    path = Path(path)
    if not os.path.isfile(path):
        known = f"train one with `dope train`, or name one of {example('weights')}"
        raise UserError(f"{one_line(path)}: no such weights file; {known}")
    tensors, text = _read(path)
    tensors = {key: value for key, value in tensors.items() if not key.startswith(APPEARANCE)}
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise UserError(f"{path}: damaged: some of its numbers are none; copy or train it again")
    if text is None:
        raise UserError(f"{path}: safetensors without this package's metadata; use a file that `dope train` wrote")
    try:
        metadata = Metadata.from_json(text)
        network = make_network(metadata.architecture, len(metadata.objects))
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = one_line(str(error).split("\n")[0])
        raise UserError(f"{path}: its tensors or metadata do not fit this version {__version__} ({reason})") from error
    return network.eval(), metadata


def appearance_file(path: Path) -> Path:
    """Where the appearances of a network's objects are kept: in its weights file, or beside an exported network."""
    path = Path(path)
    return path.with_name(path.name + BESIDE) if path.suffix in EXPORTED else path


def read_appearances(path: Path) -> dict[str, Arrays]:
    """The arrays of each object's appearance, as they are, of a weights file or an exported network; {} if none.

    Raises:
        UserError: the file that keeps them is damaged.
    """
    file = appearance_file(path)
    found: dict[str, Arrays] = {}
    for key, tensor in (_read(file)[0] if os.path.isfile(file) else {}).items():
        name, _, array = key.removeprefix(APPEARANCE).partition(".")
        if key.startswith(APPEARANCE):
            values = tensor.float().numpy() if tensor.dtype is torch.bfloat16 else tensor.numpy()
            found.setdefault(name, {})[array] = values.view(np.uint16) if values.dtype == np.int16 else values
    return found


def write_appearances(path: Path, appearances: Mapping[str, Arrays]) -> None:
    """Put what objects look like, and nothing else of the kind, into the file that keeps it; the rest stays as it is.

    Args:
        path: of a weights file or an exported network.
        appearances: arrays by the objects' names.

    Raises:
        UserError: the weights file cannot be read, or the file cannot be written.
    """
    file = appearance_file(path)
    tensors, text = ({}, None) if file != Path(path) else _read(file)
    if file != Path(path) and not appearances:
        return files.remove(file)
    network = {key: value for key, value in tensors.items() if not key.startswith(APPEARANCE)}
    return _write(file, network | _packed(appearances), text)


def _packed(appearances: Mapping[str, Arrays]) -> dict[str, Tensor]:
    """Appearances as tensors; 16 bits without a sign go as those with one, since PyTorch before 2.3 has no others."""
    return {
        f"{APPEARANCE}{name}.{key}": torch.tensor(array.view(np.int16) if array.dtype == np.uint16 else array)
        for name, arrays in appearances.items()
        for key, array in arrays.items()
    }


def _write(path: Path, tensors: dict[str, Tensor], text: str | None) -> None:
    files.write_bytes(path, save_tensors(tensors, {"format": "pt"} | ({} if text is None else {"dope": text})))


def _read(path: Path) -> tuple[dict[str, Tensor], str | None]:
    """All tensors of a file, and what it says of itself."""
    try:
        data = Path(path).read_bytes()  # a file that is mapped and overwritten meanwhile would end the process
        tensors = load_tensors(data)
        header = json.loads(
            data[HEADER_LENGTH_BYTES : HEADER_LENGTH_BYTES + int.from_bytes(data[:HEADER_LENGTH_BYTES], "little")]
        )
        return tensors, header.get("__metadata__", {}).get("dope")
    except Exception as error:  # what a damaged file makes of safetensors is not said anywhere
        raise UserError(
            f"{path}: not a complete safetensors file ({one_line(error)}); copy or train it again; "
            "a .pth file comes in through `dope import-weights`"
        ) from error


def match_objects(path: Path, metadata: Metadata, objects: dict[str, ObjectModel]) -> list[ObjectModel]:
    """The records of the weights' objects, in their order.

    Raises:
        UserError: one is not in objects.yaml, or has another size there.
    """
    source = next(iter(objects.values())).source if objects else "objects.yaml"
    for trained in metadata.objects:
        if trained.name not in objects:
            raise UserError(
                f"{path}: knows the object {trained.name!r}, which {source} lacks{closest(trained.name, objects)}; "
                f"add it there with size {list(trained.size)}"
            )
        size = objects[trained.name].size
        if any(abs(a - b) > SIZE_TOLERANCE * b for a, b in zip(size, trained.size, strict=True)):
            raise UserError(
                f"{source}: {trained.name} has size {list(size)}, but {path} was trained with "
                f"{list(trained.size)} [m]; correct the size or train again"
            )
    return [objects[trained.name] for trained in metadata.objects]
