"""`dope view`: a dataset in the viewer rerun: images, masks, depth, and the objects in space."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Annotated

import numpy as np
import typer

from dope_datagen.dataset.store import Dataset, Sample, records
from dope_datagen.inspection.contact_sheet import instance_color
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.visualization.viewer.rerun_file import saving
from dope_ros2.visualization.viewer.rerun_process import INSTEAD, check_display, load

PREVIEW = "`dope preview` writes a web page without it"


def arrays(sample: Sample, models: Mapping[str, ObjectModel]) -> dict[str, np.ndarray | list[str] | None]:
    """An image as plain arrays, one row per label whose class is known.

    Returns:
        `rgb` (H, W, 3) uint8, `mask` (H, W) uint8, `depth` (H, W) float32 [m] or None, `K` (3, 3) [px]; `centers`
        (N, 3) [m] of the cuboids in the optical frame, `half_sizes` (N, 3) [m], `quaternions` (N, 4) xyzw, `colors`
        (N, 3) uint8, `keypoints` (N, 9, 2) [px], `names` a list of N.
    """
    known = [(k, label, models[label.name]) for k, label in enumerate(sample.objects) if label.name in models]
    return {
        "rgb": sample.rgb,
        "mask": sample.mask,
        "depth": sample.depth,
        "K": sample.camera.K,
        "centers": _rows([label.pose.apply(model.centre) for _, label, model in known], 3),
        "half_sizes": _rows([np.array(model.size) / 2 for _, _, model in known], 3),
        "quaternions": _rows([label.pose.quaternion for _, label, _ in known], 4),
        "colors": _rows([instance_color(k) for k, _, _ in known], 3).astype(np.uint8),
        "keypoints": _rows([label.keypoints for _, label, _ in known], 9, 2),
        "names": [f"{label.name} {label.visibility:.0%}" for _, label, _ in known],
    }


def _rows(values: list, *shape: int) -> np.ndarray:
    return np.array(values, float).reshape(-1, *shape)


def _open(rr: ModuleType) -> None:
    """Start the viewer.

    Raises:
        UserError: there is no display, or the viewer does not start.
    """
    check_display()
    # The viewer is a program beside this interpreter, which is not in PATH unless its environment is activated.
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    try:
        rr.spawn()
    except RuntimeError as error:
        raise UserError(f"the viewer rerun does not start ({str(error).splitlines()[0]}); {INSTEAD}") from error


def _send_all(rr: ModuleType, store: Dataset, models: Mapping[str, ObjectModel], count: int) -> None:
    rr.log("/", rr.ViewCoordinates.RDF, static=True)
    for index in range(min(count, len(store))):
        _send(rr, store.number(index), arrays(store[index], models))


def _send(rr: ModuleType, number: int, content: dict) -> None:
    height, width = content["mask"].shape
    rr.set_time("picture", sequence=number)
    # rerun's pixels have their centres at halves, ours at whole numbers.
    K = np.add(content["K"], [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    rr.log(
        "camera",
        rr.Pinhole(image_from_camera=K, resolution=[width, height], camera_xyz=rr.ViewCoordinates.RDF),
    )
    rr.log("camera/rgb", rr.Image(content["rgb"]))
    rr.log("camera/mask", rr.SegmentationImage(content["mask"]))
    if content["depth"] is not None:
        rr.log("camera/depth", rr.DepthImage(content["depth"], meter=1.0))
    corners, colors = content["keypoints"].reshape(-1, 2) + 0.5, np.repeat(content["colors"], 9, axis=0)
    rr.log("camera/corners", rr.Points2D(corners, colors=colors))
    boxes = {key: content[key] for key in ("centers", "half_sizes", "colors")}
    turns = [rr.Quaternion(xyzw=quaternion) for quaternion in content["quaternions"]]
    rr.log("objects", rr.Boxes3D(**boxes, quaternions=turns, labels=content["names"]))


@command("dope view")
def main(
    data: Annotated[Path, typer.Argument(help="a dataset of `dope generate`")],
    count: Annotated[int, typer.Option(min=1, help="how many images, from the first")] = 100,
    save: Annotated[Path | None, typer.Option(help="write a recording (.rrd) instead of opening the viewer")] = None,
) -> None:
    """Open a dataset in rerun."""
    store, models, rr = Dataset.open(data), records(data), load(PREVIEW)
    rr.init(f"dope view {data.name}")
    if save is None:
        _open(rr)
    with nullcontext() if save is None else saving(rr, save):
        _send_all(rr, store, models, count)
