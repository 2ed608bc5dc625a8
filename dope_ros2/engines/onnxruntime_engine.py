"""ONNX Runtime, and TensorRT through it: the engine builds itself from the ONNX file where TensorRT is installed."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import onnxruntime
import torch
from torch import nn

from dope_ros2.common.errors import UserError
from dope_ros2.engines.deployed_network import INPUT, to_onnx
from dope_ros2.network.metadata import Metadata

FACTS = "dope"  # key of the metadata in an ONNX file


def convert(network: nn.Module, metadata: Metadata) -> bytes:
    """The network as an ONNX model with its metadata, see `to_onnx`."""
    written = to_onnx(network, metadata)
    import onnx  # here: what was exported runs without it

    model = onnx.load_from_string(written)
    onnx.helper.set_model_props(model, {FACTS: metadata.to_json()})
    return model.SerializeToString()


class OnnxRuntime:
    """Runs the network through ONNX Runtime."""

    fallback = ""
    LABEL = "onnxruntime"
    PROVIDERS: ClassVar[dict[str, tuple[str, ...]]] = {
        "cpu": ("CPUExecutionProvider",),
        "cuda": ("CUDAExecutionProvider",),
    }

    def __init__(self, model: bytes, device: torch.device) -> None:
        self._device = device
        wanted = self.PROVIDERS.get(device.type, ())
        missing = [name for name in wanted if name not in onnxruntime.get_available_providers()]
        if missing or not wanted:
            raise UserError(
                f"engine {self.LABEL}: this onnxruntime has no {', '.join(missing) or 'provider'} for {device.type}; "
                "install onnxruntime-gpu (and TensorRT, for tensorrt), or use another engine or device"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=[self._option(name) for name in wanted])
        self.name = f"{self.LABEL} on {device.type}"

    def _option(self, provider: str) -> str | tuple[str, dict]:
        return provider

    @classmethod
    def of_network(cls, network: nn.Module, metadata: Metadata, device: torch.device) -> OnnxRuntime:
        """As every engine is made."""
        return cls(convert(network, metadata), device)

    @classmethod
    def open(cls, path: Path, device: torch.device) -> tuple[OnnxRuntime, Metadata]:
        """Read an exported network and its metadata.

        Raises:
            UserError: it is damaged, or was not exported by this package.
        """
        try:
            engine = cls(path.read_bytes(), device)
        except UserError:
            raise
        except Exception as error:  # of kinds that are its own
            raise UserError(f"{path}: not a complete ONNX file; export it again with `dope export`") from error
        facts = engine._session.get_modelmeta().custom_metadata_map
        if FACTS not in facts:
            raise UserError(f"{path}: says nothing of its objects; export it again with `dope export`")
        return engine, Metadata.from_json(facts[FACTS])

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, ...]:
        """Maps of (N, H, W, 3) uint8; see `Engine`."""
        return tuple(self._session.run(None, {INPUT: pictures}))

    def memory(self) -> tuple[int, int] | None:
        """Free and all bytes of the GPU, where PyTorch sees it, too."""
        return torch.cuda.mem_get_info() if self._device.type == "cuda" and torch.cuda.is_available() else None


class TensorRt(OnnxRuntime):
    """Runs it through TensorRT in half precision; engines for each image size are built once and kept."""

    LABEL = "tensorrt"
    PROVIDERS: ClassVar[dict[str, tuple[str, ...]]] = {"cuda": ("TensorrtExecutionProvider", "CUDAExecutionProvider")}
    CACHE = Path("~/.cache/dope_ros2/tensorrt")

    def _option(self, provider: str) -> str | tuple[str, dict]:
        if not provider.startswith("Tensorrt"):
            return provider
        folder = str(self.CACHE.expanduser())
        return provider, {"trt_fp16_enable": True, "trt_engine_cache_enable": True, "trt_engine_cache_path": folder}
