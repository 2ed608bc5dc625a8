import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dope_datagen.carton.faces import draw
from dope_datagen.carton.mesh import rasterise
from dope_datagen.dataset.labels import label
from dope_datagen.scenes.scene import Body, Light, Scene
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose

pytestmark = pytest.mark.render
CAMERA = CameraModel.from_focal(300, 320, 240)
FACING = np.diag([1.0, -1.0, -1.0])  # the front towards the camera, upright


def body(mesh, R, t, scale=(1.0, 1.0, 1.0), name=None):
    return Body(mesh, tuple(np.ravel(R)), tuple(t), scale, name=name)


def scene(*bodies, camera=CAMERA, **more):
    return Scene(tuple(camera.K.ravel()), camera.width, camera.height, bodies, **more)


def carton(R=FACING, t=(0, 0, 0.5)):
    return body("object:carton", R, t, name="carton")


@given(st.integers(0, 2**31), st.floats(-0.05, 0.05), st.floats(-0.03, 0.03), st.floats(0.3, 1.5))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_mask_of_the_carton_is_the_hull_of_its_projected_corners(raster, assets, seed, x, y, z):
    R = Pose.random(np.random.default_rng(seed)).rotation
    shown = scene(carton(R, (x, y, z)))
    rendering = raster.render(shown)
    (entry,) = label(shown, rendering, assets.objects)
    hull = cv2.convexHull(np.float32(entry.keypoints[:8]))
    expected = np.zeros((240, 320), np.uint8)
    cv2.fillConvexPoly(expected, np.int32(np.round(hull * 64)), 1, shift=6)
    border = cv2.arcLength(hull, True)
    assert np.count_nonzero(expected != (rendering.ids == 1)) < 1.5 * border
    left, top, width, height = entry.bbox
    low, high = entry.keypoints[:8].min(0), entry.keypoints[:8].max(0)
    inside = np.clip([low, high], [0, 0], [319, 239])
    np.testing.assert_allclose([left, top], inside[0], atol=1.5)
    np.testing.assert_allclose([left + width - 1, top + height - 1], inside[1], atol=1.5)


def test_the_front_shows_its_print_upright_and_not_mirrored(raster):
    camera = CameraModel.from_focal(1000, 320, 220)
    shown = scene(carton(t=(0, 0, 0.53)), camera=camera, lights=(Light((0.0, 0.0, -1.0), (1.0, 1.0, 1.0)),))
    picture = raster.render(shown).rgb
    width, height = 2000 * 0.08, 2000 * 0.055  # at 0.5 m, half edges 0.08 and 0.055
    found = cv2.getRectSubPix(picture, (round(2 * width), round(2 * height)), (159.5, 109.5)).astype(float)
    expected = cv2.resize(rasterise(draw("front")), found.shape[1::-1], interpolation=cv2.INTER_AREA).astype(float)

    def likeness(image):
        return np.corrcoef(image.ravel(), expected.ravel())[0, 1]

    assert likeness(found) > 0.9
    assert likeness(found) > likeness(found[:, ::-1]) + 0.2
    assert likeness(found) > likeness(found[::-1, ::-1]) + 0.2


def test_depth_is_the_distance_along_z(raster):
    box = body("cube", np.eye(3), (0, 0, 1.0), scale=(0.2, 0.2, 0.2))
    edge = 1 / np.sqrt(3)  # the cube's diagonal is 1
    depth = raster.render(scene(box), depth=True).depth
    assert depth[120, 160] == pytest.approx(1.0 - 0.1 * edge, abs=1e-4)
    assert depth[0, 0] == 0
    half = 300 * 0.1 * edge / (1 - 0.1 * edge)
    assert np.count_nonzero(depth[120]) == pytest.approx(2 * half, abs=1.5)


def test_a_tilted_plane_has_the_depth_of_its_rays(raster):
    R, _ = cv2.Rodrigues(np.array([0.5, 0.2, 0.0]))
    plane = body("plane", R, (0, 0, 1.0), scale=(4.0, 4.0, 1.0))
    depth = raster.render(scene(plane), depth=True).depth
    rows, columns = np.mgrid[0:240:20, 0:320:20]
    points = CAMERA.unproject(np.stack([columns, rows], -1).astype(float), depth[rows, columns])
    np.testing.assert_allclose((points - [0, 0, 1]) @ R[:, 2], 0, atol=2e-4)


def test_a_half_covered_carton_is_half_visible(raster, assets):
    cover = body("plane", np.eye(3), (-0.5 * 0.2, 0, 0.2), scale=(0.2, 0.3, 1.0))  # everything left of the axis
    shown = scene(carton(), cover)
    (entry,) = label(shown, raster.render(shown), assets.objects)
    assert entry.visibility == pytest.approx(0.5, abs=0.01)
    assert entry.truncation == 0
    assert entry.px_visible == pytest.approx(entry.visibility * entry.px_all, abs=1)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_carton_half_outside_the_frame_is_half_truncated_and_half_visible(raster, assets, axis):
    middle = np.array([[-0.5, 119.5], [159.5, 239.5]])[axis]
    shown = scene(carton(t=CAMERA.unproject(middle, 1.2)))
    (entry,) = label(shown, raster.render(shown), assets.objects)
    assert entry.truncation == pytest.approx(0.5, abs=0.04)  # the visible side face makes it less than exact
    assert entry.visibility == pytest.approx(1 - entry.truncation, abs=0.01)


def test_a_carton_alone_and_whole_is_wholly_visible(raster, assets):
    shown = scene(carton())
    (entry,) = label(shown, raster.render(shown), assets.objects)
    assert (entry.visibility, entry.truncation) == (pytest.approx(1, abs=0.005), 0)


def test_a_carton_larger_than_the_picture_is_counted_whole(raster, assets):
    shown = scene(carton(t=(0.0, 0.0, 0.13)))  # its front is 480 px wide, the image 320
    (entry,) = label(shown, raster.render(shown), assets.objects)
    assert entry.px_all == pytest.approx(480 * 330, rel=0.02)
    assert entry.px_visible == 320 * 240


def test_the_ids_number_the_targets_and_not_the_other_bodies(raster):
    bodies = [
        carton(t=(-0.2, 0, 1.0)),
        body("ball", np.eye(3), (0, 0, 1.0), (0.05,) * 3),
        carton(t=(0.2, 0, 1.0)),
    ]
    ids = raster.render(scene(*bodies)).ids
    assert [ids[120, x] for x in (100, 160, 220)] == [1, 0, 2]


def test_a_lamp_behind_a_body_throws_its_shadow_on_the_plane(raster):
    towards = np.array([0.6, 0.0, -0.8])
    wall = body("plane", np.eye(3), (0, 0, 1.2), scale=(3.0, 3.0, 1.0))
    ball = body("ball", np.eye(3), (0, 0, 1.0), scale=(0.1, 0.1, 0.1))
    lamp = Light(tuple(towards), (0.8, 0.8, 0.8), shadow=True)
    lit = raster.render(scene(ball, wall, lights=(Light(lamp.direction, lamp.color),), ambient=0.2)).rgb.astype(int)
    shadowed = raster.render(scene(ball, wall, lights=(lamp,), ambient=0.2)).rgb.astype(int)
    on_wall = np.array([0, 0, 1.0]) - towards * 0.2 / 0.8
    u, v = CAMERA.project(on_wall).round().astype(int)
    assert (lit - shadowed)[v, u].min() > 40
    assert np.abs(lit - shadowed)[v, -u].max() < 8


@pytest.mark.parametrize("bodies", [(), (body("plane", np.eye(3), (0, 0, 1.0)),)])
def test_a_scene_in_which_nothing_casts_a_shadow_is_rendered(raster, bodies):
    rendering = raster.render(scene(*bodies, lights=(Light((0.0, 0.0, -1.0), (1.0, 1.0, 1.0), shadow=True),)))
    assert rendering.rgb.shape == (240, 320, 3)
    assert not rendering.ids.any()
    assert rendering.alone.shape == (0, 2)
