"""COCO: images/ and one annotations.json with boxes, masks as run lengths, and the nine cuboid points as keypoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from dope_datagen.dataset.labels import Label, camera_to_dict
from dope_datagen.dataset.store import Sample
from dope_datagen.formats.common import DatasetReader, FormatOptions, write_json, write_rgb
from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.objects.object_model import ObjectModel

IN_FRAME, OUTSIDE = 2, 1  # COCO's visibility flag; whether something hides a corner is not known


def write(folder: Path, source: DatasetReader, options: FormatOptions) -> list[str]:
    """Write a COCO dataset; returns what has to be said about it, a line each."""
    images, annotations = [], []
    for number, picture in enumerate(tqdm(source.pictures, unit="img", mininterval=1.0)):
        sample, name = picture.load(), f"{number:06d}{options.suffix}"
        write_rgb(folder / "images" / name, sample.rgb, options)
        camera = camera_to_dict(sample.camera)
        images.append({"id": number, "file_name": f"images/{name}", **camera})
        for k, label in enumerate(sample.objects):
            if any(label.bbox):
                annotations.append({"id": len(annotations) + 1, "image_id": number, **_annotation(k, label, sample)})
    content = {
        "info": {"description": "converted by dope convert; poses in metres, optical frame"},
        "images": images,
        "categories": [_category(model) for model in source.models],
        "annotations": annotations,
    }
    write_json(folder / "annotations.json", content)
    if any(annotation["segmentation"] == [] for annotation in annotations):
        return ["some objects have no mask: their segmentation is empty, their box may be that of the cuboid"]
    return []


def _category(model: ObjectModel) -> dict:
    return {
        "id": model.class_id,
        "name": model.name,
        "supercategory": "object",
        "keypoints": [*(f"corner_{k}" for k in range(cuboid.CENTRE)), "centre"],
        "skeleton": [[first + 1, last + 1] for first, last in cuboid.EDGES],  # COCO counts from 1
    }


def _annotation(k: int, label: Label, sample: Sample) -> dict:
    seen = sample.mask == k + 1
    return {
        "category_id": label.class_id,
        "bbox": list(map(int, label.bbox)),
        "area": int(seen.sum()) if seen.any() else int(label.bbox[2] * label.bbox[3]),
        "iscrowd": 0,
        "segmentation": {"size": list(seen.shape), "counts": run_lengths(seen)} if seen.any() else [],
        "keypoints": _keypoints(label.keypoints, sample.camera),
        "num_keypoints": cuboid.COUNT,
        "location": label.pose.translation.round(6).tolist(),
        "quaternion_xyzw": label.pose.quaternion.round(8).tolist(),
        "visibility": round(label.visibility, 4),
        "truncation": round(label.truncation, 4),
    }


def _keypoints(keypoints: np.ndarray, camera: CameraModel) -> list[float]:
    """The nine points as COCO has them: u, v, flag, one after the other."""
    rounded = np.floor(keypoints + 0.5)
    inside = ((rounded >= 0) & (rounded < [camera.width, camera.height])).all(1)
    return np.column_stack([keypoints.round(3), np.where(inside, IN_FRAME, OUTSIDE)]).ravel().tolist()


def run_lengths(mask: np.ndarray) -> list[int]:
    """COCO's uncompressed run lengths of a mask (H, W): column by column, zeros first."""
    flat = mask.astype(np.int8).ravel(order="F")
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    return np.diff(changes, prepend=0, append=flat.size).tolist()
