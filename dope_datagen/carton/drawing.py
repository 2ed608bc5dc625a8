"""Drawing as a list of filled polygons, so that screen and paper show the same thing.

Coordinates are millimetres on one face, u to the right, v down, origin at the face's top left corner.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from dope_datagen.carton import font

Color = tuple[int, int, int]  # RGB, 0 to 255


@dataclass(frozen=True, eq=False)
class DrawnShape:
    """One polygon (N, 2) [mm] filled with one colour."""

    points: np.ndarray
    color: Color


@dataclass
class Sheet:
    """A rectangle of paper, `width` x `height` [mm], and what was drawn on it, in order."""

    width: float
    height: float
    shapes: list[DrawnShape] = field(default_factory=list)

    def polygon(self, points: np.ndarray, color: Color) -> None:
        """Fill a polygon, cut to the sheet."""
        cut = clip(np.asarray(points, float), self.width, self.height)
        if len(cut) >= 3:
            self.shapes.append(DrawnShape(cut, color))

    def rectangle(self, u: float, v: float, width: float, height: float, color: Color) -> None:
        """Fill a rectangle given by its top left corner and its edges."""
        self.polygon([[u, v], [u + width, v], [u + width, v + height], [u, v + height]], color)

    def ellipse(self, centre: tuple[float, float], radii: tuple[float, float], color: Color, turn: float = 0.0) -> None:
        """Fill an ellipse, turned clockwise by `turn` [rad]."""
        self.polygon(np.asarray(centre) + rotated(circle(48) * radii, turn), color)

    def star(self, centre: tuple[float, float], radius: float, points: int, inner: float, color: Color) -> None:
        """Fill a star whose inner corners lie at `inner` times the radius."""
        ring = circle(2 * points) * np.where(np.arange(2 * points) % 2, inner, 1.0)[:, None]
        self.polygon(np.asarray(centre) + radius * ring, color)

    def line(self, points: np.ndarray, width: float, color: Color) -> None:
        """Draw a polyline with round joints and ends."""
        points = np.asarray(points, float)
        for start, end in pairwise(points):
            along = (end - start) / max(np.linalg.norm(end - start), 1e-9)
            side = width / 2 * np.array([-along[1], along[0]])
            self.polygon([start + side, end + side, end - side, start - side], color)
        for point in points:
            self.polygon(point + width / 2 * circle(10), color)

    def text(
        self, text: str, at: tuple[float, float], height: float, color: Color, turn: float = 0.0, bold: float = 1.0
    ) -> None:
        """Write a line whose top left corner is `at`, capitals `height` [mm] high, turned clockwise by `turn` [rad]."""
        scale = height / font.HEIGHT
        for stroke in font.strokes(text):
            self.line(np.asarray(at) + rotated(stroke * scale, turn), bold * scale, color)

    def gradient(self, first: Color, last: Color, steps: int = 40) -> None:
        """Fill the sheet with bands from the first colour at the top to the last at the bottom."""
        for step in range(steps):
            share = step / (steps - 1)
            color = tuple(round(a + share * (b - a)) for a, b in zip(first, last, strict=True))
            top = self.height * step / steps
            self.rectangle(0, top, self.width, self.height - top, color)


def circle(corners: int) -> np.ndarray:
    """Corners (N, 2) of a regular polygon in the unit circle, the first one at the top."""
    angles = 2 * np.pi * np.arange(corners) / corners
    return np.column_stack([np.sin(angles), -np.cos(angles)])


def rotated(points: np.ndarray, turn: float) -> np.ndarray:
    """Turn (N, 2) points clockwise (v is down) by `turn` [rad] about the origin."""
    c, s = np.cos(turn), np.sin(turn)
    return points @ np.array([[c, s], [-s, c]])


def clip(points: np.ndarray, width: float, height: float) -> np.ndarray:
    """Cut a polygon (N, 2) to the rectangle from (0, 0) to (width, height) (Sutherland and Hodgman)."""
    for axis, sign, limit in ((0, 1, 0.0), (0, -1, -width), (1, 1, 0.0), (1, -1, -height)):
        if len(points) == 0:
            break
        inside = sign * points[:, axis] - limit  # >= 0 is kept
        kept = []
        for i, here in enumerate(points):
            before, d0, d1 = points[i - 1], inside[i - 1], inside[i]
            if (d0 < 0) != (d1 < 0):
                kept.append(before + (here - before) * d0 / (d0 - d1))
            if d1 >= 0:
                kept.append(here)
        points = np.array(kept).reshape(-1, 2)
    return points
