"""What runs a network: images in, maps out, the same call for PyTorch, ONNX Runtime, OpenVINO and TensorRT.

Engines are named by strings and imported when they are asked for, so that only those that are used need be installed.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import nn

from dope_ros2.common.errors import UserError, one_line, short
from dope_ros2.common.python_packages import EXTRAS, package, pip_install, unmet
from dope_ros2.network.metadata import Metadata
from dope_ros2.network.weights import EXPORTED, load

# OpenVINO's converter would report its use to its makers: a robot does not.
sys.modules.setdefault("openvino_telemetry", None)


class Engine(Protocol):
    """A network that is ready to look at images.

    Attributes:
        name: what runs it and on what, for people.
        fallback: why something better does not; empty when nothing went wrong.
    """

    name: str
    fallback: str

    def memory(self) -> tuple[int, int] | None:
        """Free and all bytes of the GPU that it runs on; None where that is none, or not known."""
        ...

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, ...]:
        """Maps of images (N, H, W, 3) uint8 RGB, H and W multiples of 32.

        Returns:
            Belief (N, C, 9, h, w), affinity (N, C, 16, h, w) and, of networks that have it, surface (N, C, 4, h, w) as
            probabilities, all float32.
        """
        ...


class Kind(NamedTuple):
    """One engine: `module:class`, the Python package that it needs, and files that it reads."""

    target: str
    needs: str
    files: tuple[str, ...] = ()


KINDS = {
    "torch": Kind("dope_ros2.engines.torch_engine:Torch", "torch"),
    "torch-compiled": Kind("dope_ros2.engines.torch_engine:Compiled", "torch"),
    "openvino": Kind("dope_ros2.engines.openvino_engine:OpenVino", "openvino", (".xml", ".onnx")),
    "onnxruntime": Kind("dope_ros2.engines.onnxruntime_engine:OnnxRuntime", "onnxruntime", (".onnx",)),
    "tensorrt": Kind("dope_ros2.engines.onnxruntime_engine:TensorRt", "onnxruntime", (".onnx",)),
}
PREFERRED = {"cpu": ("openvino", "onnxruntime", "torch"), "cuda": ("torch", "onnxruntime")}  # measured: decision 0015
NAMES = ("auto", *KINDS)


def pick_device(name: str) -> torch.device:
    """`auto` is the GPU when there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        probe = torch.zeros(1, device=name)
        probe.item()  # the device "meta" has no numbers
        return probe.device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"device {short(name)} is not usable ({one_line(reason)}); use auto, cpu or cuda") from error


def start(path: Path, name: str = "auto", device: str = "auto") -> tuple[Engine, Metadata]:
    """Make the engine for a weights file, or for a network that `dope export` wrote.

    Args:
        path: safetensors, or an exported .onnx or .xml.
        name: one of `NAMES`; `auto` takes the fastest that is installed and works.
        device: auto, cpu or cuda.

    Raises:
        UserError: the file is missing, damaged or of another engine; engine or device are not usable.
    """
    path, chosen = Path(path), pick_device(device)
    if name not in NAMES:
        raise UserError(f"engine {short(name)} is not one of {', '.join(NAMES)}")
    if path.suffix in EXPORTED:
        return _open(path, name, chosen)
    network, metadata = load(path)
    return of_network(network, metadata, name, chosen), metadata


def of_network(network: nn.Module, metadata: Metadata, name: str, device: torch.device) -> Engine:
    """The named engine for a network; `auto` tries those of the device, fastest first, and remembers what failed.

    Raises:
        UserError: the engine is not installed, or cannot run this network.
    """
    if name != "auto":
        return _kind(name).of_network(network, metadata, device)
    problems: list[str] = []
    for each in (name for name in PREFERRED[device.type] if find_spec(KINDS[name].needs)):
        try:
            engine = _kind(each).of_network(network, metadata, device)
        except Exception as error:  # whatever keeps an engine from starting, the next one may not mind
            problems.append(f"{each}: {str(error).split(chr(10))[0]}")
            continue
        engine.fallback = "; ".join(problems)
        return engine
    raise UserError(f"no engine can run this network: {'; '.join(problems)}")


def advice(name: str, engine: Engine, device: str) -> str:
    """Why a network runs slower than it could on a CPU, and what to do; empty where it does not.

    Args:
        name: the engine that was asked for, one of `NAMES`.
        engine: what runs it.
        device: the device that was asked for.
    """
    missing = unmet([each for each in EXTRAS["engines"] if package(each) in ("openvino", "onnx")])
    if name == "auto" and missing and engine.name.startswith("torch") and pick_device(device).type == "cpu":
        return f"{engine.name} runs the network, which takes OpenVINO about half the time: {pip_install(*missing)}"
    return f"{engine.name} runs the network, since others do not work: {engine.fallback}" if engine.fallback else ""


def _open(path: Path, name: str, device: torch.device) -> tuple[Engine, Metadata]:
    """The first installed engine that reads such files."""
    readers = [kind for kind, (_, needs, files) in KINDS.items() if path.suffix in files and find_spec(needs)]
    if not path.is_file():
        raise UserError(f"{path}: no such file; `dope export` writes it")
    if name == "auto" and not readers:
        raise UserError(f"{path}: is read with openvino or onnxruntime; {pip_install('openvino')}")
    if name != "auto" and path.suffix not in KINDS[name].files:
        able = [kind for kind, (_, _, files) in KINDS.items() if path.suffix in files]
        raise UserError(f"{path}: engine {name} does not read {path.suffix} files; use auto, {' or '.join(able)}")
    try:
        return _kind(readers[0] if name == "auto" else name).open(path, device)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        reason = one_line(error)
        raise UserError(f"{path}: what it says of itself is no metadata of ours ({reason}); export it again") from error


def module(name: str) -> ModuleType:
    """The module of an engine.

    Raises:
        UserError: its package is not installed.
    """
    kind = KINDS[name]
    try:
        return import_module(kind.target.partition(":")[0])
    except ImportError as error:
        raise UserError(f"engine {name}: needs the Python package {kind.needs!r}; {pip_install(kind.needs)}") from error


def _kind(name: str) -> type:
    return getattr(module(name), KINDS[name].target.partition(":")[2])
