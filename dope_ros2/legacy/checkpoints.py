"""Public DOPE checkpoints (`.pth`), read and written; nothing is unpickled."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch
from torch import nn

from dope_ros2.common import files
from dope_ros2.common.errors import UserError, closest
from dope_ros2.legacy import box_axes
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Conventions, Metadata, TrainedObject
from dope_ros2.objects.object_model import ObjectModel

PREFIX = "module."  # of published checkpoints, which were saved from a parallel module
# Of public DOPE checkpoints, which say nothing of themselves. Targets of 2018 to 2023 were drawn at full size and
# resized, later ones at keypoint / 8 straight on the map.
NATIVE = Conventions(sigma=0.5, affinity="unit")
PROFILES = {
    "nvlabs-2018": NATIVE._replace(mean=(0.5,) * 3, std=(0.5,) * 3, origin=0.4395 * 8),
    "nvlabs-2024": NATIVE._replace(origin=0.0),
    "native": NATIVE,  # as `dope export-legacy` writes them
}


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a `.pth` file, zip or older serialisation, without its `module.` prefixes.

    Raises:
        UserError: the file is missing, damaged, or would run code when unpickled.
    """
    path = Path(path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, zipfile.BadZipFile, KeyError, ValueError) as error:
        reason = str(error).strip().split("\n")[0][:120]
        raise UserError(
            f"{path}: refused, not a plain file of tensors ({reason}); get it again at its source"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(f"{path}: holds no state dict of tensors; export it with torch.save(net.state_dict(), path)")
    return {key.removeprefix(PREFIX): value for key, value in state.items()}


def import_paper(
    path: Path, model: ObjectModel, profile: str, turned: str = box_axes.IDENTITY_AXES
) -> tuple[nn.Module, Metadata]:
    """Load a public DOPE checkpoint of one object under a named profile.

    Where the axes of its box are not the object's, `turned` says which of them are, see `box_axes`.

    Raises:
        UserError: unknown profile or axes, or the checkpoint's layers are not DOPE's.
    """
    order = box_axes.keypoint_order(box_axes.parse(turned))
    if profile not in PROFILES:
        raise UserError(f"no profile {profile!r}{closest(profile, PROFILES)}")
    network = make_network("paper", 1)
    try:
        network.load_state_dict(read_checkpoint(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path}: its layers are not those of the DOPE network ({reason})") from error
    network.renumber(order)
    chosen = PROFILES[profile]
    trained = TrainedObject(name=model.name, size=model.size, centre=model.centre)
    metadata = Metadata(
        architecture="paper", objects=(trained,), **chosen._asdict(), input_height=400,
        licence="of the imported file", training={"imported": Path(path).name, "profile": profile, "axes": turned},
    )  # fmt: skip
    return network.eval(), metadata


def save_legacy(path: Path, network: nn.Module, *, old_format: bool = False, prefix: str = PREFIX) -> None:
    """Write a `Paper` with the published layer names, in single precision, to a temporary name first.

    Args:
        path: the file.
        network: with `vgg`, `m1_1` and so on.
        old_format: as PyTorch before 1.6 wrote and reads it.
        prefix: of every name.

    Raises:
        UserError: the file cannot be written.
    """
    tensors = {prefix + name: value.detach().cpu().float().contiguous() for name, value in network.state_dict().items()}
    with files.open_replacing(path) as file:
        torch.save(tensors, file, _use_new_zipfile_serialization=not old_format)
