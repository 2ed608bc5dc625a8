"""What a mesh is like, and whether it will do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist

from dope_datagen.mesh_preparation.mesh_file import MeshFile
from dope_datagen.mesh_preparation.prepare import TRIANGLES
from dope_datagen.mesh_preparation.surface import Surface
from dope_datagen.mesh_preparation.symmetry import Axis, Symmetry, verdict
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.objects.mesh_units import Verdict, judge

MIN_EDGE_RATIO = 1e-4  # of the longest edge; the cuboid needs a height
DIRECTIONS = 600  # in which the outermost vertices are looked for
COARSE = 256  # [px], a texture below this is blurred in most images
CRUMB = 0.01  # of the area
MAX_DISTANCE_TO_BOX = 0.03  # of an edge of the box


@dataclass(frozen=True, eq=False)
class MeshReport:
    """A mesh file and what was found; lengths in metres.

    Attributes:
        source: the file.
        unit: of the file.
        size, centre: (3,) of the bounding box.
        diameter: largest distance between two vertices.
        pieces: number of connected pieces.
        watertight: whether every edge has two triangles.
        axes: symmetry about x, y and z.
        color: (3,) mean colour, sRGB 0 to 255.
        warnings: a sentence each.
    """

    source: MeshFile
    unit: Verdict
    size: np.ndarray
    centre: np.ndarray
    diameter: float
    pieces: int
    watertight: bool
    axes: list[Axis]
    color: np.ndarray
    warnings: list[str]

    def text(self) -> str:
        """The report for a reader."""
        surface = self.source.surface
        sizes = ", ".join(f"{i.shape[1]} x {i.shape[0]} px" for i in surface.images)
        look = sizes or ("one colour" if surface.plain else "none, vertex or material colours")
        rows = {
            "file": str(self.source.path),
            "triangles": f"{len(surface.triangles):,}",
            "vertices": f"{self.source.vertices:,}",
            "parts": f"{_count(self.pieces, 'piece')}, {_count(self.source.materials, 'material')}",
            "watertight": "yes" if self.watertight else "no",
            "unit": self.unit.name + ("" if self.unit.sure else ", NOT SURE") + f" ({self.unit.reason})",
            "box": f"{' x '.join(f'{v:.4f}' for v in self.size)} m along x, y, z",
            "centre": f"{', '.join(f'{v + 0.0:.4f}' for v in self.centre)} m in the mesh's frame",
            "diameter": f"{self.diameter:.4g} m between vertices, {np.linalg.norm(self.size):.4g} m across the box",
            "texture": look,
            "mean colour": str(levels(self.color)),
        }
        lines = [f"{key + ':':13}{value}" for key, value in rows.items()]
        said = [sentence for axis in self.axes if (sentence := verdict(axis))]
        lines += [f"{'symmetry:':13}{sentence}" for sentence in said or ["none about the box's axes"]]
        return "\n".join(lines + [f"{'warning:':13}{warning}" for warning in self.warnings])


def inspect(source: MeshFile, unit: str | None = None) -> MeshReport:
    """Look at a mesh from all sides.

    Args:
        source: the file.
        unit: m, cm or mm, if the user says so.

    Raises:
        UserError: no object can have this mesh: flat, or too large or small in any unit.
    """
    surface = source.surface
    size = surface.box.size
    if size.min() < MIN_EDGE_RATIO * size.max():
        raise UserError(
            f"{source.path}: the mesh is flat, {size.tolist()} along x, y, z; a cuboid needs three edges above 0"
        )
    chosen = judge(source.path, float(size.max()), source.declared, unit)
    rng = np.random.default_rng(0)  # the same mesh gives the same report
    symmetry = Symmetry(surface, rng)
    labels = pieces(surface)
    watertight = closed(surface)
    drawn, weights = surface.sample(20_000, rng)
    report = MeshReport(
        source,
        chosen,
        size * chosen.factor,
        surface.box.centre * chosen.factor,
        diameter(surface.positions) * chosen.factor,
        int(labels.max()) + 1,
        watertight,
        [symmetry.about(k) for k in range(3)],
        surface.colors(drawn, weights).mean(0),
        [*source.notes],
    )
    report.warnings.extend(_warnings(report, labels))
    return report


def _warnings(report: MeshReport, labels: np.ndarray) -> list[str]:
    surface, found = report.source.surface, []
    if not report.unit.sure:
        found.append("the unit is not certain; give it with --unit")
    if len(surface.triangles) > TRIANGLES:
        found.append(f"more than {TRIANGLES:,} triangles; `dope assets prepare` thins them out")
    if any(max(image.shape) < COARSE for image in surface.images):
        found.append(f"a texture has fewer than {COARSE} px a side; the object will look blurred from near")
    if (np.abs(surface.box.centre) > surface.box.size).any():
        found.append("the origin lies far outside the box; every pose that is reported is that of this origin")
    if report.watertight and volume(surface) < 0:
        found.append("the triangles face inward; `dope assets prepare` turns them round")
    if shrunk := crumbs(surface, labels):
        found.append(shrunk)
    return found


def levels(color: np.ndarray) -> list[int]:
    """A colour as three whole levels 0 to 255."""
    return [int(v) for v in np.round(color).clip(0, 255)]


def closed(surface: Surface) -> bool:
    """Whether every edge belongs to exactly two triangles."""
    edges = np.sort(surface.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    return bool((np.unique(edges, axis=0, return_counts=True)[1] == 2).all())


def volume(surface: Surface) -> float:
    """Volume inside a watertight surface; negative if its triangles face inward."""
    corners = surface.corners - surface.box.centre
    return float(np.einsum("md,md->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6


def pieces(surface: Surface) -> np.ndarray:
    """Which connected piece each of the (M,) triangles belongs to."""
    a, b = surface.triangles[:, [0, 1]].T, surface.triangles[:, [1, 2]].T
    count = len(surface.positions)
    links = coo_array((np.ones(2 * len(surface.triangles)), np.hstack([a, b])), shape=(count, count))
    _, labels = connected_components(links, directed=False)
    return np.unique(labels[surface.triangles[:, 0]], return_inverse=True)[1]


def crumbs(surface: Surface, labels: np.ndarray) -> str:
    """A warning if small loose pieces make the box larger, else an empty string."""
    areas = np.bincount(labels, surface.areas)
    large = (areas >= CRUMB * areas.sum())[labels]
    if large.all():
        return ""
    without = BoundingBox.of(surface.corners[large]).size
    if (without > (1 - MAX_DISTANCE_TO_BOX) * surface.box.size).all():
        return ""
    ratio = ", ".join(f"{1 - w:.0%}" for w in without / surface.box.size)
    return (
        f"{_count(int((~large).sum()), 'triangle')} in small loose pieces make the box larger ({ratio} along x, y, z)"
    )


def diameter(positions: np.ndarray) -> float:
    """Largest distance between two of (N, 3) points, within a thousandth."""
    k = np.arange(DIRECTIONS) + 0.5
    up, turn = 1 - 2 * k / DIRECTIONS, np.pi * (1 + 5**0.5) * k
    ring = np.sqrt(1 - up**2)
    directions = np.stack([ring * np.cos(turn), ring * np.sin(turn), up], -1)
    along = (positions @ direction for direction in directions)
    outer = {int(index) for heights in along for index in (heights.argmax(), heights.argmin())}
    return float(pdist(positions[sorted(outer)]).max())


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")
