"""What is seen of a surface: kernels against NumPy, and drawings against what is known of a carton."""

import numpy as np
import pytest

from dope_ros2.refinement.drawing import kernels, surface_view
from dope_ros2.refinement.drawing.surface_view import SurfaceView, window_around
from helpers.drawn_carton import CAMERA, POSES, appearance, photograph

needs_numba = pytest.mark.skipif(not kernels.INSTALLED, reason="Numba is not installed, so there are no kernels")


def view(index=0, side=136):
    corners = POSES[index].apply(appearance().corners)
    return SurfaceView.of(appearance(), POSES[index], window_around(photograph(index), CAMERA, corners, side, 0.8))


def same(one, two):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@needs_numba
def test_the_compiled_projection_is_the_one_of_numpy():
    elements, pose = appearance().levels[0], POSES[1]
    arguments = elements.points, elements.normals, pose.rotation, pose.translation, CAMERA.K, 640, 0.1, 0.02
    same(kernels.compiled(kernels.seen)(*arguments), surface_view.facing(*arguments))


@needs_numba
def test_the_compiled_sums_are_those_of_numpy():
    seen = view()
    colors, normals = seen.elements.colors[seen.seen], seen.elements.normals[seen.seen]
    cells = np.random.default_rng(0).integers(0, 50, len(colors))
    same([kernels.compiled(kernels.splatted)(seen.pixels, colors, 136)], [surface_view.splat(seen.pixels, colors, 136)])
    light = cells, colors, normals, colors[::-1].copy(), 50
    same(kernels.compiled(kernels.light_sums)(*light), surface_view.sum_light(*light))
    depths = seen.pixels, seen.depths, 3.0, 46
    same([kernels.compiled(kernels.nearest_of_cells)(*depths)], [surface_view.smallest_depths(*depths)])


@pytest.mark.parametrize("index", range(len(POSES)))
def test_a_drawing_covers_the_object_and_nothing_else(index):
    seen = view(index)
    drawing = seen.drawn(seen.lit())
    contour = appearance().outline.contour(POSES[index], seen.window.K)
    inner, outer = (np.rint(contour.pixels + side * 2.0 * contour.normals).astype(int) for side in (-1, 1))
    assert drawing.mask[inner[:, 1], inner[:, 0]].mean() > 0.9
    assert drawing.mask[outer[:, 1], outer[:, 0]].mean() < 0.1


@pytest.mark.parametrize("index", range(len(POSES)))
def test_a_drawing_in_the_light_of_the_photograph_looks_like_it(index):
    seen = view(index)
    drawing = seen.drawn(seen.lit())
    difference = np.abs(drawing.image - seen.window.image).mean(2)[drawing.mask]
    assert np.median(difference) < 12  # [levels] of 255


def test_faces_seen_at_a_flat_angle_are_drawn_whole():
    """The top of the last pose, at 77 degrees to the ray."""
    seen, pose = view(3), POSES[3]
    elements, eye = seen.elements, -pose.rotation.T @ pose.translation
    faces_camera = ((eye - elements.points) * elements.normals).sum(1) > 0
    flat = np.flatnonzero(faces_camera & (np.abs(elements.normals[:, 2]) > 0.9))
    assert np.isin(flat, seen.seen).mean() > 0.95  # of those that nothing hides; without slopes it is a tenth


def test_nothing_is_seen_of_an_object_behind_the_camera():
    corners = appearance().corners - np.array([0, 0, 1.0])
    assert window_around(photograph(0), CAMERA, corners, 136, 0.8) is None
