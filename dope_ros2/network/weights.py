"""Weights on disk: safetensors with everything that is needed to use them; nothing is unpickled.

The metadata key `dope` holds one JSON object, the fields of `Metadata`.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from dope_ros2 import __version__
from dope_ros2.common import files
from dope_ros2.common.errors import UserError, closest, one_line
from dope_ros2.common.resources import example
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Metadata
from dope_ros2.objects.object_model import ObjectModel

HEADER_LENGTH_BYTES = 8  # bytes with the length of the JSON that follows them
SIZE_TOLERANCE = 0.02  # relative; weights trained for another size would give wrong distances


def sha256(path: Path) -> str:
    """The checksum by which a file is known, in hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def save(path: Path, network: nn.Module, metadata: Metadata) -> None:
    """Write a network in half precision, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    tensors = {
        key: value.detach().cpu().to(torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        for key, value in network.state_dict().items()
    }
    files.write_bytes(path, save_tensors(tensors, {"format": "pt", "dope": metadata.to_json()}))


def load(path: Path) -> tuple[nn.Module, Metadata]:
    """Read a network, in single precision and evaluation mode, and its metadata.

    Raises:
        UserError: the file is missing, damaged or no weights of this package.
    """
    path = Path(path)
    if not os.path.isfile(path):
        known = f"train one with `dope train`, or name one of {example('weights')}"
        raise UserError(f"{one_line(path)}: no such weights file; {known}")
    try:
        data = path.read_bytes()  # a file that is mapped and overwritten meanwhile would end the process
        tensors = load_tensors(data)
        header = json.loads(
            data[HEADER_LENGTH_BYTES : HEADER_LENGTH_BYTES + int.from_bytes(data[:HEADER_LENGTH_BYTES], "little")]
        )
        text = header.get("__metadata__", {}).get("dope")
    except Exception as error:  # what a damaged file makes of safetensors is not said anywhere
        raise UserError(
            f"{path}: not a complete safetensors file ({one_line(error)}); copy or train it again; "
            "a .pth file comes in through `dope import-weights`"
        ) from error
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
