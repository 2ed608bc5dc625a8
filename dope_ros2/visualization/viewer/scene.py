"""What a live node sees, as plain arrays for a viewer: colours, outlines, axes, uncertainty, trails, tables."""

from __future__ import annotations

import colorsys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from zlib import crc32

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.objects.detection import Detection
from dope_ros2.visualization import overlay

GOLDEN = 0.618034  # of the circle of hues: neighbours in number differ much, and no two are alike
SIGMAS = 2.795  # standard deviations within which 95 % of a normal distribution lie, in space
TRAIL = 10.0  # seconds of a track that are shown
Outline = tuple[np.ndarray, np.ndarray]  # edges (N, 2, 2) [px] that can be seen, and the others
PERCENTILES = ("p50", "p95")


def names(found: Sequence[Detection]) -> list[str]:
    """The tracks of detections; without tracks their class and rank."""
    counts: dict[str, int] = {}
    result = []
    for detection in found:
        rank = counts[detection.model.name] = counts.get(detection.model.name, -1) + 1
        result.append(detection.track or f"{detection.model.name}_{rank}")
    return result


def color(name: str) -> tuple[int, int, int]:
    """The RGB of `<class>_<n>`, always the same, light enough for dark and light pages."""
    stem, _, number = name.rpartition("_")
    stem, number = (stem, int(number)) if number.isdigit() else (name, 0)
    hue = (crc32(stem.encode()) / 2**32 + GOLDEN * number) % 1
    return tuple(round(255 * value) for value in colorsys.hsv_to_rgb(hue, 0.75, 0.95))


def outline(camera: CameraModel, detection: Detection) -> Outline | None:
    """The cuboid's edges in the image; None when a part of it lies behind the camera."""
    corners = detection.pose.apply(detection.model.keypoints)
    if (corners[:, 2] <= overlay.NEAR_PLANE).any():
        return None
    pixels = camera.project(corners)
    faces = cuboid.visible_faces(corners)
    seen = [any(set(edge) <= set(face) for face in faces) for edge in cuboid.EDGES]
    edges = pixels[np.array(cuboid.EDGES)]
    return edges[seen], edges[np.logical_not(seen)]


def axes(detection: Detection) -> np.ndarray:
    """Where the object's axes begin and end, (3, 2, 3) [m] in the camera's frame: half the shortest edge long."""
    model = detection.model
    tips = np.asarray(model.centre) + np.eye(3) * min(model.size) / 2
    return np.stack([detection.pose.apply(np.broadcast_to(model.centre, (3, 3))), detection.pose.apply(tips)], axis=1)


def ellipsoid(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the origin is with 95 %: half axes (3,) [m] and their quaternion xyzw, of a (6, 6) covariance."""
    values, vectors = np.linalg.eigh(covariance[:3, :3])
    vectors[:, 0] *= np.sign(np.linalg.det(vectors))  # a rotation, not a reflection
    return SIGMAS * np.sqrt(np.maximum(values, 0)), Rotation.from_matrix(vectors).as_quat()


def centre(detection: Detection) -> np.ndarray:
    """The box's centre (3,) [m] in the camera's frame."""
    return detection.pose.apply(detection.model.centre)


class Trails:
    """Where the tracks' centres were lately."""

    def __init__(self) -> None:
        self._points: dict[str, deque] = {}

    def __call__(self, time: float, found: Sequence[Detection]) -> dict[str, np.ndarray]:
        """Add what is found at a time [s]; the (N, 3) points [m] of each track that is there, oldest first."""
        for detection in found:
            if detection.track:
                self._points.setdefault(detection.track, deque()).append((time, centre(detection)))
        for points in self._points.values():
            while points and points[0][0] < time - TRAIL:
                points.popleft()
        self._points = {track: points for track, points in self._points.items() if points}
        tracks = [detection.track for detection in found if detection.track]
        return {track: np.array([point for _, point in self._points[track]]) for track in tracks}


def table(found: Sequence[Detection]) -> str:
    """Score, place and one standard deviation of each, by name, as Markdown."""
    lines = ["| | score | x, y, z [m] | ± [mm] | ± [°] |", "|---|---|---|---|---|"]
    for name, detection in sorted(zip(names(found), found, strict=True), key=lambda pair: pair[0]):
        x, y, z = centre(detection)
        spread = np.sqrt(np.maximum(np.diag(detection.covariance).reshape(2, 3).sum(1), 0))
        millimetres, degrees = 1e3 * spread[0], np.degrees(spread[1])
        lines.append(
            f"| {name} | {detection.score:.2f} | {x:.3f}, {y:.3f}, {z:.3f} | {millimetres:.1f} | {degrees:.1f} |"
        )
    return "\n".join(lines) if found else "nothing is seen"


def told(name: str, message: str) -> str:
    """A diagnostic message, after what it is about: the status is named `<node>: <part>`, such as `/dope: camera`."""
    return f"{name.rpartition(': ')[2]}: {message}"


def figures(values: Mapping[str, str]) -> dict[tuple[str, str], float]:
    """The times [ms] among the figures of a diagnostic status, by stage and percentile, such as ("age", "p50")."""
    result = {}
    for key, value in values.items():
        stage, ms, percentile = key.rpartition("_ms_")
        if ms and percentile in PERCENTILES:
            with suppress(ValueError):
                result[stage, percentile] = float(value)
    return result


def shrunk(rgb: np.ndarray, camera: CameraModel, widest: int) -> tuple[np.ndarray, CameraModel]:
    """An image (H, W, 3) of at most so many columns, columns and rows of even number, and its camera."""
    height, width = rgb.shape[:2]
    scale = min(1.0, widest / width)
    smaller = camera.resized(*(max(2, 2 * int(scale * size / 2 + 1e-9)) for size in (width, height)))
    if (smaller.width, smaller.height) == (width, height):
        return rgb, camera
    return cv2.resize(rgb, (smaller.width, smaller.height), interpolation=cv2.INTER_AREA), smaller
