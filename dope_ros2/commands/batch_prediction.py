"""Poses of many images: each is read, estimated, drawn, and noted for predictions.json and the BOP results."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.evaluation.scene_report import SceneReport
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io.assumed_camera import AssumedCamera
from dope_ros2.io.bop import Estimate, write_results
from dope_ros2.io.images import read_image
from dope_ros2.io.input_files import FoundSource
from dope_ros2.io.rosbag import Bag
from dope_ros2.io.videos import Video, VideoWriter
from dope_ros2.objects.detection import Detection
from dope_ros2.visualization import overlay

if TYPE_CHECKING:
    from dope_ros2.estimation.estimator import Estimator
    from dope_ros2.estimation.mesh_estimator import MeshEstimator
    from dope_ros2.estimation.settings import Settings

SCHEMA = "dope-predictions/1"


@dataclass
class PredictionRun:
    """Everything that one call of `dope predict` gathers."""

    estimator: Estimator | MeshEstimator
    settings: Settings
    lens: AssumedCamera
    out: Path
    images: bool = True
    entries: list[dict] = field(default_factory=list)
    estimates: list[Estimate] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    report: SceneReport = field(default_factory=SceneReport)

    def picture(
        self, source: FoundSource, image: np.ndarray, index: int | None = None, camera: CameraModel | None = None
    ) -> np.ndarray:
        """Estimate one image, note the result, and return the image with it drawn in; `camera` if it is known."""
        height, width = image.shape[:2]
        own = camera or (source.frame.camera(width, height) if source.frame else None)
        camera = own or self.lens.camera(width, height)
        image, camera = camera.rectify(image), camera.rectified()
        start = time.perf_counter()
        found = self.estimator(image, camera, self.settings)
        seconds = time.perf_counter() - start
        self.entries.append(_entry(source, index, camera, found, seconds, own is None and self.lens.assumed))
        if source.frame:
            self._compare(source, camera, found, seconds)
        return overlay.draw(image, camera, found) if self.images else image

    def _compare(self, source: FoundSource, camera: CameraModel, found: list[Detection], seconds: float) -> None:
        frame = source.frame
        ids = frame.scene_id, frame.im_id
        self.estimates += [Estimate(*ids, d.model.class_id, d.score, d.pose, seconds) for d in found]
        if frame.truth is not None:
            self.report.add(source.name, camera, found, frame.truth, self._models())

    def _models(self) -> dict:
        wanted = self.settings.objects or [m.name for m in self.estimator.models]
        return {m.class_id: m for m in self.estimator.models if m.name in wanted}


def _entry(
    source: FoundSource, index: int | None, camera: CameraModel, found: list[Detection], seconds: float, assumed: bool
) -> dict:
    """One image of predictions.json; docs/formats.md explains it."""
    place = {"file": str(source.path)}
    if index is not None:
        place["frame"] = index
    if source.frame:
        place |= {"scene_id": source.frame.scene_id, "im_id": source.frame.im_id}
    return place | {
        "width": camera.width,
        "height": camera.height,
        "K": camera.K.tolist(),
        "camera_assumed": assumed,
        "seconds": round(seconds, 4),
        "detections": [_detection(d, camera) for d in found],
    }


def _detection(detection: Detection, camera: CameraModel) -> dict:
    centre = camera.project(detection.pose.apply(detection.model.centre))
    return {
        "class": detection.model.name,
        "class_id": detection.model.class_id,
        "score": round(detection.score, 4),
        "position": detection.pose.translation.tolist(),
        "quaternion_xyzw": detection.pose.quaternion.tolist(),
        "covariance": np.asarray(detection.covariance).tolist(),
        "centre_pixel": np.asarray(centre).tolist(),
        "keypoints": [p.tolist() if np.isfinite(p).all() else None for p in detection.keypoints],
        "reprojection_error": detection.reprojection_error,
    }


def process(run: PredictionRun, source: FoundSource) -> str:
    """Read one source, estimate and write its image or video; returns a line about it."""
    target = run.out / "annotated" / source.name
    if source.is_video or source.is_bag:
        shots, rate = _video(source) if source.is_video else _bag(source)
        return _process_video(run, source, shots, rate, target.with_name(f"{target.name}.mp4"))
    drawn = run.picture(source, read_image(source.path))
    if run.images:
        _write_jpeg(target.with_name(f"{target.name}.jpg"), drawn)
    entry = run.entries[-1]
    seen = [f"{d['class']} {d['score']:.2f} at {np.linalg.norm(d['position']):.2f} m" for d in entry["detections"]]
    return f"{source.name}: {', '.join(seen) or 'nothing found'} ({entry['seconds'] * 1000:.0f} ms)"


Shots = Iterator[tuple[np.ndarray, CameraModel | None]]


def _video(source: FoundSource) -> tuple[Shots, float]:
    """Images and rate of a video."""
    video = Video(source.path)
    return ((image, None) for image in video), video.rate


def _bag(source: FoundSource) -> tuple[Shots, float]:
    """Images, each with its camera, and mean rate of a bag."""
    bag = Bag(source.path)
    return ((shot.rgb, shot.camera) for shot in bag), bag.rate


def _process_video(run: PredictionRun, source: FoundSource, shots: Shots, rate: float, target: Path) -> str:
    first = len(run.entries)
    with VideoWriter(target, rate) as writer:
        for index, (image, camera) in enumerate(shots):
            drawn = run.picture(source, image, index, camera)
            if run.images:
                writer.write(drawn)
    entries = run.entries[first:]
    seen = sum(bool(entry["detections"]) for entry in entries)
    return f"{source.name}: {len(entries)} images, something found in {seen}"


def _write_jpeg(path: Path, image: np.ndarray) -> None:
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
    files.write_bytes(path, jpeg.tobytes(), flush=False)


def lines(run: PredictionRun, sources: list[FoundSource]) -> Iterator[str]:
    """Process every source, one line of text each; what cannot be read is noted and left out."""
    for source in sources:
        try:
            yield process(run, source)
        except UserError as error:
            message = str(error)
            run.problems.append(message if str(source.path) in message else f"{source.path}: {message}")


def write(run: PredictionRun, weights: Path | None) -> None:
    """Write predictions.json and, when there were BOP scenes, results.csv; without weights meshes were looked for."""
    content = {
        "schema": SCHEMA,
        "weights": weights.name if weights else None,
        "settings": asdict(run.settings),
        "images": run.entries,
        "problems": run.problems,
    }
    files.write_json(run.out / "predictions.json", content)
    if any("scene_id" in entry for entry in run.entries):
        write_results(run.out / "results.csv", run.estimates)
