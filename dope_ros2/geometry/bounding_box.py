"""The axis-aligned bounding box of points."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class BoundingBox(NamedTuple):
    """An axis-aligned box, in the frame and the unit of the points that it encloses.

    Attributes:
        low, high: (3,) the corners with the smallest and the largest coordinates.
    """

    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray) -> BoundingBox:
        """The smallest box around (..., 3) points, of which there is at least one."""
        rows = np.asarray(points).reshape(-1, 3)
        return cls(rows.min(0), rows.max(0))

    @property
    def size(self) -> np.ndarray:
        """(3,) lengths of the edges along x, y and z."""
        return self.high - self.low

    @property
    def centre(self) -> np.ndarray:
        """(3,) the middle between both corners."""
        return (self.high + self.low) / 2
