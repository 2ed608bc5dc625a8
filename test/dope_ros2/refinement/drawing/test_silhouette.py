"""The outline of an object in an image: where it is known exactly, and which way it looks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.mesh import facets
from dope_ros2.meshes.parts import weld
from dope_ros2.refinement.drawing import mesh_appearance
from dope_ros2.refinement.drawing.silhouette import MAX_LINES, OutlineMesh
from helpers.mesh_files import box, cylinder

K = np.array([[600.0, 0, 320], [0, 610, 240], [0, 0, 1]])
RADIUS, HEIGHT = 0.034, 0.102  # [m] of a can
poses = st.builds(
    Pose.from_rotvec,
    st.tuples(*[st.floats(-3, 3)] * 3).map(list),
    st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.floats(0.4, 1.5)).map(list),
)


def box_corners(centre=(0, 0, 0)):
    """(12, 3, 3) corners of the triangles of a box, seen from outside."""
    vertices, _, faces = box(centre=centre)
    return vertices[faces]


BOX = OutlineMesh.of(*weld(box_corners()))


def pixels(points, pose):
    """(N, 2) images of points (N, 3) in the object's frame [px]."""
    seen = pose.apply(points) @ K.T
    return seen[:, :2] / seen[:, 2:]


def beyond(points, pose, contour):
    """How far a contour lies outside the edges of the convex hull of points (N, E) [px], and their normals (E, 2)."""
    equations = ConvexHull(pixels(points, pose)).equations
    return contour.pixels @ equations[:, :2].T + equations[:, 2], equations[:, :2]


@given(poses)
def test_the_outline_of_a_box_is_the_convex_hull_of_its_corners_and_looks_outward(pose):
    contour = BOX.contour(pose, K)
    outside, normals = beyond(BOX.vertices, pose, contour)
    np.testing.assert_allclose(outside.max(1), 0, atol=1e-6)
    outward = np.where(outside > -1e-3, contour.normals @ normals.T, -1).max(1)  # of all edges that meet there
    np.testing.assert_allclose(outward, 1, atol=1e-3)


@given(poses)
def test_points_of_an_outline_are_where_its_pixels_are_and_evenly_spread(pose):
    contour = BOX.contour(pose, K)
    np.testing.assert_allclose(pixels(contour.points, pose), contour.pixels, atol=1e-6)
    hull = ConvexHull(pixels(BOX.vertices, pose))
    assert len(contour.points) == min(int(hull.area / 2), MAX_LINES)  # its area in the plane is the length around it


@pytest.fixture(scope="module")
def can():
    """The outline of a can of 12,000 triangles."""
    corners = cylinder(RADIUS, HEIGHT, sectors=256, rings=24)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh_appearance, "ELEMENTS", 100)
        outline = mesh_appearance.of_mesh(facets(corners), "can.obj").outline
    assert len(outline.triangles) < len(corners) / 10
    return outline


@pytest.mark.parametrize("turn", [[0.3, 0.2, 0.1], [1.2, 0.4, 0], [1.57, 0, 0.7]])
def test_the_outline_of_a_can_is_within_a_quarter_of_a_pixel_of_the_true_one(can, turn):
    pose = Pose.from_rotvec(turn, [0.02, -0.01, 0.38])  # 160 px tall
    turns = np.linspace(0, 2 * np.pi, 2000)
    rims = [np.stack([RADIUS * np.cos(turns), RADIUS * np.sin(turns), np.full(2000, z)], 1) for z in (0, HEIGHT)]
    outside, _ = beyond(np.concatenate(rims), pose, can.contour(pose, K))
    assert abs(outside.max(1)).max() < 0.25
    assert abs(outside.max(1).mean()) < 0.05  # neither larger nor smaller on the whole


@pytest.mark.parametrize("centre", [(0, 0, 0), (1, 2, -1)])
def test_triangles_that_wind_the_other_way_have_the_same_outline(centre):
    turned = Pose.from_rotvec([0.4, 0.5, 0.6], [0, 0, 0.7])
    pose = turned @ Pose.from_rotvec([0, 0, 0], -np.array(centre, float))
    open_box = box_corners(centre)[2:]  # without one face
    one, other = (OutlineMesh.of(*weld(corners)) for corners in (open_box, open_box[:, ::-1]))
    np.testing.assert_allclose(one.contour(pose, K).pixels.mean(0), other.contour(pose, K).pixels.mean(0), atol=1)
    assert ((one.middles - centre) * one.normals).sum(1).min() > 0
    assert ((other.middles - centre) * other.normals).sum(1).min() > 0


def test_there_is_no_outline_of_what_is_behind_the_camera_or_far_away():
    for z in (-0.5, 0.02, 60):
        assert BOX.contour(Pose.from_rotvec([0.1, 0.2, 0.3], [0, 0, z]), K) is None
