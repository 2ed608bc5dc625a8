"""Smooth edges, and targets drawn alone on shared pages."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dope_datagen.renderers.raster import antialiasing
from dope_datagen.renderers.raster.matrices import NEAR_PLANE, in_view, projection
from dope_datagen.renderers.unoccluded_tiles import MAX_TILE_SIZE, PAGE, pages
from dope_datagen.scenes.scene import Body, Scene
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose

CAMERA = CameraModel.from_focal(300, 320, 240)
FINER = 4


def carton(pose):
    return Body("object:carton", tuple(pose.rotation.ravel()), tuple(pose.translation), name="carton")


def heap(camera=CAMERA, cartons=3, seed=0):
    rng = np.random.default_rng(seed)
    low, high = (-0.3, -0.2, 0.3), (0.3, 0.2, 1.2)
    bodies = tuple(carton(Pose.random(rng, rng.uniform(low, high))) for _ in range(cartons))
    return Scene(tuple(camera.K.ravel()), camera.width, camera.height, bodies)


def test_a_ridge_is_an_edge_and_a_slope_is_not():
    v, u = np.mgrid[0:60, 0:80].astype(np.float32)
    one, two = 1 / (1 + 0.004 * u), 1 / (1.4 - 0.006 * u)  # planes: 1 / z is linear
    ridge = antialiasing.find(np.zeros((60, 80), np.uint8), np.maximum(one, two))
    assert ridge[10:50, 39:42].any(1).all()
    assert not ridge[:, 2:38].any()
    assert not ridge[:, 43:78].any()
    tilted = 1 / (1 + 0.004 * u + 0.002 * v)
    assert not antialiasing.find(np.zeros((60, 80), np.uint8), tilted)[1:-1, 1:-1].any()


def test_both_sides_of_an_outline_are_edges():
    numbers = np.zeros((20, 20), np.uint8)
    numbers[:, 10:] = 7
    found = antialiasing.find(numbers, np.ones((20, 20), np.float32))
    assert found[:, 9:11].all()
    assert not found[:, :8].any()


def test_samples_beside_the_centre_leave_it_where_it_is():
    np.testing.assert_allclose(np.mean(antialiasing.SHIFTS, axis=0), 0, atol=1e-12)


@pytest.mark.render
def test_outlines_come_close_to_those_of_a_much_finer_picture(raster, monkeypatch):
    shown = heap()
    fine = raster.render(heap(CAMERA.resized(CAMERA.width * FINER, CAMERA.height * FINER))).rgb
    truth = cv2.resize(fine, (CAMERA.width, CAMERA.height), interpolation=cv2.INTER_AREA).astype(float)
    smooth = raster.render(shown)
    outline = cv2.morphologyEx(smooth.ids, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    monkeypatch.setattr(antialiasing, "find", lambda numbers, z: np.zeros(numbers.shape, bool))
    stairs = raster.render(shown)
    far, near = (np.abs(r.rgb - truth)[outline].mean() for r in (stairs, smooth))
    assert near < 0.6 * far
    np.testing.assert_array_equal(smooth.ids, stairs.ids)


def test_tiles_lie_apart_and_on_the_page(assets):
    shown = heap(cartons=60)
    seen = []
    for page in pages(shown, assets):
        covered = np.zeros((PAGE, PAGE), int)
        for number, tile in page:
            assert max(tile.width, tile.height) <= MAX_TILE_SIZE
            part = covered[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
            assert part.shape == (tile.height, tile.width)
            part += 1
            seen.append(number)
        assert covered.max() == 1
    assert sorted(seen) == list(range(60))


@pytest.mark.render
def test_alone_is_what_a_picture_of_nothing_else_shows(raster):
    shown = heap(cartons=8, seed=3)
    alone = raster.render(shown).alone
    margin = np.array([[0, 0, 400], [0, 0, 400], [0, 0, 0]])
    wide = CameraModel(CAMERA.K + margin, CAMERA.width + 800, CAMERA.height + 800)
    for k, body in enumerate(shown.bodies):
        inside = np.count_nonzero(raster.render(replace(shown, bodies=(body,))).ids)
        everything = Scene(tuple(wide.K.ravel()), wide.width, wide.height, (body,))
        whole = np.count_nonzero(raster.render(everything).ids)
        np.testing.assert_allclose(alone[k], [whole, inside], rtol=0.01, atol=4)


def test_what_may_be_seen_is_never_left_out():
    rng = np.random.default_rng(5)
    centres, radii = rng.uniform(-2, 2, (400, 3)), rng.uniform(0.01, 0.5, 400)
    seen = in_view(projection(CAMERA.K, CAMERA.width, CAMERA.height), np.column_stack([centres, radii]))
    around = rng.normal(size=(2000, 3))
    around *= (rng.random((2000, 1)) ** (1 / 3)) / np.linalg.norm(around, axis=1, keepdims=True)  # in the unit ball
    for centre, radius, may in zip(centres, radii, seen, strict=True):
        points = centre + radius * around
        u, v = CAMERA.project(points[points[:, 2] > NEAR_PLANE]).T
        inside = (u > -0.5) & (u < CAMERA.width - 0.5) & (v > -0.5) & (v < CAMERA.height - 0.5)
        assert may or not inside.any()
    assert 0.02 < seen.mean() < 0.5
