"""BOP datasets, read and written; millimetres live here and in `dope_ros2.io.bop`.

Written: models/models_info.json, camera.json and train_pbr/ with scenes of 1000 images. Read: one scene, a folder of
scenes, or a dataset with such folders in it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist
from tqdm import tqdm

from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Sample
from dope_datagen.formats import bop_conventions
from dope_datagen.formats.bop_conventions import BopConvention
from dope_datagen.formats.common import (
    TENTH_MM,
    DatasetReader,
    FormatOptions,
    LabelledFrame,
    numbers,
    read_json,
    read_plain,
    read_rgb,
    write_depth,
    write_json,
    write_plain,
    write_rgb,
)
from dope_datagen.formats.label_completion import ReportedOnce, complete
from dope_datagen.formats.silhouette import Silhouettes
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io import bop
from dope_ros2.io.bop import MM, BopFrame
from dope_ros2.objects.object_model import ObjectModel

SPLIT, SCENE = "train_pbr", 1000  # BOP's name for rendered images, and so many in a scene
NO_BOX = [-1, -1, -1, -1]


def scenes(path: Path) -> list[Path]:
    """Scene folders: the folder itself, those in it, or those one level deeper."""
    return bop.scenes(path) or sorted(file.parent for file in path.glob("[!.]*/[!.]*/scene_camera.json"))


def write(folder: Path, source: DatasetReader, options: FormatOptions) -> list[str]:
    """Write a BOP dataset; returns what has to be said about it, a line each."""
    alone = Silhouettes(source.models)
    write_json(folder / "models" / "models_info.json", {str(m.class_id): _model_info(m, alone) for m in source.models})
    files: dict[str, dict] = {}
    for number, picture in enumerate(tqdm(source.pictures, unit="img", mininterval=1.0)):
        scene, im_id = folder / SPLIT / f"{number // SCENE:06d}", number % SCENE
        if im_id == 0:
            files = {"scene_camera": {}, "scene_gt": {}, "scene_gt_info": {}}
        sample = picture.load()
        _write_picture(scene, im_id, sample, source.depth, options)
        files["scene_camera"][str(im_id)] = _camera(sample.camera)
        files["scene_gt"][str(im_id)] = [_truth(label) for label in sample.objects]
        files["scene_gt_info"][str(im_id)] = [
            _write_masks(scene, im_id, k, sample, alone) for k in range(len(sample.objects))
        ]
        if im_id == SCENE - 1 or number == len(source.pictures) - 1:
            for name, content in files.items():
                write_json(scene / f"{name}.json", content)
        if number == 0:
            write_json(folder / "camera.json", _dataset_camera(sample.camera))
    return [
        f"mask/ and bbox_obj of {name} show what is visible and the cuboid, since its mesh is not at hand: {why}"
        for name, why in sorted(alone.missing.items())
    ]


def _write_picture(scene: Path, im_id: int, sample: Sample, depth: bool, options: FormatOptions) -> None:
    write_rgb(scene / "rgb" / f"{im_id:06d}{options.suffix}", sample.rgb, options)
    if depth:
        write_depth(scene / "depth" / f"{im_id:06d}.png", sample.depth)


def _write_masks(scene: Path, im_id: int, k: int, sample: Sample, alone: Silhouettes) -> dict:
    """Write an object's two masks; returns its entry of scene_gt_info."""
    label, seen = sample.objects[k], sample.mask == k + 1
    shape = alone.of(label.name, label.pose, sample.camera)
    full = seen if shape is None else shape.inside(sample.camera) | seen
    name = f"{im_id:06d}_{k:06d}.png"
    write_plain(scene / "mask" / name, np.uint8(full) * 255)
    write_plain(scene / "mask_visib" / name, np.uint8(seen) * 255)
    valid = full if sample.depth is None else full & (sample.depth > 0)
    return {
        "bbox_obj": bop_conventions.cuboid_box(label.keypoints) if shape is None else [int(v) for v in shape.bbox],
        "bbox_visib": list(map(int, label.bbox)) if label.px_visible or any(label.bbox) else NO_BOX,
        "px_count_all": label.px_all,
        "px_count_valid": int(valid.sum()),
        "px_count_visib": label.px_visible,
        "visib_fract": round(label.visibility, 4),
    }


def _camera(camera: CameraModel) -> dict:
    return {"cam_K": camera.K.ravel().tolist(), "depth_scale": TENTH_MM / MM}


def _dataset_camera(camera: CameraModel) -> dict:
    K = camera.K
    k = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
    return {"width": camera.width, "height": camera.height, **k, "depth_scale": TENTH_MM / MM}


def _truth(label: Label) -> dict:
    return {
        "cam_R_m2c": label.pose.rotation.ravel().round(9).tolist(),
        "cam_t_m2c": (label.pose.translation / MM).round(6).tolist(),
        "obj_id": label.class_id,
    }


def _model_info(model: ObjectModel, alone: Silhouettes) -> dict:
    """An entry of models_info.json [mm]; without a mesh the diameter is that of the box."""
    mesh, diameter = alone.mesh(model.name), model.diameter
    if mesh is not None:
        points = mesh.positions.astype(float)
        diameter = float(pdist(points[ConvexHull(points, qhull_options="QJ").vertices]).max())
    low = np.array(model.centre) - np.array(model.size) / 2
    info = {"diameter": diameter / MM, "name": model.name}
    info |= {f"min_{axis}": float(value) for axis, value in zip("xyz", (low / MM).round(6), strict=True)}
    info |= {f"size_{axis}": round(value / MM, 6) for axis, value in zip("xyz", model.size, strict=True)}
    if model.symmetries_discrete:
        info["symmetries_discrete"] = [_scaled(matrix) for matrix in model.symmetries_discrete]
    if model.symmetries_continuous:
        info["symmetries_continuous"] = [
            dict(s, offset=[float(v) / MM for v in s.get("offset", (0, 0, 0))]) for s in model.symmetries_continuous
        ]
    return info


def _scaled(matrix: tuple[float, ...]) -> list[float]:
    """A 4x4 row by row whose translation is in metres, with it in millimetres."""
    T = np.array(matrix, float).reshape(4, 4)
    T[:3, 3] /= MM
    return T.ravel().tolist()


@dataclass(frozen=True, eq=False)
class _Shot:
    """A frame, its known objects by their number in the file, and its entries of scene_gt_info.json, if any."""

    frame: BopFrame
    camera: CameraModel
    folder: Path
    objects: dict[int, ObjectModel]
    infos: list[dict]


def read(path: Path, known: dict[str, ObjectModel]) -> DatasetReader:
    """Read BOP scenes; a scene or image that cannot be used is left out.

    Args:
        path: a scene, a folder of scenes, or a dataset.
        known: objects of objects.yaml by name; BOP's obj_id is their class_id.
    """
    by_id = {model.class_id: model for model in known.values()}
    strangers: Counter = Counter()
    shots, problems = [], []
    for folder in scenes(path):
        try:
            frames = bop.read_scene(folder)
            infos = _infos(folder)
        except UserError as error:
            problems.append(str(error))
            continue
        for frame in frames:
            try:
                shots.append(_shot(frame, folder, infos, by_id, strangers))
            except UserError as error:
                problems.append(str(error))
    reading, kept, refused = bop_conventions.decide([_boxes(shot) for shot in shots], [_where(shot) for shot in shots])
    shots = [shots[k] for k in kept]
    used = {model.name: model for shot in shots for model in shot.objects.values()}
    depth = bool(shots) and all(_depth_path(shot).is_file() for shot in shots)
    alone = Silhouettes(list(used.values()))
    pictures = [
        LabelledFrame(s.frame.path, s.camera.width, s.camera.height, partial(_load, s, reading, alone, depth))
        for s in shots
    ]
    findings = [f"{len(shots)} images of BOP scenes: {reading}"] if shots else []
    findings += [
        f"obj_id {obj_id}: {count} objects left out, since no entry of objects.yaml has this class_id; add one"
        for obj_id, count in strangers.most_common()
    ]
    return DatasetReader(list(used.values()), pictures, depth, findings, problems + refused)


def _infos(folder: Path) -> dict:
    file = folder / "scene_gt_info.json"
    content = read_json(file) if file.is_file() else {}
    return content if isinstance(content, dict) else {}


def _shot(frame: BopFrame, folder: Path, infos: dict, by_id: dict[int, ObjectModel], strangers: Counter) -> _Shot:
    if frame.truth is None:
        raise UserError(f"{folder}: has no scene_gt.json, so what its images show is not known")
    height, width = read_rgb(frame.path).shape[:2]
    strangers.update(truth.obj_id for truth in frame.truth if truth.obj_id not in by_id)
    objects = {k: by_id[truth.obj_id] for k, truth in enumerate(frame.truth) if truth.obj_id in by_id}
    found = infos.get(str(frame.im_id)) or [{}] * len(frame.truth)
    return _Shot(frame, frame.camera(width, height), folder, objects, found)


def _where(shot: _Shot) -> str:
    return f"{shot.folder / 'scene_gt.json'}: image {shot.frame.im_id}"


def _boxes(shot: _Shot) -> list[bop_conventions.Boxed]:
    return [
        bop_conventions.Boxed(
            shot.frame.truth[k].pose, model, shot.camera, numbers(shot.infos[k].get("bbox_obj"), (4,))
        )
        for k, model in shot.objects.items()
    ]


def _depth_path(shot: _Shot) -> Path:
    return shot.folder / "depth" / f"{shot.frame.im_id:06d}.png"


def _load(shot: _Shot, reading: BopConvention, alone: Silhouettes, depth: bool) -> Sample:
    mask, labels = np.zeros((shot.camera.height, shot.camera.width), np.uint8), []
    for number, (k, model) in enumerate(shot.objects.items()):
        seen = read_plain(shot.folder / "mask_visib" / f"{shot.frame.im_id:06d}_{k:06d}.png")
        if seen is not None and seen.shape == mask.shape:
            mask[seen > 0] = number + 1
        said = _said(shot.infos[k], shot.frame.truth[k].visibility)
        pose = reading.pose(shot.frame.truth[k].pose)
        labels.append(complete(model, pose, shot.camera, said, None if seen is None else seen > 0, alone))
    metres = None
    if depth:
        metres = np.float32(read_plain(_depth_path(shot)) * shot.frame.depth_scale)
    return Sample(read_rgb(shot.frame.path), shot.camera, labels, mask, metres)


def _said(info: dict, visibility: float | None) -> ReportedOnce:
    box = numbers(info.get("bbox_visib"), (4,))
    visible, whole = (numbers(info.get(key), ()) for key in ("px_count_visib", "px_count_all"))
    return ReportedOnce(
        visibility=visibility,
        bbox=None if box is None else tuple(int(v) for v in (np.zeros(4) if box[2] < 0 else box)),
        px_visible=None if visible is None else int(visible),
        px_all=None if whole is None else int(whole),
    )
