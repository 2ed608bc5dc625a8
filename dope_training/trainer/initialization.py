"""What a run starts from instead of random weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import pip_install
from dope_ros2.legacy.checkpoints import read_checkpoint
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Conventions
from dope_ros2.network.weights import load
from dope_training.config import TrainConfig
from dope_training.objective.training_module import BeliefModule
from dope_training.trainer.checkpoints import conventions_of, read

IMAGENET = "imagenet"
UNSAID = (
    "; a .pth does not say how its images were normalised: taken as ImageNet's, otherwise bring it in with "
    "`dope import-weights --profile` and start from that"
)
VGG_LAYERS = 23  # of torchvision's VGG-19, up to conv4_2: the first ones of the published network's trunk


class Given(NamedTuple):
    """Weights of a network of some objects.

    Attributes:
        architecture, objects, tensors: the network's.
        conventions: what images and maps mean to it; None where the file does not say so.
    """

    architecture: str
    objects: list[str]
    tensors: dict[str, Tensor]
    conventions: Conventions | None = None


class Repeat(NamedTuple):
    """Where a tensor repeats itself for every object: along `axis`, `each` channels an object after `first` others."""

    axis: int
    first: int
    each: int


def start_from(module: BeliefModule, source: str) -> str:
    """Replace random weights by given ones, as far as the two networks have them in common.

    What images and maps mean to the given network is taken over with them, into the run and the weights that it
    writes.

    Args:
        module: with the network to be trained; changed in place.
        source: a weights file, a checkpoint of a run, a public `.pth`, or "imagenet".

    Returns:
        What was taken, in words.

    Raises:
        UserError: there is no such file, or it is of another kind of network, or its maps mean something else than the
            recipe says.
    """
    config = module.config
    if source == IMAGENET:
        return _from_imagenet(module.network, config.architecture)
    given = read_given(Path(source))
    if given.architecture != config.architecture:
        raise UserError(
            f"{source}: is a {given.architecture}, but the recipe asks for a {config.architecture}; "
            f"set `architecture: {given.architecture}` or start from another file"
        )
    conventions = _conventions(given, config, source)
    said = _take(module.network, given, config, source)
    module.adopt(conventions)
    return said + (UNSAID if given.conventions is None and source.endswith(".pth") else _differences(module))


def _take(network: nn.Module, given: Given, config: TrainConfig, source: str) -> str:
    """Put given tensors into a network, all of them or those of the objects that both know; says which."""
    objects = config.objects
    if given.objects == objects or config.architecture == "paper":
        _load(network, given.tensors, source)
        other = "" if given.objects == objects else f", trained for {' '.join(given.objects)}"
        return f"{source}: all layers taken{other}"
    mine = network.state_dict()
    if mine.keys() != given.tensors.keys():
        raise _other_layers(source, f"{len(mine.keys() ^ given.tensors.keys())} of them")
    repeats = repeats_of(config.architecture)
    for name, tensor in given.tensors.items():
        if name in repeats:
            tensor = _exchanged(mine.get(name), tensor, repeats[name], given.objects, objects)
        mine[name] = tensor
    _load(network, mine, source)
    known = [name for name in objects if name in given.objects]
    new = [name for name in objects if name not in given.objects]
    return f"{source}: trunk taken, channels taken of: {_names(known)}, random for: {_names(new)}"


def _conventions(given: Given, config: TrainConfig, source: str) -> Conventions:
    """What images and maps are to mean to a network that goes on from given weights."""
    asked = config.conventions
    if (theirs := given.conventions) is None:
        return asked
    if (theirs.sigma, theirs.affinity) != (asked.sigma, asked.affinity):
        raise UserError(
            f"{source}: its maps have sigma {theirs.sigma:g} and affinity {theirs.affinity}, but the recipe asks for "
            f"sigma {asked.sigma:g} and affinity {asked.affinity}; set `sigma: {theirs.sigma:g}` and "
            f"`affinity: {theirs.affinity}` or start from another file"
        )
    if theirs.origin != asked.origin and config.architecture != "paper":
        raise UserError(
            f"{source}: its maps begin at {theirs.origin:g} px, and a {config.architecture} is trained with maps that "
            f"begin at {asked.origin:g} px; start from another file"
        )
    return theirs


def _differences(module: BeliefModule) -> str:
    """In words, what images and maps mean where that is not the usual."""
    conventions = module.conventions
    if conventions == module.config.conventions:
        return ""
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (conventions.mean, conventions.std))
    return f"; as there, images have mean {mean} and deviation {std}, and maps begin at {conventions.origin:g} px"


def read_given(path: Path) -> Given:
    """Read weights of any kind.

    Raises:
        UserError: the file is missing, damaged or of no known kind.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; name weights, a run's checkpoint, a public .pth, or {IMAGENET!r}")
    if path.suffix == ".ckpt":
        state = read(path)
        tensors = {k.removeprefix("network."): v for k, v in state["average"].items() if k.startswith("network.")}
        return Given(state["architecture"], state["objects"], tensors, conventions_of(state))
    if path.suffix == ".pth":
        return Given("paper", [path.name], read_checkpoint(path))
    network, metadata = load(path)
    names = [trained.name for trained in metadata.objects]
    return Given(metadata.architecture, names, network.state_dict(), metadata.conventions)


def repeats_of(architecture: str) -> dict[str, Repeat]:
    """Which tensors of a network grow with the number of objects, and where: told from networks of one and of two."""
    with torch.device("meta"):
        one, two = (make_network(architecture, count).state_dict() for count in (1, 2))
    repeats: dict[str, Repeat] = {}
    for name, tensor in one.items():
        for axis, (short, long) in enumerate(zip(tensor.shape, two[name].shape, strict=True)):
            if short != long:
                repeats[name] = Repeat(axis, 2 * short - long, long - short)
    return repeats


def _exchanged(mine: Tensor, theirs: Tensor, repeat: Repeat, known: list[str], wanted: list[str]) -> Tensor:
    """`mine` with what `theirs` has: the channels of no object, and those of the objects that both know."""
    result, source = mine.clone().movedim(repeat.axis, 0), theirs.movedim(repeat.axis, 0)
    result[: repeat.first] = source[: repeat.first]
    for place, name in enumerate(wanted):
        if name in known:
            to, at = (repeat.first + k * repeat.each for k in (place, known.index(name)))
            result[to : to + repeat.each] = source[at : at + repeat.each]
    return result.movedim(0, repeat.axis)


def _from_imagenet(network: nn.Module, architecture: str) -> str:
    """The trunk of the published network from torchvision's VGG-19; the light ones have their features already."""
    if getattr(network, "features", None) is not None:
        return f"imagenet: every {architecture} has its fixed features from there; the rest is random"
    if architecture != "paper":
        raise UserError(f"--net imagenet: there are no ImageNet weights for the trunk of {architecture}, only of paper")
    if find_spec("torchvision") is None:
        raise UserError(f"--net imagenet needs torchvision, which is not installed: {pip_install('torchvision')}")
    from torchvision.models import VGG19_Weights, vgg19

    try:
        features = vgg19(weights=VGG19_Weights.IMAGENET1K_V1).features.state_dict()
    except OSError as error:
        raise UserError(f"--net imagenet: the weights cannot be fetched ({error})") from error
    own = {f"vgg.{name}": value for name, value in features.items() if int(name.split(".")[0]) < VGG_LAYERS}
    network.load_state_dict(own, strict=False)
    return f"imagenet: {len(own)} tensors of the trunk taken, the rest is random"


def _load(network: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise _other_layers(source, " ".join(str(error).split())[:160]) from error


def _other_layers(source: str, which: str) -> UserError:
    return UserError(
        f"{source}: its layers are not those of this network ({which}); start from weights of this version, or "
        "without --net"
    )


def _names(names: list[str]) -> str:
    return ", ".join(names) or "none"
