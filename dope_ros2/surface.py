"""What the light network's cells say of the surface they see: many unsure points beside the few sure keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dope_ros2.objects import ObjectModel

SEEN = 0.5  # a cell shows an object when the network says so with this probability
MOST_CELLS = 64  # around a centroid; more of a large object would say the same again
ERROR = 1.0  # standard deviation of a point's place in the picture [cells]
INDEPENDENT = 30  # neighbouring cells err together: however many there are, they count as so many


@dataclass(frozen=True, eq=False)
class Cells:
    """Points (M, 3) in the object's frame [m], where they are seen (M, 2) [px], and standard deviations (M,) [px]."""

    points: np.ndarray
    pixels: np.ndarray
    sigmas: np.ndarray


def read(surface: np.ndarray, model: ObjectModel, centre: np.ndarray, stride: int) -> Cells:
    """Take the cells around a centroid that show the object.

    Cells of a neighbour of the same class may be among them; the pose search treats them as outliers.

    Args:
        surface: (4, h, w) of the class: probability of being seen, and x, y, z, 0 to 1 across the cuboid.
        model: the object.
        centre: (2,) the centroid [px].
        stride: pixels per cell.
    """
    rows, columns = np.nonzero(surface[0] > SEEN)
    pixels = np.column_stack([columns, rows]) * float(stride) + (stride - 1) / 2
    nearest = np.argsort(np.linalg.norm(pixels - centre, axis=1), kind="stable")[:MOST_CELLS]
    across = surface[1:, rows[nearest], columns[nearest]].T.astype(float)
    points = (across - 0.5) * model.size + model.centre
    sigma = ERROR * stride * np.sqrt(max(1.0, len(nearest) / INDEPENDENT))
    return Cells(points, pixels[nearest], np.full(len(nearest), sigma))
