"""NDDS folders: 000000.png (or .jpg) with 000000.json, and two settings files; upstream's trainer loads them.

Written in the format's own terms: centimetres, OpenCV camera. NDDS, FAT, NVISII and BlenderProc differ in unit, camera
frame and corner order; on reading, `conventions` finds out which it is.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dope_datagen.dataset.labels import Label, camera_to_dict
from dope_datagen.dataset.store import Sample
from dope_datagen.formats import conventions, ndds_json
from dope_datagen.formats.common import (
    SUFFIXES,
    TENTH_MM,
    DatasetReader,
    FormatOptions,
    LabelledFrame,
    numbers,
    read_plain,
    read_rgb,
    write_depth,
    write_json,
    write_plain,
    write_rgb,
)
from dope_datagen.formats.conventions import CONVENTIONS, Convention
from dope_datagen.formats.label_completion import ReportedOnce, complete
from dope_datagen.formats.ndds_json import Annotation, Raw
from dope_datagen.formats.silhouette import Silhouettes
from dope_ros2.common.errors import UserError, closest
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.objects.object_model import UNITS, ObjectModel

CM = UNITS["cm"]
MASK = ".is.png"  # instances
DEPTHS = {".depth.png": TENTH_MM, ".depth.mm.16.png": UNITS["mm"]}  # [m] of a unit; 16-bit images only


def is_folder(path: Path) -> bool:
    """Whether there are JSON files beside images in a folder or below it."""
    return any(file.with_suffix(suffix).is_file() for file in ndds_json.files(path) for suffix in SUFFIXES)


def write(folder: Path, source: DatasetReader, options: FormatOptions) -> list[str]:
    """Write an NDDS folder; returns what has to be said about it, a line each."""
    cameras = []
    for number, picture in enumerate(tqdm(source.pictures, unit="img", mininterval=1.0)):
        sample, stem = picture.load(), folder / f"{number:06d}"
        write_rgb(stem.with_suffix(options.suffix), sample.rgb, options)
        write_plain(stem.with_suffix(MASK), sample.mask)
        if source.depth:
            write_depth(stem.with_suffix(".depth.png"), sample.depth)
        objects = [_entry(k, label) for k, label in enumerate(sample.objects)]
        write_json(stem.with_suffix(".json"), {"camera_data": camera_to_dict(sample.camera), "objects": objects})
        cameras.append(camera_to_dict(sample.camera))
    write_json(folder / ndds_json.CAMERA_SETTINGS, {"camera_settings": [_camera_settings(cameras[0])]})
    write_json(folder / ndds_json.OBJECT_SETTINGS, _object_settings(source.models))
    if any(camera != cameras[0] for camera in cameras):
        return [f"{ndds_json.CAMERA_SETTINGS} has the first image's camera; others differ, each JSON has its own"]
    return []


def _entry(k: int, label: Label) -> dict:
    location = {"location": np.round(label.pose.translation / CM, 4).tolist()}
    return label.to_dict() | location | {"name": f"{label.name}_{k}", "segmentation_id": k + 1}


def _camera_settings(camera: dict) -> dict:
    k, width, height = camera["intrinsics"], camera["width"], camera["height"]
    return {
        "name": "camera",
        "horizontal_fov": round(float(np.degrees(2 * np.arctan(width / 2 / k["fx"]))), 4),
        "intrinsic_settings": {"resX": width, "resY": height, **k, "s": 0},
        "captured_image_size": {"width": width, "height": height},
    }


def _object_settings(models: list[ObjectModel]) -> dict:
    exported = [
        {
            "class": model.name,
            "segmentation_class_id": model.class_id,
            "fixed_model_transform": np.eye(4).tolist(),
            "cuboid_dimensions": [round(edge / CM, 4) for edge in model.size],
        }
        for model in models
    ]
    return {"exported_object_classes": [model.name for model in models], "exported_objects": exported}


def read(folder: Path, known: dict[str, ObjectModel], rename: dict[str, str]) -> DatasetReader:
    """Find out what a folder of annotated images follows; images whose JSON fits nothing are left out.

    Args:
        folder: with JSON files beside images, in it or below it.
        known: objects of objects.yaml by name.
        rename: names in objects.yaml by class name in the files, where they differ.
    """
    strangers: Counter = Counter()
    small = {name.lower(): model for name, model in known.items()}
    annotations, misfits, problems = [], [], []
    for path in tqdm(ndds_json.files(folder), unit="json", mininterval=1.0):
        try:
            annotation = ndds_json.read(path, small, rename, strangers)
            misfits.append(annotation.misfits().astype(np.float16) if annotation.raws else None)
            annotations.append(annotation)
        except UserError as error:
            problems.append(str(error))
    labelled = [k for k, row in enumerate(misfits) if row is not None]
    chosen: list[Convention | None] = [None] * len(annotations)
    if labelled:
        for k, index in zip(labelled, conventions.decide(np.array([misfits[k] for k in labelled])), strict=True):
            chosen[k] = CONVENTIONS[index]
    used = {raw.model.name: raw.model for annotation in annotations for raw in annotation.raws}
    alone = Silhouettes(list(used.values()))
    scale = _depth_suffix([annotation.image for annotation in annotations])
    pictures = [
        LabelledFrame(a.path, a.camera.width, a.camera.height, partial(_load, a, convention, alone, scale))
        for a, convention in zip(annotations, chosen, strict=True)
    ]
    worst = {k: float(misfits[k][CONVENTIONS.index(chosen[k])]) for k in labelled}
    findings = _findings(annotations, chosen, worst, alone) + _strangers(strangers, known)
    return DatasetReader(list(used.values()), pictures, scale is not None, findings, problems)


def _findings(
    annotations: list[Annotation], chosen: list[Convention | None], worst: dict[int, float], alone: Silhouettes
) -> list[str]:
    groups: dict[str, list[int]] = {}
    for k, (annotation, convention) in enumerate(zip(annotations, chosen, strict=True)):
        text = str(convention) if convention else "no known object in them"
        text += ", principal point (0, 0) taken to be the image's centre" if convention and annotation.mended else ""
        groups.setdefault(text, []).append(k)
    lines = []
    for text, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        error = f"; reprojection within {max(worst[k] for k in members):.2f} px" if members[0] in worst else ""
        lines.append(f"{len(members)} images: {text}{error}")
    pairs = [(raw, c) for a, c in zip(annotations, chosen, strict=True) for raw in a.raws]
    counted = [raw.model.name for raw, convention in pairs if _is_count(raw.entry, convention)]
    if unknown := sum(name in alone.missing for name in counted):
        lines.append(
            f"visibility of {unknown} objects is a number of pixels and cannot be made a fraction, since the mesh of "
            f"{', '.join(sorted(alone.missing.keys() & set(counted)))} is not at hand: written as 1"
        )
    if turned := len(counted) - sum(name in alone.missing for name in counted):
        lines.append(f"visibility of {turned} objects is a number of pixels: divided by those of the mesh's silhouette")
    if pairs and all(raw.entry.get("visibility") == 1 and not _positive(raw.entry, "px_count_all") for raw, _ in pairs):
        lines.append("visibility is 1 of every object: NVISII writes that where it was not asked to measure it")
    if annotations and not any(a.image.with_suffix(MASK).is_file() for a in annotations):
        lines.append(f"no instance masks ({MASK}): masks are empty, boxes and truncation are those of the cuboid")
    return lines


def _strangers(strangers: Counter, known: dict[str, ObjectModel]) -> list[str]:
    return [
        f"class {name!r}: {count} objects left out, since it is not in objects.yaml{closest(name, known)}; "
        f"--rename {name}=NAME gives it a name there"
        for name, count in strangers.most_common()
    ]


def _depth_suffix(images: list[Path]) -> str | None:
    """The one of `DEPTHS` that every image has beside it, if any."""
    return next((s for s in DEPTHS if images and all(_sixteen(image.with_suffix(s)) for image in images)), None)


def _sixteen(path: Path) -> bool:
    image = read_plain(path)
    return image is not None and image.dtype == np.uint16


def _positive(entry: dict, key: str) -> int | None:
    value = entry.get(key)
    return value if isinstance(value, int) and value > 0 else None


def _is_count(entry: dict, convention: Convention) -> bool:
    """Whether `visibility` counts pixels; only BlenderProc's generator has an OpenGL camera, and it counts."""
    value = entry.get("visibility")
    return isinstance(value, int | float) and (value > 1 or (isinstance(value, int) and convention.camera == "OpenGL"))


def _load(annotation: Annotation, convention: Convention | None, alone: Silhouettes, depth: str | None) -> Sample:
    camera, image = annotation.camera, annotation.image
    mask = _mask(image.with_suffix(MASK), annotation)
    labels = [
        complete(
            raw.model,
            convention.pose(raw.pose, raw.model),
            camera,
            _said(raw, convention),
            mask == k + 1 if (mask == k + 1).any() else None,
            alone,
        )
        for k, raw in enumerate(annotation.raws)
    ]
    metres = None if depth is None else np.float32(read_plain(image.with_suffix(depth)) * DEPTHS[depth])
    return Sample(read_rgb(image), camera, labels, mask, metres)


def _mask(path: Path, annotation: Annotation) -> np.ndarray:
    """Instance mask (H, W), numbered as our labels; zeros when there is none."""
    camera: CameraModel = annotation.camera
    mask, ids = np.zeros((camera.height, camera.width), np.uint8), read_plain(path)
    if ids is not None and ids.shape == mask.shape:
        for k, raw in enumerate(annotation.raws):
            if segment := _positive(raw.entry, "segmentation_id"):
                mask[ids == segment] = k + 1
    return mask


def _said(raw: Raw, convention: Convention) -> ReportedOnce:
    entry, px_all = raw.entry, _positive(raw.entry, "px_count_all")
    if _is_count(entry, convention):
        return ReportedOnce(px_visible=int(entry["visibility"]), px_all=px_all)
    visibility, truncation = (numbers(entry.get(key), ()) for key in ("visibility", "truncation"))
    box = numbers(entry.get("bounding_box_minx_maxx_miny_maxy"), (4,)) if px_all else None
    return ReportedOnce(
        visibility=None if visibility is None else float(np.clip(visibility, 0, 1)),
        truncation=None if truncation is None else float(np.clip(truncation, 0, 1)),
        bbox=None if box is None else (int(box[0]), int(box[2]), int(box[1] - box[0]), int(box[3] - box[2])),
        px_visible=(_positive(entry, "px_count_visib") or 0) if px_all else None,
        px_all=px_all,
    )
