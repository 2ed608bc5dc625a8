"""Estimates against a scene's truth: who belongs to whom, and a short table per class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dope_ros2.evaluation.matching import LabelledPose
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io.bop import Truth
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel

MAX_CENTRE_OFFSET = (
    0.5  # a detection may belong to an object when their centres are this part of the object's extent apart
)


@dataclass(frozen=True)
class PoseError:
    """How far a detection is off: centre in the image [px], rotation [deg], depth [% of the true depth]."""

    centre: float
    rotation: float
    depth: float


def compare(camera: CameraModel, model: ObjectModel, detection: Detection, truth: Truth) -> PoseError:
    """Measure a detection against the truth; of the poses that look like the true one the nearest counts."""
    found = LabelledPose(model, detection.score, detection.pose)
    true = LabelledPose(model, 1.0, truth.pose).nearest_to(found)
    return PoseError(
        centre=_pixels_apart(camera, found, true),
        rotation=float(np.degrees(true.pose.angle_to(found.pose))),
        depth=float((found.centre[2] / true.centre[2] - 1) * 100),
    )


def _pixels_apart(camera: CameraModel, one: LabelledPose, other: LabelledPose) -> float:
    """Distance of the two centres in the image [px]."""
    return float(np.linalg.norm(camera.project(one.centre) - camera.project(other.centre)))


def assign(
    camera: CameraModel, model: ObjectModel, detections: Sequence[Detection], truths: Sequence[Truth]
) -> list[tuple[int, int]]:
    """Pair (detection, truth) indices of one class, nearest centres in the image first, each used once."""
    found = [LabelledPose(model, d.score, d.pose) for d in detections]
    true = [LabelledPose(model, 1.0, t.pose) for t in truths]
    distance = np.array([[_pixels_apart(camera, d, t.nearest_to(d)) for t in true] for d in found])
    distance = distance.reshape(len(found), len(true))
    extents = np.array([np.ptp(camera.project(t.pose.apply(model.keypoints)), axis=0).max() for t in truths])
    distance = np.where(distance <= MAX_CENTRE_OFFSET * extents, distance, np.inf)
    pairs = []
    while distance.size and np.isfinite(distance.min()):
        row, column = np.unravel_index(distance.argmin(), distance.shape)
        pairs.append((int(row), int(column)))
        distance[row, :] = distance[:, column] = np.inf
    return pairs


@dataclass
class SceneReport:
    """Gathers images with known truth and prints a table."""

    present: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    matches: dict[str, list[PoseError]] = field(default_factory=lambda: defaultdict(list))
    unmatched: list[str] = field(default_factory=list)

    def add(
        self,
        picture: str,
        camera: CameraModel,
        detections: Sequence[Detection],
        truths: Sequence[Truth],
        models: Mapping[int, ObjectModel],
    ) -> None:
        """Note one image; only objects among `models` (by class id) that lie before the camera count."""
        for class_id, model in models.items():
            found = [d for d in detections if d.model.class_id == class_id]
            true = [t for t in truths if t.obj_id == class_id and t.pose.apply(model.keypoints)[:, 2].min() > 0]
            pairs = assign(camera, model, found, true)
            self.present[model.name] += len(true)
            self.matches[model.name] += [compare(camera, model, found[d], true[t]) for d, t in pairs]
            extra = sorted(set(range(len(found))) - {d for d, _ in pairs})
            self.unmatched += [f"{picture}: {_where(found[i], camera)}" for i in extra]

    def table(self) -> Iterator[str]:
        """Lines of text: per class what was found and the median errors, then detections where there is nothing."""
        if not self.present:
            return
        yield f"{'class':16} {'found':>9} {'centre px':>10} {'rotation deg':>13} {'dz %':>7}   (medians)"
        for name, count in sorted(self.present.items()):
            matches = self.matches[name]
            columns = [[m.centre for m in matches], [m.rotation for m in matches], [m.depth for m in matches]]
            centre, rotation, depth = (f"{np.median(c):.1f}" if c else "-" for c in columns)
            yield f"{name:16} {f'{len(matches)}/{count}':>9} {centre:>10} {rotation:>13} {depth:>7}"
        yield f"detections that match no object: {len(self.unmatched) or 'none'}"
        yield from (f"  {line}" for line in self.unmatched)


def _where(detection: Detection, camera: CameraModel) -> str:
    u, v = camera.project(detection.pose.apply(detection.model.centre))
    return f"{detection.model.name} {detection.score:.2f} at pixel ({u:.0f}, {v:.0f})"
