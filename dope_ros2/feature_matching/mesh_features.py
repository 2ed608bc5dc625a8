"""The local features of an object, made from its mesh: drawn from all sides; what several drawings show is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from dope_ros2.feature_matching import sift
from dope_ros2.feature_matching.feature_search import FeatureSearch
from dope_ros2.feature_matching.mesh_drawings import DenseSurface, directions, gray_levels, looking_along
from dope_ros2.feature_matching.print_features import PrintFeatures, SurfaceFeatures, unit
from dope_ros2.feature_matching.sift import Features
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.meshes.mesh import Mesh
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.meshes.surface_points import check_size
from dope_ros2.objects.object_model import UNITS, ObjectModel
from dope_ros2.refinement.drawing.surface_view import SurfaceView

VIEWS = 60
SIDES = {352: 1, 144: 4}  # [px] of the drawings, and each how manyeth sample of the surface is drawn
COUNT = 2000  # features that are kept
MIN_DEPTH_INSIDE = 0.5  # of a feature's size, that it lies within the outline at least
SAME_PLACE = 0.02  # [diameters] apart, at most
SAME_SIZE = 1.5  # ratio of sizes
SAME_SIDE = 0.8  # cosine of the angle between normals
ALIKE = 0.85  # cosine of descriptors
TRIES = 20  # views in which the object is looked for again
TRIED_SIDE = 128  # [px] of those
RIGHT_ANGLE, RIGHT_DISTANCE = np.deg2rad(15), 0.08  # of a pose that counts as found [rad, of the distance]


def of_object(model: ObjectModel) -> PrintFeatures:
    """Of an object of objects.yaml, in its frame.

    Raises:
        UserError: its mesh or texture cannot be read, or the mesh is not of its size.
    """
    mesh = read_mesh(model.mesh_path).scaled(UNITS[model.mesh_unit])
    check_size(mesh.positions, model, model.mesh_path)
    return of_mesh(mesh, model.mesh_path)


def of_mesh(mesh: Mesh, where: Path, views: int | None = None) -> PrintFeatures:
    """Of a mesh in metres that came from a file, drawn from so many sides, or `VIEWS`.

    Raises:
        UserError: its texture cannot be read, or it has no area.
    """
    surface = DenseSurface.of(mesh, where)
    found = PrintFeatures.of(repeated(drawn(surface, views or VIEWS), surface.diameter), surface.box)
    return replace(found, found_again=share_found_again(surface, found))


def drawn(surface: DenseSurface, views: int) -> SurfaceFeatures:
    """All features of drawings from so many sides."""
    parts = []
    for side, stride in SIDES.items():
        camera, coarse = surface.camera(side), surface.every(stride)
        for axis in directions(views):
            view = coarse.view(surface.pose(looking_along(axis)), camera)
            drawing = view.drawn(view.elements.colors[view.seen])
            found = sift.detect(gray_levels(drawing.image, drawing.mask))
            inside = cv2.distanceTransform(np.uint8(drawing.mask), cv2.DIST_L2, 3)
            x, y = np.clip(np.rint(found.pixels).astype(int), 0, side - 1).T
            parts.append(on_surface(found.where(inside[y, x] > MIN_DEPTH_INSIDE * found.sizes), view, camera))
    return joined(parts)


def joined(parts: list[SurfaceFeatures]) -> SurfaceFeatures:
    """All of them."""
    return SurfaceFeatures(*(np.concatenate([getattr(part, key) for part in parts]) for key in vars(parts[0])))


def on_surface(found: Features, view: SurfaceView, camera: CameraModel) -> SurfaceFeatures:
    """Features of a drawing where they lie on the planes through the elements that are seen next to them."""
    R, t = view.pose.rotation, view.pose.translation
    nearest = _nearest_element(view, found.pixels)
    points, normals = (np.float64(each[nearest]) for each in (view.elements.points, view.elements.normals))
    eye = -R.T @ t

    def hit(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rays = camera.unproject(pixels, np.ones(len(pixels))) @ R
        depths = ((points - eye) * normals).sum(1) / np.minimum((rays * normals).sum(1), -1e-3)
        return eye + depths[:, None] * rays, depths

    places, depths = hit(found.pixels)
    ahead, _ = hit(found.pixels + np.column_stack([np.cos(found.angles), np.sin(found.angles)]))
    extents = found.sizes * depths / camera.K[0, 0]
    return SurfaceFeatures(places, normals, unit(ahead - places), extents, found.descriptors)


def _nearest_element(view: SurfaceView, pixels: np.ndarray) -> np.ndarray:
    """(N,) indices of the elements that are seen nearest to pixels (N, 2), by a picture of indices."""
    side = view.window.side
    columns, rows = np.rint(view.pixels).astype(int).T
    shown = np.full((side, side), -1)
    shown[rows, columns] = view.seen
    empty = np.uint8(shown < 0)
    _, labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    of_label = np.zeros(labels.max() + 1, int)
    of_label[labels[shown >= 0]] = shown[shown >= 0]
    x, y = np.clip(np.rint(pixels).astype(int), 0, side - 1).T
    return of_label[labels[y, x]]


def repeated(all_drawn: SurfaceFeatures, diameter: float, count: int = COUNT) -> SurfaceFeatures:
    """One feature for each place, size and look of several drawings; those of the most drawings, most first."""
    near = _same(all_drawn, diameter)
    sizes = np.diff(near.indptr)
    free, groups = np.ones(len(sizes), bool), []
    for k in np.argsort(-sizes, kind="stable"):
        if free[k]:
            own = near.indices[near.indptr[k] : near.indptr[k + 1]]
            own = own[free[own]]
            free[own] = False
            groups.append((k, own))
    groups.sort(key=lambda group: -len(group[1]))
    first = [k for k, _ in groups[:count]]
    members = [own for _, own in groups[:count]]

    def means(values: np.ndarray) -> np.ndarray:
        return np.array([values[own].mean(0) for own in members]).reshape(len(members), *values.shape[1:])

    return SurfaceFeatures(
        means(all_drawn.points),
        all_drawn.normals[first],
        all_drawn.tangents[first],
        np.exp(means(np.log(all_drawn.extents))),
        unit(means(all_drawn.descriptors)),
    )


def _same(features: SurfaceFeatures, diameter: float) -> csr_matrix:
    """(N, N) which are drawings of the same; each of itself."""
    count = len(features.points)
    i, j = cKDTree(features.points).query_pairs(SAME_PLACE * diameter, output_type="ndarray").T
    for rule in (
        lambda i, j: np.abs(np.log(features.extents[i] / features.extents[j])) < np.log(SAME_SIZE),
        lambda i, j: (features.normals[i] * features.normals[j]).sum(1) > SAME_SIDE,
        lambda i, j: (features.tangents[i] * features.tangents[j]).sum(1) > SAME_SIDE,
        lambda i, j: np.einsum("pd,pd->p", features.descriptors[i], features.descriptors[j]) > ALIKE,
    ):
        kept = rule(i, j)
        i, j = i[kept], j[kept]
    every = np.arange(count)
    rows, columns = np.concatenate([i, j, every]), np.concatenate([j, i, every])
    matrix = csr_matrix((np.ones(len(rows), bool), (rows, columns)), (count, count))
    matrix.sort_indices()
    return matrix


def share_found_again(surface: DenseSurface, features: PrintFeatures) -> float:
    """The share of drawn, lit, blurred and noisy views in which the object is found by its features."""
    rng, search, found = np.random.default_rng(0), FeatureSearch({"": features}), 0
    camera, coarse = surface.camera(TRIED_SIDE), surface.every(4)
    for axis in directions(TRIES):
        pose = surface.pose(looking_along(axis + rng.normal(0, 0.2, 3)))
        image = photograph(coarse.view(pose, camera), rng)
        best = search(image, camera)[:1]
        found += any(
            h.pose.angle_to(pose) < RIGHT_ANGLE and h.pose.distance_to(pose) < RIGHT_DISTANCE * pose.translation[2]
            for h in best
        )
    return found / TRIES


def photograph(view: SurfaceView, rng: np.random.Generator) -> np.ndarray:
    """A drawing (S, S, 3) uint8 as a plain camera might see it: lit from one side, before a mottled wall, not sharp."""
    light = unit(rng.normal(size=(1, 3)))[0]
    gains = 0.6 + 0.5 * np.maximum(view.elements.normals[view.seen] @ light, 0)
    drawing = view.drawn(view.elements.colors[view.seen] * np.float32(gains)[:, None])
    wall = cv2.resize(np.float32(rng.uniform(30, 200, (8, 8, 3))), drawing.mask.shape, interpolation=cv2.INTER_CUBIC)
    image = cv2.GaussianBlur(np.where(drawing.mask[..., None], drawing.image, wall), (0, 0), 0.7)
    return np.uint8(np.clip(np.rint(image + rng.normal(0, 4, image.shape)), 0, 255))
