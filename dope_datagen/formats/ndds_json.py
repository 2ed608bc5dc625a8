"""One annotated image of NDDS, FAT, NVISII or BlenderProc: a JSON beside a PNG or JPEG, read without believing it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dope_datagen.formats import conventions
from dope_datagen.formats.common import SUFFIXES, numbers, read_json, read_rgb
from dope_datagen.formats.conventions import CONVENTIONS
from dope_ros2.common.errors import UserError
from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel

CAMERA_SETTINGS, OBJECT_SETTINGS = "_camera_settings.json", "_object_settings.json"
UNIT_LENGTH = 0.01  # a quaternion may be so far from length 1


@dataclass(frozen=True, eq=False)
class Raw:
    """One entry of `objects`, as it is in the file: the pose in its unit and frame, (9, 2) corners in its order."""

    index: int
    entry: dict
    model: ObjectModel
    pose: Pose
    pixels: np.ndarray


@dataclass(frozen=True, eq=False)
class Annotation:
    """One JSON and its image; `mended` where its principal point was (0, 0) and is taken to be the centre."""

    path: Path
    image: Path
    camera: CameraModel
    raws: list[Raw]
    mended: bool

    def misfits(self) -> np.ndarray:
        """Error of the worst label under each of `CONVENTIONS` [px], infinite where it does not fit.

        Raises:
            UserError: no convention fits all labels; the message names those that do not.
        """
        errors = np.array([conventions.errors(raw.pose, raw.pixels, self.camera, raw.model) for raw in self.raws])
        limits = np.array([conventions.tolerance(raw.pixels) for raw in self.raws])[:, None]
        fits = errors <= limits
        if fits.all(0).any():
            return np.where(fits.all(0), errors.max(0), np.inf)
        score = fits.sum(0) - np.minimum(errors, 1e6).sum(0) / (1e7 * len(errors))
        best = int(score.argmax())
        wrong = [f"{_name(raw)} {_away(errors[k, best])}" for k, raw in enumerate(self.raws) if not fits[k, best]]
        raise UserError(
            f"{self.path}: {'; '.join(wrong)}, in every unit, camera frame and corner order; "
            f"nearest: {CONVENTIONS[best]}; compare intrinsics, quaternion, and the object's size in objects.yaml"
        )


def files(folder: Path) -> list[Path]:
    """The JSON files that should belong to an image."""
    return sorted(path for path in folder.rglob("*.json") if not path.name.startswith(("_", ".")))


def read(path: Path, known: dict[str, ObjectModel], rename: dict[str, str], strangers: Counter) -> Annotation:
    """Read one JSON and the size of its image.

    Args:
        path: the JSON.
        known: objects by name in small letters.
        rename: names of objects.yaml by class name in the file.
        strangers: counts the classes that are not known; their objects are left out.

    Raises:
        UserError: it cannot be used; the message names the file and the reason.
    """
    content = read_json(path)
    entries = content.get("objects") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path}: has no list `objects`, so it is not the annotation of an image")
    image = next((file for suffix in SUFFIXES if (file := path.with_suffix(suffix)).is_file()), None)
    if image is None:
        raise UserError(f"{path}: has no image beside it ({path.stem}.png or {path.stem}.jpg)")
    height, width = read_rgb(image).shape[:2]
    camera, mended = _camera(path, content.get("camera_data"), width, height)
    raws = []
    for index, entry in enumerate(entries):
        name = str(entry.get("class"))
        if model := known.get(rename.get(name, name).lower()):
            raws.append(_raw(path, index, entry, model))
        else:
            strangers[name] += 1
    return Annotation(path, image, camera, raws, mended)


def _raw(path: Path, index: int, entry: dict, model: ObjectModel) -> Raw:
    where = f"{path}: objects[{index}] ({entry.get('class')})"
    corners = entry.get("projected_cuboid")
    if isinstance(corners, list) and len(corners) == 8 and "projected_cuboid_centroid" in entry:
        corners = [*corners, entry["projected_cuboid_centroid"]]
    pixels = numbers(corners, (cuboid.COUNT, 2))
    if pixels is None:
        raise UserError(f"{where}: projected_cuboid is not 9 points [u, v] (or 8 with projected_cuboid_centroid)")
    location, quaternion = numbers(entry.get("location"), (3,)), numbers(entry.get("quaternion_xyzw"), (4,))
    if location is None or quaternion is None:
        raise UserError(
            f"{where}: has no location of 3 and quaternion_xyzw of 4 numbers; without them the corner order cannot be "
            "checked"
        )
    if abs((length := float(np.linalg.norm(quaternion))) - 1) > UNIT_LENGTH:
        raise UserError(
            f"{where}: quaternion_xyzw has length {length:.2f} instead of 1 and is no rotation; NVISII's exporter "
            "writes such for a mesh that was loaded with a scale; scale the mesh's file and render again"
        )
    return Raw(index, entry, model, Pose.from_quaternion(quaternion, location), pixels)


def _camera(path: Path, data: object, width: int, height: int) -> tuple[CameraModel, bool]:
    """The camera, and whether its principal point had to be mended."""
    data = data if isinstance(data, dict) else {}
    intrinsics, size = data.get("intrinsics"), (data.get("width", width), data.get("height", height))
    source = path
    if not intrinsics and (source := path.parent / CAMERA_SETTINGS).is_file():
        intrinsics, size = _sidecar(source, path.stem, (width, height))
    values = numbers([intrinsics.get(k) for k in ("fx", "fy", "cx", "cy")] if isinstance(intrinsics, dict) else 0, (4,))
    if values is None:
        raise UserError(f"{path}: has no camera_data.intrinsics fx, fy, cx, cy, nor has a {CAMERA_SETTINGS} beside it")
    if tuple(size) != (width, height):
        raise UserError(f"{source}: is for {size[0]}x{size[1]} pixels, but the image of {path} is {width}x{height}")
    fx, fy, cx, cy = values
    if mended := cx == 0 and cy == 0:
        cx, cy = (width - 1) / 2, (height - 1) / 2
    try:
        return CameraModel(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), width, height), mended
    except UserError as error:
        raise UserError(f"{source}: {error}") from error


def _sidecar(path: Path, stem: str, size: tuple[int, int]) -> tuple[object, tuple[int, int]]:
    """Intrinsics and size [px] in a folder's camera settings; of several cameras, the one named at the stem's end."""
    content = read_json(path)
    cameras = content.get("camera_settings") if isinstance(content, dict) else None
    if not isinstance(cameras, list) or not cameras or not all(isinstance(camera, dict) for camera in cameras):
        raise UserError(f"{path}: has no list camera_settings")
    camera = next((c for c in cameras if c.get("name") and stem.endswith(f".{c['name']}")), cameras[0])
    intrinsics = camera.get("intrinsic_settings")
    if isinstance(intrinsics, dict):
        size = (intrinsics.get("resX", size[0]), intrinsics.get("resY", size[1]))
    return intrinsics, size


def _name(raw: Raw) -> str:
    return f"objects[{raw.index}] ({raw.entry.get('class')})"


def _away(error: float) -> str:
    if not np.isfinite(error):
        return "has a corner behind the camera"
    return f"has its corners {error:.1f} px from where its pose puts them"
