"""A depth image corrects how far away objects are: the range is what a colour image says least about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.surface_points import SurfacePoints
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.tracking.kalman_filter import kalman_update

MAX_ROUNDS = 4  # of correction at most: what a pose lets one see changes with it
CONVERGED_CORRECTION = 5e-4  # a correction that changes less is the last [m]
MIN_AGREEING_PIXELS = 30  # pixels that must agree
MAX_SHARE_BEHIND = 0.2  # of the pixels: what lies behind the object's surface cannot be seen through it
MAX_SIGMAS = 4.0  # standard deviations beyond which depth contradicts the pose
MAX_RANGE_CORRECTION = 0.3  # correction, of the range
AGREEMENT_SIGMAS = 2.5  # standard deviations that pixels which agree may differ from their middle
INDEPENDENT_PIXELS = 30  # neighbouring pixels err together: however many there are, they count as so many
SILHOUETTE_CELLS = 20  # a silhouette is this many cells wide, and loses one on each side
MIN_CELL_SIZE = 2.0  # [px]
OCCLUSION_MARGIN = 0.05  # of the diameter: points so far behind the nearest one of their cell are not seen
MIN_INCIDENCE_COSINE = 0.3  # cosine; surfaces that are seen at a flatter angle have no good depth
NEAR_PLANE = 0.02  # nothing is seen nearer than this [m]


@dataclass(frozen=True)
class DepthNoise:
    """How a depth camera errs; the defaults suit stereo and structured light, and what their registration adds.

    Attributes:
        least: standard deviation right in front of it [m].
        growth: what is added for each square metre of the distance squared [1/m].
        drift: what is added for each second between the depth and the colour image, since things move [m/s].
    """

    least: float = 0.002
    growth: float = 0.0025
    drift: float = 0.2

    def deviation(self, z: float, apart: float) -> float:
        """Standard deviation at a depth z [m], `apart` seconds from the colour image [m]."""
        return float(np.hypot(self.least + self.growth * z**2, self.drift * apart))


@dataclass(frozen=True, eq=False)
class DepthResiduals:
    """Points of an object's surface and what the depth image has there.

    Attributes:
        excess: (N,) measured minus expected depth [m].
        rows: (N, 6) what one of each of the pose's motion would add to the expected depth.
        pixels: (N,) numbers of their pixels.
    """

    excess: np.ndarray
    rows: np.ndarray
    pixels: np.ndarray

    def where(self, chosen: np.ndarray) -> DepthResiduals:
        """Those in the given mask."""
        return DepthResiduals(self.excess[chosen], self.rows[chosen], self.pixels[chosen])

    def spread(self, covariance: np.ndarray) -> float:
        """Standard deviation of one's excess from another's, that is due to the pose's (6, 6) covariance [m]."""
        levers = self.rows - self.rows.mean(0)
        return float(np.sqrt(max(0.0, ((levers @ covariance) * levers).sum(1).mean())))


class DepthCorrection:
    """Corrects detections by a depth image that is registered to the colour camera."""

    def __init__(self, models: Iterable[ObjectModel] = (), sensor: DepthNoise | None = None) -> None:
        """Read the shapes of these objects; those of others are read when they are seen first."""
        self._sensor = sensor or DepthNoise()
        self._shapes = {model.name: (model, SurfacePoints.of(model)) for model in models}

    def shape(self, model: ObjectModel) -> SurfacePoints:
        """What is known of an object's surface."""
        known, shape = self._shapes.get(model.name, (None, None))
        if known != model:
            shape = SurfacePoints.of(model)
            self._shapes[model.name] = model, shape
        return shape

    def __call__(self, detection: Detection, depth: np.ndarray, camera: CameraModel, apart: float = 0.0) -> Detection:
        """The detection at the range that the depth image says, if the two can be reconciled, else as it was.

        What is measured is one number: how much farther the surface lies than the pose expects. It is taken in as a
        Kalman filter does, so the pose moves where its own covariance lets it, which is along the ray.

        Args:
            detection: in the camera's optical frame.
            depth: (H, W) along the optical axis [m]; NaN, infinite or not above 0 where nothing was measured.
            camera: of the depth image, without distortion.
            apart: how long before or after the colour image it was taken [s].
        """
        shape, prior = self.shape(detection.model), np.asarray(detection.covariance, float)
        z = detection.pose.apply(detection.model.centre)[2]
        noise = float(np.hypot(self._sensor.deviation(z, apart), shape.error))
        points = visible(shape, detection.pose, camera)
        pose, covariance, motion = detection.pose, prior, np.zeros(6)
        for _ in range(MAX_ROUNDS):
            seen = compare(shape, points, pose, depth, camera)
            if len(seen.excess) < MIN_AGREEING_PIXELS or not np.isfinite(prior).all():
                return detection
            row, before = seen.rows.mean(0), motion
            limit = min(MAX_SIGMAS * np.sqrt(noise**2 + row @ prior @ row), MAX_RANGE_CORRECTION * z)
            agreeing = agreed(seen, limit, row @ before, AGREEMENT_SIGMAS * np.hypot(noise, seen.spread(covariance)))
            if agreeing is None:
                return detection
            row, excess = agreeing.rows.mean(0), agreeing.excess
            variance = noise**2 + excess.var() / min(len(excess), INDEPENDENT_PIXELS)
            value = np.array([np.median(excess) + row @ before])
            motion, covariance = kalman_update(prior, row[None], value, np.array([[variance]]))
            pose = detection.pose.plus(motion)
            if np.abs(motion - before)[:3].max() < CONVERGED_CORRECTION:
                break
        return replace(detection, pose=pose, covariance=covariance)


def agreed(seen: DepthResiduals, limit: float, before: float, tolerance: float) -> DepthResiduals | None:
    """The pixels that show the object: the most whose depths agree; None when too few do, or it is not clear which.

    What is nearer may stand in front of the object; what is farther cannot be seen through it.

    Args:
        seen: all pixels.
        limit: largest correction that is believed [m].
        before: of it, what has been done already [m].
        tolerance: that pixels may differ from the middle of those they agree with [m].
    """
    possible = np.abs(seen.excess + before) <= limit
    values = np.sort(seen.excess[possible])
    if not len(values):
        return None
    counts = np.searchsorted(values, values + 2 * tolerance, "right") - np.arange(len(values))
    first = values[counts.argmax()]
    last = first + 2 * tolerance
    agreeing = seen.where(possible & (seen.excess >= first) & (seen.excess <= last))
    clear = 2 * len(agreeing.excess) >= len(values) and (seen.excess > last).mean() <= MAX_SHARE_BEHIND
    return agreeing if clear and len(np.unique(agreeing.pixels)) >= MIN_AGREEING_PIXELS else None


def compare(
    shape: SurfacePoints, chosen: np.ndarray, pose: Pose, depth: np.ndarray, camera: CameraModel
) -> DepthResiduals:
    """What the depth image has where the chosen points of an object at this pose lie."""
    points, normals = pose.apply(shape.points[chosen]), shape.normals[chosen] @ pose.rotation.T
    front = points[:, 2] > NEAR_PLANE
    points, normals = points[front], normals[front]
    pixels = np.rint(camera.project(points)).astype(int)
    inside = ((pixels >= 0) & (pixels < (camera.width, camera.height))).all(1)
    points, normals, pixels = points[inside], normals[inside], pixels[inside]
    columns, rows = pixels.T
    measured = depth[rows, columns].astype(float)
    rays = camera.unproject(pixels, np.ones(len(pixels)))
    slant = (normals * rays).sum(1)
    expected = (normals * points).sum(1) / slant  # where the pixel's ray meets the plane that touches the point
    motions = np.hstack([normals, np.cross(points - pose.translation, normals)]) / slant[:, None]
    seen = DepthResiduals(measured - expected, motions, rows * camera.width + columns)
    return seen.where(np.isfinite(measured) & (measured > 0))


def visible(shape: SurfacePoints, pose: Pose, camera: CameraModel) -> np.ndarray:
    """Indices of the points of a surface that the camera would see well.

    They are away from the outline, not hidden by others, and not seen at a flat angle.
    """
    points, normals = pose.apply(shape.points), shape.normals @ pose.rotation.T
    cosines = -(normals * points).sum(1) / np.linalg.norm(points, axis=1)
    front = np.flatnonzero((cosines > 0) & (points[:, 2] > NEAR_PLANE))
    if not len(front):
        return front
    pixels, z = camera.project(points[front]), points[front, 2]
    size = max(np.ptp(pixels, axis=0).max() / SILHOUETTE_CELLS, MIN_CELL_SIZE)
    columns, rows = ((pixels - pixels.min(0)) / size).astype(int).T + 1
    nearest = np.full((SILHOUETTE_CELLS + 3, SILHOUETTE_CELLS + 3), np.inf)
    order = np.argsort(-z)
    nearest[rows[order], columns[order]] = z[order]  # of those in one cell the last one stays
    inner = cv2.erode(np.isfinite(nearest).astype(np.uint8), np.ones((3, 3))) > 0
    open_to_view = z <= nearest[rows, columns] + OCCLUSION_MARGIN * shape.diameter
    return front[inner[rows, columns] & open_to_view & (cosines[front] > MIN_INCIDENCE_COSINE)]
