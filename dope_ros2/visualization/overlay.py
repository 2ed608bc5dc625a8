"""Drawing poses over an image: what is drawn is what was estimated, nothing is smoothed or hidden."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.cuboid import visible_faces
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel

SUBPIXEL = 4  # fractional bits of the coordinates handed to OpenCV
NEAR_PLANE = 0.02  # [m], segments are cut at this depth
MAX_PIXEL = 1e5  # [px], projections are kept within, so that OpenCV's integers hold them
AXES = ((255, 60, 60), (60, 220, 60), (80, 120, 255))  # x red, y green, z blue
MARKED = (0, 1, 2, 3)  # corners of the +z face, which is tinted when it can be seen


def draw(image: np.ndarray, camera: CameraModel, detections: Sequence[Detection]) -> np.ndarray:
    """Draw every detection's cuboid, axes, keypoints and label.

    Args:
        image: (H, W, 3) uint8 RGB, left as it is.
        camera: the image's camera, without distortion.
        detections: in the camera's optical frame.

    Returns:
        A new (H, W, 3) uint8 RGB array.
    """
    canvas = np.ascontiguousarray(image).copy()
    far_first = sorted(detections, key=lambda d: -d.pose.translation[2])
    for detection in far_first:
        draw_cuboid(canvas, camera, detection.model, detection.pose)
        draw_keypoints(canvas, detection.keypoints, detection.model.color)
    taken: list[tuple[int, int, int, int]] = []
    for detection in reversed(far_first):
        _draw_label(canvas, camera, detection, taken)
    return canvas


def draw_cuboid(canvas: np.ndarray, camera: CameraModel, model: ObjectModel, pose: Pose) -> None:
    """Draw a cuboid and its axes into an (H, W, 3) RGB canvas; hidden edges are thin, the +z face is tinted."""
    corners = pose.apply(model.keypoints)
    width = _line_width(canvas)
    seen = visible_faces(corners)
    if MARKED in seen and (corners[:, 2] > NEAR_PLANE).all():
        _tint(canvas, _pixels(camera, corners[list(MARKED)]), model.color)
    for edge in sorted(cuboid.EDGES, key=lambda e: -corners[list(e), 2].mean()):
        visible = any(set(edge) <= set(face) for face in seen)
        color, thickness = (model.color, width) if visible else (_dim(model.color), 1)
        _segment(canvas, camera, corners[list(edge)], color, thickness)
    for axis, color in zip(np.eye(3), AXES, strict=True):
        tip = model.keypoints[cuboid.CENTRE] + axis * min(model.size) / 2
        _segment(canvas, camera, np.stack([corners[cuboid.CENTRE], pose.apply(tip)]), color, width)


def draw_wires(
    canvas: np.ndarray, camera: CameraModel, model: ObjectModel, pose: Pose, color: tuple[int, int, int]
) -> None:
    """Draw the edges of a cuboid into an (H, W, 3) RGB canvas, all alike, with a dark rim."""
    corners, width = pose.apply(model.keypoints), _line_width(canvas)
    for ink, thickness in (((20, 20, 20), width + 2), (color, width)):
        for edge in cuboid.EDGES:
            _segment(canvas, camera, corners[list(edge)], ink, thickness)


def draw_keypoints(canvas: np.ndarray, keypoints: np.ndarray, color: tuple[int, int, int]) -> None:
    """Draw (9, 2) keypoints [px] as dots with a dark rim; those that are NaN are not drawn."""
    radius = 1.5 * _line_width(canvas)
    for index, point in enumerate(keypoints):
        if np.isfinite(point).all():
            fill = (255, 255, 255) if index == cuboid.CENTRE else color
            _disc(canvas, point, radius + 1, (20, 20, 20))
            _disc(canvas, point, radius, fill)


def _line_width(canvas: np.ndarray) -> int:
    return max(1, round(min(canvas.shape[:2]) / 300))


def _dim(color: tuple[int, int, int]) -> tuple[int, int, int]:
    return tuple(c // 2 for c in color)


def _pixels(camera: CameraModel, points: np.ndarray) -> np.ndarray:
    return np.clip(camera.project(points), -MAX_PIXEL, MAX_PIXEL)


def _fixed(pixel: np.ndarray) -> tuple[int, int]:
    x, y = np.round(np.clip(pixel, -MAX_PIXEL, MAX_PIXEL) * (1 << SUBPIXEL)).astype(int)
    return int(x), int(y)


def _segment(
    canvas: np.ndarray, camera: CameraModel, ends: np.ndarray, color: tuple[int, int, int], width: int
) -> None:
    """Draw the part of a segment, ends (2, 3) [m], that lies before the camera."""
    near, far = sorted(ends, key=lambda p: p[2])
    if far[2] <= NEAR_PLANE:
        return
    if near[2] < NEAR_PLANE:
        near = far + (near - far) * (far[2] - NEAR_PLANE) / (far[2] - near[2])
    start, end = map(_fixed, _pixels(camera, np.stack([near, far])))
    cv2.line(canvas, start, end, color, width, cv2.LINE_AA, SUBPIXEL)


def _disc(canvas: np.ndarray, pixel: np.ndarray, radius: float, color: tuple[int, int, int]) -> None:
    cv2.circle(canvas, _fixed(pixel), round(radius * (1 << SUBPIXEL)), color, -1, cv2.LINE_AA, SUBPIXEL)


def _tint(canvas: np.ndarray, polygon: np.ndarray, color: tuple[int, int, int]) -> None:
    """Mix a colour into a polygon (N, 2) [px]."""
    low = np.clip(np.floor(polygon.min(0)), 0, canvas.shape[1::-1]).astype(int)
    high = np.clip(np.ceil(polygon.max(0)) + 1, 0, canvas.shape[1::-1]).astype(int)
    window = canvas[low[1] : high[1], low[0] : high[0]]
    if window.size:
        layer = window.copy()
        points = np.array([_fixed(p - low) for p in polygon], np.int32)
        cv2.fillConvexPoly(layer, points, color, cv2.LINE_AA, SUBPIXEL)
        window[:] = cv2.addWeighted(layer, 0.25, window, 0.75, 0)


def _draw_label(canvas: np.ndarray, camera: CameraModel, detection: Detection, taken: list) -> None:
    corners = detection.pose.apply(detection.model.keypoints)
    in_front = corners[corners[:, 2] > NEAR_PLANE]
    if not len(in_front):
        return
    pixels = _pixels(camera, in_front)
    distance = np.linalg.norm(detection.pose.apply(detection.model.centre))
    text = f"{detection.model.name} {detection.score:.2f} {distance:.2f} m" + " coasting" * (detection.unseen_for > 0)
    _text(canvas, text, (pixels[:, 0].mean(), pixels[:, 1].min()), detection.model.color, taken, above=True)


def _text(
    canvas: np.ndarray,
    text: str,
    at: tuple[float, float],
    color: tuple[int, int, int],
    taken: list[tuple[int, int, int, int]],
    above: bool = False,
) -> None:
    """Write text in a dark box: its top left corner is at `at`, or it is centred above it; clear of `taken` boxes."""
    size = max(0.4, min(canvas.shape[:2]) / 1100)
    (w, h), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    w, h = w + 6, h + base + 4
    corner = (at[0] - w / 2, at[1] - h - 4) if above else at
    left, top = (round(c) for c in np.clip(corner, 0, (max(0, canvas.shape[1] - w), max(0, canvas.shape[0] - h))))
    while top + h < canvas.shape[0] and any(_overlap((left, top, left + w, top + h), box) for box in taken):
        top += 2
    taken.append((left, top, left + w, top + h))
    box = canvas[top : top + h, left : left + w]
    box[:] = box // 4
    light = tuple(int(c + (255 - c) * 0.55) for c in color)
    cv2.putText(canvas, text, (left + 3, top + h - base - 1), cv2.FONT_HERSHEY_SIMPLEX, size, light, 1, cv2.LINE_AA)


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    """Whether two boxes (left, top, right, bottom) share a pixel."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
