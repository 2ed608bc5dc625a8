"""`dope export`: a weights file as a network for another engine, whose answers are compared with PyTorch's."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.engines import registry
from dope_ros2.engines.registry import Engine
from dope_ros2.engines.torch_engine import Torch
from dope_ros2.network import weights
from dope_ros2.network.channels import SIDE_MULTIPLE
from dope_ros2.network.metadata import Metadata

MAX_DIFFERENCE, MAX_HALF_DIFFERENCE = 1e-3, 0.05  # largest difference of a map's value; with half precision
CPU = torch.device("cpu")


class Target(StrEnum):
    """What to export for."""

    ONNX = "onnx"
    OPENVINO = "openvino"
    TENSORRT = "tensorrt"


SUFFIX = {Target.ONNX: ".onnx", Target.OPENVINO: ".xml", Target.TENSORRT: ".onnx"}


def export(path: Path, target: Target, out: Path) -> float:
    """Write a weights file for another engine, under its own name only when its answers are PyTorch's.

    Args:
        path: of the weights.
        target: what for.
        out: file to write; OpenVINO's weights lie beside it, with the suffix .bin, and so does what objects look like,
            see `weights.appearance_file`.

    Returns:
        The largest difference of a value of the maps, over images of several sizes and numbers.

    Raises:
        UserError: the engine is not there, or its answers are different ones.
    """
    network, metadata = weights.load(path)
    files.new_folder(out.parent)
    with files.replacing(out) as draft:
        _write(target, network, metadata, draft)
        engine = _reopened(target, draft)
        allowed = MAX_HALF_DIFFERENCE if target is Target.TENSORRT else MAX_DIFFERENCE
        worst = difference(Torch(network, metadata, CPU), engine, metadata)
        if not worst <= allowed:
            raise UserError(f"{out}: not written: {engine.name} answers differ by up to {worst:.2g}, not {allowed:g}")
        weights.write_appearances(draft, weights.read_appearances(path))
        files.remove(weights.appearance_file(out))
        for file in set(draft.parent.iterdir()) - {draft}:  # .bin before .xml, which needs it
            files.replace(file, out.with_name(file.name))
    return worst


def _write(target: Target, network: torch.nn.Module, metadata: Metadata, file: Path) -> None:
    if target is Target.OPENVINO:
        on_openvino = registry.module("openvino")
        on_openvino.save(on_openvino.convert(network, metadata), file)
    else:
        files.write_bytes(file, registry.module("onnxruntime").convert(network, metadata))


def _reopened(target: Target, file: Path) -> Engine:
    """What was written, as exact as its engine can be; for TensorRT, on the GPU it is built for."""
    if target is Target.OPENVINO:
        return registry.module("openvino").OpenVino.open(file, CPU, {"INFERENCE_PRECISION_HINT": "f32"})[0]
    name, device = ("onnxruntime", "cpu") if target is Target.ONNX else ("tensorrt", "cuda")
    return registry.start(file, name, device)[0]


def difference(one: Engine, other: Engine, metadata: Metadata) -> float:
    """The largest difference of a map's value between two engines, over images of noise of several sizes."""
    rng = np.random.default_rng(0)
    full = -(-(metadata.input_height or 480) // SIDE_MULTIPLE) * SIDE_MULTIPLE
    sizes = (
        (1, full, full * 4 // 3 // SIDE_MULTIPLE * SIDE_MULTIPLE),
        (3, metadata.crop or full, 5 * SIDE_MULTIPLE),
        (2, 64, 96),
    )
    worst = 0.0
    for count, height, width in sizes:
        height = -(-height // SIDE_MULTIPLE) * SIDE_MULTIPLE
        pictures = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(one(pictures), other(pictures), strict=True)))
    return worst


@command("dope export")
def main(
    path: Annotated[Path, typer.Argument(help="weights file (safetensors)", metavar="WEIGHTS")],
    to: Annotated[Target, typer.Option(help="runtime to export for")] = Target.ONNX,
    out: Annotated[Path | None, typer.Option(help="file to write; default: beside the weights")] = None,
) -> None:
    """Write a network for another engine; images of any size and number go in, as bytes.

    What the weights say of themselves goes along, so that `dope predict --weights FILE` and the node's parameter
    `weights` take the file as it is; what objects look like lies in FILE.appearance.safetensors, copy that too. The
    answers are compared with PyTorch's before it is kept.
    """
    out = out or path.with_suffix(SUFFIX[to])
    if out.suffix != SUFFIX[to]:
        raise UserError(f"--out {out}: a network for {to} ends in {SUFFIX[to]}")
    worst = export(path, to, out)
    print(f"{out}: answers as PyTorch does, to {worst:.1g}")
