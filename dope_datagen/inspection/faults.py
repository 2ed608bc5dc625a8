"""What can be wrong with a stored image and its labels; every fault is a line of text that says where and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import cv2
import numpy as np

from dope_datagen.dataset.labels import Label, camera_from_dict
from dope_datagen.inspection.label_consistency import misfit
from dope_ros2.common.errors import closest
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.objects.object_model import ObjectModel

NUMBERS = {  # shapes of a label's numbers
    "location": (3,),
    "quaternion_xyzw": (4,),
    "projected_cuboid": (9, 2),
    "visibility": (),
    "truncation": (),
    "bounding_box_minx_maxx_miny_maxy": (4,),
    "px_count_visib": (),
    "px_count_all": (),
    "class_id": (),
}
MESH = 0.02  # by how much of its edges an object may differ from its box
END_OF_JPEG = b"\xff\xd9"


def camera_fault(entry: object, pixels: int) -> tuple[CameraModel | None, str | None]:
    """The camera of an image's record, or why there is none.

    Args:
        entry: `camera_data` of the record.
        pixels: how many a mask of this dataset has.
    """
    try:
        camera = camera_from_dict(entry)
    except (KeyError, TypeError, ValueError) as error:
        return None, f"camera_data is not usable ({type(error).__name__}: {error})"
    if camera.width * camera.height != pixels:
        return None, f"camera_data says {camera.width}x{camera.height}, but a mask has {pixels} pixels"
    return camera, None


def picture_faults(encoded: bytes, camera: CameraModel) -> Iterator[str]:
    """Whether a JPEG is whole and has the camera's size."""
    if not encoded.startswith(b"\xff\xd8") or not encoded.endswith(END_OF_JPEG):
        yield "rgb is no whole JPEG"
        return
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        yield "rgb does not decode"
    elif image.shape[1::-1] != (camera.width, camera.height):
        yield f"rgb is {image.shape[1]}x{image.shape[0]}, camera_data says {camera.width}x{camera.height}"


def number_faults(entry: Mapping) -> Iterator[str]:
    """Numbers of a label that are missing, misshapen or not finite."""
    for key, shape in NUMBERS.items():
        try:
            value = np.asarray(entry[key], float)
        except KeyError:
            yield f"{key} is missing"
        except (TypeError, ValueError):
            yield f"{key} is not made of numbers"
        else:
            if value.shape != shape:
                yield f"{key} has the shape {value.shape}, not {shape}"
            elif not np.isfinite(value).all():
                yield f"{key} has a NaN or an infinity"


def label_faults(entry: Mapping, models: Mapping[str, ObjectModel], camera: CameraModel, tolerance: float) -> list[str]:
    """What is wrong with a label by itself.

    Args:
        entry: as `Label.to_dict` makes it, every number there and finite.
        models: the dataset's objects by name.
        camera: of the image.
        tolerance: how far a stored corner may lie from the projection [px].
    """
    faults = [*_range_faults(entry)]
    length = float(np.linalg.norm(entry["quaternion_xyzw"]))
    if abs(length - 1) > 1e-4:
        faults.append(f"quaternion_xyzw has the length {length:.4f}, not 1")
    if entry.get("class") not in models:
        return [*faults, f"class {entry.get('class')!r} is not an object of this dataset{_hint(entry, models)}"]
    model = models[entry["class"]]
    if entry["class_id"] != model.class_id:
        faults.append(f"class_id {entry['class_id']} is not that of its class, {model.class_id}")
    if length > 1e-6 and (fault := misfit(Label.from_dict(entry), model, camera, tolerance)):
        faults.append(fault)
    return faults


def _hint(entry: Mapping, models: Mapping[str, ObjectModel]) -> str:
    return closest(str(entry.get("class")), models)


def _range_faults(entry: Mapping) -> Iterator[str]:
    for key in ("visibility", "truncation"):
        if not 0 <= entry[key] <= 1:
            yield f"{key} {entry[key]:g} is outside [0, 1]"
    seen, total = entry["px_count_visib"], entry["px_count_all"]
    if not 0 <= seen <= total or total < 1:
        yield f"px_count_visib {seen} and px_count_all {total} are not 0 <= visible <= all, all >= 1"
    elif abs(entry["visibility"] - seen / total) > 1e-3 + 1 / total:  # px_count_all is rounded
        yield f"visibility {entry['visibility']:g} is not px_count_visib / px_count_all, {seen / total:.4f}"


def mask_faults(mask: np.ndarray, labels: list[Label]) -> Iterator[str]:
    """Whether a mask (H, W) and the labels speak of the same pixels; None stands for a label that cannot be read."""
    counts = np.bincount(mask.ravel(), minlength=256)
    strangers = [int(k) for k in np.flatnonzero(counts) if k > len(labels)]
    if strangers:
        yield f"the mask has the ids {strangers}, but there are {len(labels)} labels"
    for k, label in enumerate(labels):
        if label is None:
            continue
        where = f"label {k} ({label.name})"
        if counts[k + 1] != label.px_visible:
            yield f"{where}: px_count_visib is {label.px_visible}, the mask has {counts[k + 1]} pixels of id {k + 1}"
            continue
        box = cv2.boundingRect(np.uint8(mask == k + 1)) if label.px_visible else (0, 0, 0, 0)
        if tuple(box) != tuple(label.bbox):
            yield f"{where}: its box (left, top, width, height) is {label.bbox}, in the mask {tuple(box)}"
        elif label.px_visible and not _inside(box, label.keypoints):
            low, high = label.keypoints.min(0).round(1).tolist(), label.keypoints.max(0).round(1).tolist()
            yield f"{where}: its pixels {tuple(box)} reach beyond its projected cuboid, from {low} to {high}"


def _inside(box: tuple[int, int, int, int], keypoints: np.ndarray) -> bool:
    """Whether a box of pixels lies within the keypoints' box, but for two pixels and what meshes may differ."""
    low, high = keypoints.min(0), keypoints.max(0)
    slack = 2 + MESH * (high - low)
    first = np.array(box[:2])
    return bool((first >= low - slack).all() and (first + box[2:] - 1 <= high + slack).all())


def depth_faults(
    depth: np.ndarray, mask: np.ndarray, labels: list[Label], models: Mapping[str, ObjectModel]
) -> Iterator[str]:
    """Whether depths (H, W) [m] are finite and the objects' lie within their cuboids."""
    if not np.isfinite(depth).all():
        yield "depth has a NaN or an infinity"
        return
    if depth.min() < 0:
        yield f"depth is negative, {depth.min():g} m at its lowest"
    for k, label in enumerate(labels):
        if label is None or label.name not in models or not label.px_visible or not (mask == k + 1).any():
            continue
        model = models[label.name]
        z = label.pose.apply(model.keypoints)[:, 2]
        slack = MESH * model.diameter + 0.01 * abs(float(z.mean()))
        middle = float(np.median(depth[mask == k + 1]))
        if not z.min() - slack <= middle <= z.max() + slack:
            yield (
                f"label {k} ({label.name}): its depth is {middle:.3f} m, "
                f"its cuboid lies between {z.min():.3f} and {z.max():.3f} m"
            )
