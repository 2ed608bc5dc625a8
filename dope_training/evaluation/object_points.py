"""The points of an object by which a pose is judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from dope_datagen.assets.library import object_mesh
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.objects.symmetry import group

MAX_POINTS = 2000  # points of which means are taken
CONTINUOUS_STEPS, MOST_TURNS = (
    315,
    4096,
)  # steps of a continuous symmetry, as BOP has it; fewer each where there are several


@dataclass(frozen=True, eq=False)
class ObjectPoints:
    """An object as the measures need it.

    Attributes:
        points: (N, 3), of which means are taken, in the object's frame [m].
        hull: (H, 3) corners of the convex hull, where the largest distances are [m].
        source: where the points come from, for people.
    """

    model: ObjectModel
    points: np.ndarray
    hull: np.ndarray
    source: str

    @classmethod
    def of(cls, model: ObjectModel) -> ObjectPoints:
        """From the object's mesh where its file is there, else from the corners of its cuboid.

        Raises:
            UserError: there is a mesh, but it cannot be read or is not as large as objects.yaml says.
        """
        try:
            _ = model.mesh_path
        except UserError:
            corners = model.keypoints[:8]
            return cls(model, corners, corners, "8 corners of the cuboid, for want of a mesh")
        vertices = np.unique(object_mesh(model).positions.astype(float), axis=0)
        chosen = np.linspace(0, len(vertices) - 1, min(MAX_POINTS, len(vertices))).round().astype(int)
        return cls(model, vertices[chosen], _hull(vertices), f"{len(chosen)} of {len(vertices)} vertices of the mesh")

    @cached_property
    def diameter(self) -> float:
        """The largest distance between two points of it [m]."""
        return float(pdist(self.hull).max())

    @cached_property
    def symmetries(self) -> np.ndarray:
        """(S, 4, 4) transforms of the object's frame that change nothing to be seen, the identity first [m]."""
        turning = len(self.model.symmetries_continuous)
        return group(self.model, min(CONTINUOUS_STEPS, int(MOST_TURNS ** (1 / max(1, turning)))))

    @property
    def is_symmetric(self) -> bool:
        """Whether it looks the same from several sides."""
        return len(self.symmetries) > 1


def _hull(vertices: np.ndarray) -> np.ndarray:
    try:
        return vertices[ConvexHull(vertices).vertices]
    except QhullError:  # flat
        return vertices
