"""Which rotations bring an object back to itself: its shape and its look are judged apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from dope_datagen.mesh_preparation.surface import Nearest, Surface

FOLDS = (2, 3, 4, 6, 8)
CONTINUOUS = 0  # as a number of folds
SWEEP = np.deg2rad([20, 37, 53, 71, 90, 113, 147, 180])  # angles that no small number of folds shares
TURNED_POINTS = 3000  # that are turned
SAMPLES = 20_000  # of the surface to compare with
BLUR = 32  # samples whose mean colour is compared, so that print that a camera cannot resolve does not count
# How near nine tenths of the sides, and all but 2 % of them, must come, as a share of the cross-section's diagonal.
MAX_SURFACE_DISTANCE, NEARLY_ALL = 0.021, 0.05
SIDE = 0.7  # cosine between the axis and the normal of what counts as a side; ends look alike at every angle
MIN_SIDE_POINTS = 50  # points on the sides, or all points are compared
MAX_LEVEL_DIFFERENCE, MAX_CHANGED_SHARE = (
    35.0,
    0.015,
)  # more than this share of the surface differing by so many levels is another look
AXES = "xyz"
MAX_ROTATIONS = 60  # rotations in a finite group about such axes, and more than enough


@dataclass(frozen=True)
class Axis:
    """What turning about one axis of the box shows.

    Attributes:
        name: x, y or z.
        shape: number of folds of the shape; 1 for none, CONTINUOUS for all angles.
        look: number of folds of shape and look together.
        differing: share of the surface that looks different after the smallest turn that keeps the shape.
    """

    name: str
    shape: int
    look: int
    differing: float


class Symmetry:
    """Compares a surface with itself turned about the axes of its box.

    Args:
        surface: in any unit.
        rng: draws the points that are compared.
    """

    def __init__(self, surface: Surface, rng: np.random.Generator) -> None:
        self._size = surface.box.size
        self._centre = surface.box.centre
        self._nearest = Nearest(surface, rng, SAMPLES)
        triangle, weights = surface.sample(TURNED_POINTS, rng)
        self._points = surface.points(triangle, weights)
        self._normals = surface.crosses[triangle] / np.maximum(2 * surface.areas[triangle, None], 1e-300)
        # Two sets of samples: how they differ at the same place is the noise of such a comparison.
        trees = [self._blurred(surface, *surface.sample(SAMPLES, rng)) for _ in range(2)]
        self._tree, self._colors = trees[0]
        self._own = self._at(self._points, *trees[1])
        self._noise = self._differing(self._points)

    def about(self, axis: int) -> Axis:
        """Judge one axis, 0 to 2."""
        shape = [n for n in FOLDS if self._keeps_shape(axis, 2 * np.pi / n)]
        everywhere = len(shape) > 1 and all(self._keeps_shape(axis, angle) for angle in SWEEP)
        same = [n for n in shape if self._keeps_look(axis, n)]
        turning = everywhere and all(
            self._differing(self._turned(axis, a)) - self._noise < MAX_CHANGED_SHARE for a in SWEEP
        )
        smallest = 2 * np.pi / max(shape, default=1)
        differing = max(0.0, self._differing(self._turned(axis, smallest)) - self._noise) if shape else 0.0
        return Axis(
            AXES[axis],
            CONTINUOUS if everywhere else max(shape, default=1),
            CONTINUOUS if turning else max(same, default=1),
            differing,
        )

    def _turned(self, axis: int, angle: float) -> np.ndarray:
        turn = Rotation.from_rotvec(angle * np.eye(3)[axis])
        return turn.apply(self._points - self._centre) + self._centre

    def _keeps_shape(self, axis: int, angle: float) -> bool:
        side = np.abs(self._normals[:, axis]) < SIDE
        turned = self._turned(axis, angle)[side if side.sum() >= MIN_SIDE_POINTS else slice(None)]
        off = self._nearest(turned)[2] / np.linalg.norm(np.delete(self._size, axis))
        return bool(np.percentile(off, 90) < MAX_SURFACE_DISTANCE and np.percentile(off, 98) < NEARLY_ALL)

    def _keeps_look(self, axis: int, folds: int) -> bool:
        """Whether every turn by a multiple of 1 / `folds` looks the same."""
        turns = range(1, folds // 2 + 1)
        return all(
            self._differing(self._turned(axis, 2 * np.pi * k / folds)) - self._noise < MAX_CHANGED_SHARE for k in turns
        )

    def _blurred(self, surface: Surface, triangle: np.ndarray, weights: np.ndarray) -> tuple[cKDTree, np.ndarray]:
        return cKDTree(surface.points(triangle, weights)), surface.colors(triangle, weights)

    @staticmethod
    def _at(points: np.ndarray, tree: cKDTree, colors: np.ndarray) -> np.ndarray:
        return colors[tree.query(points, BLUR)[1]].mean(1)

    def _differing(self, points: np.ndarray) -> float:
        """Share of the surface whose colour at `points` is not that of where they came from."""
        off = np.abs(self._at(points, self._tree, self._colors) - self._own).max(1)
        return float((off > MAX_LEVEL_DIFFERENCE).mean())


def matrices(axes: list[Axis], centre: np.ndarray) -> tuple[list[list[float]], list[dict]]:
    """Symmetries of shape and look as BOP's `symmetries_discrete` and `symmetries_continuous`.

    Args:
        axes: one verdict per axis.
        centre: (3,) of the box [m]; axes go through it.

    Returns:
        16 numbers, a 4x4 matrix row by row, per rotation other than none; {axis, offset} per continuous axis [m].
    """
    around = [k for k, axis in enumerate(axes) if axis.look == CONTINUOUS]
    continuous = [{"axis": np.eye(3)[k].tolist(), "offset": _plain(centre)} for k in around]
    if len(around) > 1:  # a ball: no rotation can be told from another
        return [], continuous
    folded = [(k, axis.look) for k, axis in enumerate(axes) if axis.look > 1]
    if around:  # a flip about one other axis; the continuous one makes the rest
        folded = [(k, 2) for k, folds in folded if folds % 2 == 0][:1]
    generators = [Rotation.from_rotvec(2 * np.pi / folds * np.eye(3)[k]).as_matrix() for k, folds in folded]
    return [_row(R, centre) for R in closed(generators)], continuous


def closed(generators: list[np.ndarray]) -> list[np.ndarray]:
    """All products of (3, 3) rotations, but for the one that turns nothing."""
    group, fresh = [np.eye(3)], [np.eye(3)]
    while fresh and len(group) <= MAX_ROTATIONS:
        products = [R @ new for R in generators for new in fresh]
        fresh = []
        for product in products:
            if not any(np.allclose(product, known, atol=1e-6) for known in group):
                group.append(product)
                fresh.append(product)
    return group[1:]


def verdict(axis: Axis) -> str | None:
    """A sentence about an axis, or None where there is nothing to say."""
    if axis.shape == 1:
        return None
    shape = f"the shape is {_folds(axis.shape)} about {axis.name}"
    if axis.look == axis.shape:
        return f"{shape} and looks the same: written into the entry"
    share = f"the look is not ({axis.differing:.0%} of the surface differs)"
    if axis.look == 1:
        return f"{shape}, {share}: left out, since the look tells the sides apart"
    return f"{shape}, the look only {_folds(axis.look)}: the latter is written into the entry"


def _folds(folds: int) -> str:
    return "the same at every angle" if folds == CONTINUOUS else f"{folds}-fold"


def _row(R: np.ndarray, centre: np.ndarray) -> list[float]:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = R, centre - R @ centre
    return _plain(matrix.ravel())


def _plain(numbers: np.ndarray) -> list[float]:
    """Plain numbers without rounding dust; 0, not -0."""
    return [float(x) + 0.0 for x in np.round(numbers, 9)]
