"""What the light network's cells say of the surface they see: many unsure points beside the few sure keypoints."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel

MIN_VISIBLE_PROBABILITY = 0.5  # a cell shows an object when the network says so with this probability
MAX_CELLS = 128  # around a centroid; more of a large object would say the same again
CELL_ERROR = 0.6  # standard deviation of a point's place in the image; measured [cells]
INDEPENDENT_CELLS = 30  # neighbouring cells err together: however many there are, they count as so many


@dataclass(frozen=True, eq=False)
class Cells:
    """Points (M, 3) in the object's frame [m], where they are seen (M, 2) [px], and their standard deviation [px]."""

    points: np.ndarray
    pixels: np.ndarray
    sigma: float

    def __len__(self) -> int:
        return len(self.points)

    @property
    def weight(self) -> float:
        """How many independent points each of them is worth."""
        return min(1.0, INDEPENDENT_CELLS / max(1, len(self)))

    def where(self, chosen: np.ndarray) -> Cells:
        """Those at the given indices or True in the given mask."""
        return replace(self, points=self.points[chosen], pixels=self.pixels[chosen])

    def around(self, centre: np.ndarray) -> Cells:
        """The nearest to a place (2,) in the image [px].

        Cells of a neighbour of the same class may be among them; the pose search treats them as outliers.
        """
        distance = np.linalg.norm(self.pixels - centre, axis=1)
        return self.where(np.argsort(distance, kind="stable")[:MAX_CELLS])

    def explained_by(self, pose: Pose, K: np.ndarray, within: float) -> np.ndarray:
        """(M,) whether an object at this pose would put a point no farther than `within` from where it is seen [px]."""
        x = pose.apply(self.points) @ K.T
        return (x[:, 2] > 0) & (
            np.linalg.norm(x[:, :2] - self.pixels * x[:, 2:], axis=1) < within * np.maximum(x[:, 2], 0)
        )


NO_CELLS = Cells(np.zeros((0, 3)), np.zeros((0, 2)), 1.0)


def read(surface: np.ndarray | None, model: ObjectModel, stride: int) -> Cells:
    """Take the cells that show objects of a class.

    Args:
        surface: (4, h, w) of the class: probability of being seen, and x, y, z, 0 to 1 across the cuboid; none of
            networks without this head.
        model: the object.
        stride: pixels per cell.
    """
    if surface is None:
        return NO_CELLS
    rows, columns = np.nonzero(surface[0] > MIN_VISIBLE_PROBABILITY)
    pixels = np.column_stack([columns, rows]) * float(stride) + (stride - 1) / 2
    across = surface[1:, rows, columns].T.astype(float)
    return Cells((across - 0.5) * model.size + model.centre, pixels, CELL_ERROR * stride)
