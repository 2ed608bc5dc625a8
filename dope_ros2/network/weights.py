"""Weights on disk: safetensors with everything that is needed to use them; nothing is unpickled.

The metadata key `dope` holds one JSON object, the fields of `Metadata`.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import load_file, save_file
from torch import nn

from dope_ros2 import __version__
from dope_ros2.common.errors import UserError, closest, one_line, short
from dope_ros2.common.resources import share
from dope_ros2.estimation.confidence import Trust
from dope_ros2.legacy import box_axes
from dope_ros2.network.architectures import ARCHITECTURES, STRIDE
from dope_ros2.network.belief_maps import Calibration, MapSpec
from dope_ros2.objects.object_model import LONGEST_NAME, ObjectModel

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MOST_OBJECTS, TALLEST = 1000, 4096  # objects of a network, images [px] that it is given
FARTHEST = 1e6  # any number of the metadata from zero
MOST_BIAS = 0.5  # of a distance
HEADER = 8  # bytes with the length of the JSON that follows them
FEATURES = "efficientnet-lite0.safetensors"  # in the package's weights/
SIZE_TOLERANCE = 0.02  # relative; weights trained for another size would give wrong distances


@dataclass(frozen=True, kw_only=True)
class TrainedObject:
    """An object as it was when the weights were trained.

    Attributes:
        size, centre: of its cuboid in the mesh's frame [m].
        distance_bias: its poses come out too far by at least this share of the distance; `dope calibrate` measures it.
    """

    name: str
    size: tuple[float, float, float]
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    distance_bias: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a weights file says of itself.

    Attributes:
        architecture: a key of `network.ARCHITECTURES`.
        objects: in the order of the network's outputs.
        mean, std: normalisation of RGB in [0, 1].
        sigma: standard deviation of the belief targets [cells].
        affinity: kind of affinity, see `maps.MapSpec`.
        origin: pixel at which the centre of map cell (0, 0) lies, in x and y [px].
        calibration: how the peaks of its maps err.
        trust: what scores and ellipsoids are made with.
        input_height: height to which images are scaled for inference [px]; 0 keeps their own.
        crop: side of the crops of the training [px], in which objects span a third to all; 0 when that is not known.
        data, training: summaries in words and figures.
    """

    architecture: str
    objects: tuple[TrainedObject, ...]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    stride: int = STRIDE
    sigma: float = MapSpec.sigma
    affinity: str = MapSpec.affinity
    origin: float = (STRIDE - 1) / 2
    input_height: int = 480
    crop: int = 0
    calibration: Calibration = field(default_factory=Calibration)
    trust: Trust = field(default_factory=Trust)
    data: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    licence: str = "Apache-2.0"
    code_version: str = __version__

    def __post_init__(self) -> None:
        numbers = [*self.mean, *self.std, self.sigma, self.origin, *vars(self.calibration).values()]
        numbers += [*vars(self.trust).values()]
        numbers += [v for o in self.objects for v in (*o.size, *o.centre, o.distance_bias)]
        names = [o.name for o in self.objects if isinstance(o.name, str) and len(o.name) <= LONGEST_NAME]
        if not 1 <= len(names) == len(self.objects) <= MOST_OBJECTS:
            raise ValueError(f"{len(self.objects)} objects, of which 1 to {MOST_OBJECTS} and their names are needed")
        if not all(isinstance(number, int | float) and abs(number) <= FARTHEST for number in numbers):
            raise ValueError(f"a number is none: {short(numbers)}")
        if {len(self.mean), len(self.std), *(len(v) for o in self.objects for v in (o.size, o.centre))} != {3}:
            raise ValueError("mean, std, size and centre have three numbers each")
        if min(*self.std, self.sigma, *(edge for o in self.objects for edge in o.size)) <= 0:
            raise ValueError("std, sigma and sizes are above 0")
        if max(abs(o.distance_bias) for o in self.objects) > MOST_BIAS:
            raise ValueError(f"distance_bias is at most {MOST_BIAS} of the distance")
        if self.stride != STRIDE or self.affinity not in ("unit", "offset"):
            raise ValueError(f"stride {self.stride!r} and affinity {self.affinity!r}")
        for height in (self.input_height, self.crop):
            if not isinstance(height, int) or not 0 <= height <= TALLEST:
                raise ValueError(f"input_height and crop are from 0 to {TALLEST}, not {height!r}")

    @property
    def map_spec(self) -> MapSpec:
        """How the maps are drawn and read."""
        return MapSpec(stride=self.stride, sigma=self.sigma, affinity=self.affinity)

    def to_json(self) -> str:
        """As it stands in a weights file."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Metadata:
        """Rebuild from the JSON in a weights file."""
        entry = json.loads(text)
        known = {f.name for f in fields(cls)}
        entry = {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items() if key in known}
        entry["objects"] = tuple(
            TrainedObject(
                name=o["name"],
                size=tuple(o["size"]),
                centre=tuple(o["centre"]),
                distance_bias=o.get("distance_bias", 0.0),
            )
            for o in entry["objects"]
        )
        entry["calibration"] = Calibration(**entry.get("calibration", {}))
        entry["trust"] = Trust(**entry.get("trust", {}))
        return cls(**entry)


@dataclass(frozen=True)
class Profile:
    """Conventions of public DOPE checkpoints, which say nothing of themselves."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    origin: float


# Targets of 2018 to 2023 were drawn at full size and resized, later ones at keypoint / 8 straight on the map.
PROFILES = {
    "nvlabs-2018": Profile((0.5,) * 3, (0.5,) * 3, origin=0.4395 * 8),
    "nvlabs-2024": Profile(IMAGENET_MEAN, IMAGENET_STD, origin=0.0),
    "native": Profile(IMAGENET_MEAN, IMAGENET_STD, origin=(STRIDE - 1) / 2),  # as `dope export-legacy` writes them
}


def sha256(path: Path) -> str:
    """The checksum by which a file is known, in hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def build(architecture: str, objects: int) -> nn.Module:
    """Make the named network for a number of objects, with random weights."""
    if architecture not in ARCHITECTURES:
        raise UserError(f"no network {architecture!r}{closest(architecture, ARCHITECTURES)}")
    return ARCHITECTURES[architecture](objects)


def begin(architecture: str, objects: int) -> nn.Module:
    """Make the named network to be trained: random weights, but for features that stay as they are.

    Raises:
        UserError: there is no such network, or the file of the features is missing.
    """
    network = build(architecture, objects)
    if (features := getattr(network, "features", None)) is not None:
        path = share() / "weights" / FEATURES
        try:
            features.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
        except (OSError, RuntimeError, SafetensorError) as error:
            raise UserError(f"{path}: cannot be read ({one_line(error)}); install the package again") from error
    return network


def save(path: Path, network: nn.Module, metadata: Metadata) -> None:
    """Write a network in half precision, to a temporary name first."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        key: value.detach().cpu().to(torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        for key, value in network.state_dict().items()
    }
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, {"format": "pt", "dope": metadata.to_json()})
    partial.chmod(0o644)  # safetensors makes it readable to its owner alone
    os.replace(partial, path)


def load(path: Path) -> tuple[nn.Module, Metadata]:
    """Read a network, in single precision and evaluation mode, and its metadata.

    Raises:
        UserError: the file is missing, damaged or no weights of this package.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise UserError(f"{one_line(path)}: no such weights file; train one with `dope train` or name one of weights/")
    try:
        data = path.read_bytes()  # a file that is mapped and overwritten meanwhile would end the process
        tensors = load_tensors(data)
        header = json.loads(data[HEADER : HEADER + int.from_bytes(data[:HEADER], "little")])
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
        network = build(metadata.architecture, len(metadata.objects))
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
    return {key.removeprefix("module."): value for key, value in state.items()}


def import_paper(
    path: Path, model: ObjectModel, profile: str, turned: str = box_axes.SAME
) -> tuple[nn.Module, Metadata]:
    """Load a public DOPE checkpoint of one object under a named profile.

    Where the axes of its box are not the object's, `turned` says which of them are, see `axes`.

    Raises:
        UserError: unknown profile or axes, or the checkpoint's layers are not DOPE's.
    """
    order = box_axes.keypoint_order(box_axes.parse(turned))
    if profile not in PROFILES:
        raise UserError(f"no profile {profile!r}{closest(profile, PROFILES)}")
    network = build("paper", 1)
    try:
        network.load_state_dict(read_checkpoint(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{path}: its layers are not those of the DOPE network ({reason})") from error
    network.renumber(order)
    chosen = PROFILES[profile]
    trained = TrainedObject(name=model.name, size=model.size, centre=model.centre)
    metadata = Metadata(
        architecture="paper", objects=(trained,), mean=chosen.mean, std=chosen.std, origin=chosen.origin,
        sigma=0.5, affinity="unit", input_height=400, licence="of the imported file",
        training={"imported": Path(path).name, "profile": profile, "axes": turned},
    )  # fmt: skip
    return network.eval(), metadata
