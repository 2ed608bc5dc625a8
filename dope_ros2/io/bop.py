"""The BOP benchmark's folders and result files; millimetres live here and nowhere else.

A scene folder holds rgb/ (or gray/), scene_camera.json, and where the truth is known scene_gt.json and
scene_gt_info.json. Results are CSV: scene_id,im_id,obj_id,score,R,t,time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
MM = 0.001  # [m]
HEADER = "scene_id,im_id,obj_id,score,R,t,time"


@dataclass(frozen=True, eq=False)
class Truth:
    """One object that is in an image: obj_id, T_camera_object, and the visible fraction (None when unknown)."""

    obj_id: int
    pose: Pose
    visibility: float | None = None


@dataclass(frozen=True, eq=False)
class BopFrame:
    """One image of a scene.

    Attributes:
        path: the RGB image.
        K: (3, 3) camera matrix [px].
        depth_scale: metres of one unit of the depth image.
        truth: what is in it; None when the scene does not say.
    """

    scene_id: int
    im_id: int
    path: Path
    K: np.ndarray
    depth_scale: float
    truth: tuple[Truth, ...] | None

    def camera(self, width: int, height: int) -> CameraModel:
        """The camera of this image, whose size [px] only the image knows."""
        return CameraModel(self.K, width, height)


@dataclass(frozen=True, eq=False)
class Estimate:
    """One row of a results file: T_camera_object, and the time of the whole image [s], -1 when not measured."""

    scene_id: int
    im_id: int
    obj_id: int
    score: float
    pose: Pose
    time: float = -1.0


def is_scene(folder: Path) -> bool:
    """Whether a folder is a BOP scene."""
    return (folder / "scene_camera.json").is_file()


def scenes(folder: Path) -> list[Path]:
    """The scene folders in a dataset folder, or the folder itself when it is one; empty when it is neither."""
    if is_scene(folder):
        return [folder]
    return sorted(child.parent for child in folder.glob("[!.]*/scene_camera.json"))


def read_scene(folder: Path) -> list[BopFrame]:
    """Read a scene's frames, ordered by image id.

    Raises:
        UserError: a file is missing or malformed; the message names the file and the key.
    """
    folder = Path(folder)
    cameras = _read_json(folder / "scene_camera.json")
    truth_file, info_file = folder / "scene_gt.json", folder / "scene_gt_info.json"
    truths = _read_json(truth_file) if truth_file.is_file() else None
    infos = _read_json(info_file) if truths is not None and info_file.is_file() else {}
    scene_id = int(folder.name) if folder.name.isdigit() else 0
    frames = []
    for key in sorted(cameras, key=lambda k: _image_id(k, folder)):
        K, depth_scale = _camera(cameras[key], key, folder / "scene_camera.json")
        truth = None if truths is None else _truths(truths.get(key, []), infos.get(key), key, folder)
        im_id = int(key)
        frames.append(BopFrame(scene_id, im_id, _image_path(folder, im_id), K, depth_scale, truth))
    if not frames:
        raise UserError(f"{folder / 'scene_camera.json'}: has no images")
    return frames


def write_results(path: Path, estimates: Iterable[Estimate]) -> None:
    """Write a BOP results file, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    files.write_text(path, "\n".join([HEADER, *map(_row, estimates)]) + "\n")


def _row(estimate: Estimate) -> str:
    R = " ".join(f"{value:.9f}" for value in estimate.pose.rotation.ravel())
    t = " ".join(f"{value:.6f}" for value in estimate.pose.translation / MM)
    ids = f"{estimate.scene_id},{estimate.im_id},{estimate.obj_id}"
    return f"{ids},{estimate.score:.6f},{R},{t},{estimate.time:.6f}"


def read_results(path: Path) -> list[Estimate]:
    """Read a BOP results file, of this program or of another.

    Raises:
        UserError: it cannot be read or is malformed; the message names the line and the column.
    """
    try:
        lines = Path(path).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'no text'})") from error
    names, columns = HEADER.split(","), [name.strip() for name in lines[0].split(",")] if lines else []
    for number, (name, column) in enumerate(zip_longest(names, columns), 1):
        if name != column:
            raise UserError(f"{path}: line 1: column {number} is {column!r} instead of {name!r}; BOP's are {HEADER}")
    return [_estimate(line, f"{path}: line {number}") for number, line in enumerate(lines[1:], 2) if line.strip()]


def _estimate(line: str, where: str) -> Estimate:
    names, cells = HEADER.split(","), line.split(",")
    if len(cells) != len(names):
        raise UserError(f"{where} has {len(cells)} columns instead of {len(names)}: {HEADER}")
    values = {}
    for name, cell in zip(names, cells, strict=True):
        count = {"R": 9, "t": 3}.get(name, 1)
        try:
            values[name] = np.array(cell.split(), float)
        except ValueError:
            values[name] = np.zeros(0)
        if len(values[name]) != count or not np.isfinite(values[name]).all():
            what = "a finite number" if count == 1 else f"{count} finite numbers with spaces between them"
            raise UserError(f"{where}: column {name} is not {what}: {cell.strip()[:40]!r}")
    scene_id, im_id, obj_id = (_whole(values[name][0], name, where) for name in names[:3])
    R = values["R"].reshape(3, 3)
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-2 or np.linalg.det(R) < 0:
        raise UserError(f"{where}: column R is not a rotation matrix, row by row")
    pose = Pose(R, values["t"] * MM)
    return Estimate(scene_id, im_id, obj_id, float(values["score"][0]), pose, float(values["time"][0]))


def _whole(value: float, name: str, where: str) -> int:
    if value != int(value):
        raise UserError(f"{where}: column {name} is not a whole number: {value:g}")
    return int(value)


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); a BOP scene needs it") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: is not a mapping of image id to entry, as BOP defines it")
    return content


def _image_id(key: str, folder: Path) -> int:
    if not key.isdigit():
        raise UserError(f"{folder / 'scene_camera.json'}: the key {key!r} is not an image number")
    return int(key)


def _numbers(entry: object, key: str, count: int, where: str) -> np.ndarray:
    """The numbers under a key, or a UserError that names it."""
    if not isinstance(entry, dict) or key not in entry:
        raise UserError(f"{where}: the key {key!r} is missing")
    try:
        values = np.array(entry[key], float).ravel()
    except (TypeError, ValueError):
        values = np.zeros(0)
    if len(values) != count or not np.isfinite(values).all():
        raise UserError(f"{where}: {key} is not {count} finite numbers")
    return values


def _camera(entry: object, key: str, path: Path) -> tuple[np.ndarray, float]:
    where = f"{path}: image {key}"
    K = _numbers(entry, "cam_K", 9, where).reshape(3, 3)
    if K[0, 0] <= 0 or K[1, 1] <= 0:
        raise UserError(f"{where}: cam_K has focal lengths {K[0, 0]:g}, {K[1, 1]:g}; they must be positive pixels")
    depth_scale = _numbers(entry, "depth_scale", 1, where)[0] if "depth_scale" in entry else 1.0
    return K, float(depth_scale) * MM


def _truths(entries: object, infos: object, key: str, folder: Path) -> tuple[Truth, ...]:
    path = folder / "scene_gt.json"
    if not isinstance(entries, list):
        raise UserError(f"{path}: image {key} is not a list of objects")
    visible = [None] * len(entries)
    if infos is not None:
        where = f"{folder / 'scene_gt_info.json'}: image {key}"
        if not isinstance(infos, list) or len(infos) != len(entries):
            raise UserError(f"{where} does not have one entry for each of the {len(entries)} objects of scene_gt.json")
        visible = [float(_numbers(info, "visib_fract", 1, where)[0]) for info in infos]
    return tuple(_truth(e, v, f"{path}: image {key}") for e, v in zip(entries, visible, strict=True))


def _truth(entry: object, visible: float | None, where: str) -> Truth:
    obj_id = _numbers(entry, "obj_id", 1, where)[0]
    R = _numbers(entry, "cam_R_m2c", 9, where).reshape(3, 3)
    t = _numbers(entry, "cam_t_m2c", 3, where)
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-2:
        raise UserError(f"{where}: cam_R_m2c is not a rotation matrix")
    return Truth(int(obj_id), Pose(R, t * MM), visible)


def _image_path(folder: Path, im_id: int) -> Path:
    """The image's file; the usual name when there is none, so that whoever reads it can say which is missing."""
    candidates = [folder / sub / f"{im_id:06d}{suffix}" for sub in ("rgb", "gray") for suffix in IMAGE_SUFFIXES]
    return next((path for path in candidates if path.is_file()), candidates[0])
