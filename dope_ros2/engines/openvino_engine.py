"""OpenVINO: the fastest engine on CPUs of Intel and AMD, in bfloat16 where they have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import torch
from torch import nn

from dope_ros2.common.errors import UserError
from dope_ros2.engines.deployed_network import to_onnx
from dope_ros2.network.metadata import Metadata

FACTS = ["dope"]  # where in the model's own information its metadata is
PRECISIONS = {"bf16": "bfloat16", "f16": "half precision", "f32": "single precision"}


def convert(network: nn.Module, metadata: Metadata) -> ov.Model:
    """The network as OpenVINO's model, for images of any size and number, with its metadata.

    By way of ONNX: OpenVINO's own converter traces the network with TorchScript, which keeps each trace for ever.
    """
    model = ov.Core().read_model(to_onnx(network, metadata))
    model.set_rt_info(metadata.to_json(), FACTS)
    return model


def save(model: ov.Model, path: Path) -> None:
    """Write a model to an .xml file, and its weights, as they are, to a .bin beside it."""
    ov.save_model(model, path, compress_to_fp16=False)


class OpenVino:
    """Runs the network through OpenVINO's CPU plugin."""

    fallback = ""

    def __init__(self, model: ov.Model, options: dict[str, str] | None = None) -> None:
        options = {"PERFORMANCE_HINT": "LATENCY"} | (options or {})
        compiled = ov.Core().compile_model(model, "CPU", options)
        self._request = compiled.create_infer_request()
        precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.name = f"openvino on cpu, {PRECISIONS.get(precision, precision)}"

    @classmethod
    def of_network(cls, network: nn.Module, metadata: Metadata, device: torch.device) -> OpenVino:
        """As every engine is made; a GPU of NVIDIA is none of OpenVINO's.

        Raises:
            UserError: the device is not a CPU.
        """
        _check(device)
        return cls(convert(network, metadata))

    @classmethod
    def open(cls, path: Path, device: torch.device, options: dict[str, str] | None = None) -> tuple[OpenVino, Metadata]:
        """Read an exported network and its metadata; options are OpenVINO's own.

        Raises:
            UserError: it is damaged, or was not exported by this package.
        """
        _check(device)
        try:
            model = ov.Core().read_model(path)
        except RuntimeError as error:
            raise UserError(f"{path}: not a network that OpenVINO reads; export it again with `dope export`") from error
        where = FACTS if path.suffix == ".xml" else ["framework", *FACTS]  # as it keeps those of ONNX
        if not model.has_rt_info(where):
            raise UserError(f"{path}: says nothing of its objects; export it again with `dope export`")
        return cls(model, options), Metadata.from_json(model.get_rt_info(where).astype(str))

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, ...]:
        """Maps of (N, H, W, 3) uint8; see `Engine`."""
        return tuple(self._request.infer([pictures], share_inputs=True).values())

    def memory(self) -> None:
        """It runs on no GPU."""


def _check(device: torch.device) -> None:
    if device.type != "cpu":
        raise UserError(f"engine openvino: runs on the CPU, not on {device.type}; use device cpu, or another engine")
