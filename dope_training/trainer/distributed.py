"""One process or several: which rank this one is, and how several are started."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import NamedTuple

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment

from dope_ros2.common.errors import UserError


class Ranks(NamedTuple):
    """This process among those that train together.

    Attributes:
        rank: its number, from 0.
        world: how many there are.
        local: how many of them on this machine.
    """

    rank: int = 0
    world: int = 1
    local: int = 1


def ranks() -> Ranks:
    """Those that torchrun, or `launch`, has started; otherwise this process is alone."""
    if not torch.distributed.is_torchelastic_launched():
        return Ranks()
    return Ranks(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")))


def make_fabric(precision: str) -> Fabric:
    """Lightning for this process: the GPUs there are, or the CPU; several ranks talk by NCCL or gloo."""
    for name in ("fabric", "pytorch"):
        logging.getLogger(f"lightning.{name}").setLevel(logging.WARNING)
    _, world, local = ranks()
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    if accelerator == "cuda" and local > torch.cuda.device_count():
        raise UserError(f"{local} processes on a machine with {torch.cuda.device_count()} GPUs; lower --devices")
    together = world > 1
    fabric = Fabric(
        accelerator=accelerator,
        devices=local,
        num_nodes=max(1, world // local),
        strategy="ddp" if together else "auto",
        precision=precision,
        plugins=[TorchElasticEnvironment() if together else LightningEnvironment()],
    )
    fabric.launch()
    return fabric


def launch(devices: int, function: Callable, arguments: tuple) -> int:
    """Call a function in so many processes on this machine; returns the exit status of the first that failed, or 0.

    A process that fails ends the others. A signal to this one goes to all of them, they have half a minute, and the
    status is 128 plus its number.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in ("elastic", "launcher"):
        logging.getLogger(f"torch.distributed.{name}").setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // devices)))
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=devices, run_id="dope", rdzv_backend="c10d",
        rdzv_endpoint="localhost:0", max_restarts=0, monitor_interval=0.1, start_method="spawn",
    )  # fmt: skip
    try:
        elastic_launch(config, function)(*arguments)
    except SignalException as error:
        return 128 + error.sigval
    except ChildFailedError as error:
        status = error.get_first_failure()[1].exitcode
        return status if status > 0 else 128 - status
    return 0
