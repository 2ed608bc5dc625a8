"""PyTorch: the engine that is always there; with half precision on a GPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import pip_install, too_old
from dope_ros2.engines.deployed_network import Deployed
from dope_ros2.network.metadata import Metadata

TYPING = "typing_extensions>=4.12"  # PyTorch itself takes 4.10, which Ubuntu 24.04 has


class Torch:
    """Runs the network as it is."""

    fallback = ""

    def __init__(self, network: nn.Module, metadata: Metadata, device: torch.device) -> None:
        self._device = device
        self._half = device.type == "cuda"
        deployed = Deployed(network, metadata).eval().to(device, memory_format=torch.channels_last)
        self._run = self._prepared(deployed.half() if self._half else deployed)
        self.name = f"{self._label()} on {device.type}{', half precision' if self._half else ''}"

    @classmethod
    def of_network(cls, network: nn.Module, metadata: Metadata, device: torch.device) -> Torch:
        """As every engine is made."""
        return cls(network, metadata, device)

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, ...]:
        """Maps of (N, H, W, 3) uint8; see `Engine`. On a GPU, bytes go there and float32 comes back."""
        with torch.inference_mode():
            outputs = self._run(torch.from_numpy(pictures).to(self._device))
            return tuple(output.float().cpu().numpy() for output in outputs)

    def memory(self) -> tuple[int, int] | None:
        """Free and all bytes of the GPU; None on a CPU."""
        return torch.cuda.mem_get_info(self._device) if self._device.type == "cuda" else None

    def _label(self) -> str:
        return "torch"

    def _prepared(self, network: nn.Module) -> nn.Module:
        return network


class Compiled(Torch):
    """Compiled by TorchInductor, with CUDA graphs on a GPU: quick for single images, slow to start."""

    def _label(self) -> str:
        return "torch, compiled"

    def _prepared(self, network: nn.Module) -> nn.Module:
        if installed := too_old(TYPING):  # else TorchInductor ends in a TypeError
            raise UserError(f"engine torch-compiled: typing_extensions {installed} is too old; {pip_install(TYPING)}")
        return torch.compile(network, mode="reduce-overhead" if self._half else "default")
