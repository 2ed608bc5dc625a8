"""What a live node sees as plain arrays: the laws that a viewer's image rests on."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.visualization.viewer import scene

CUBE = ObjectModel(name="cube", class_id=1, size=(0.1, 0.1, 0.1), centre=(0.02, 0, 0))
CAMERA = CameraModel.from_focal(600.0, 640, 480)


def seen(pose=None, track="", model=CUBE, covariance=None):
    pose = pose or Pose(np.eye(3), np.array([-0.02, 0, 1.0]))
    return Detection(
        model, 0.9, pose, np.eye(6) if covariance is None else covariance, np.full((9, 2), np.nan), 0, None, track
    )


def test_a_box_seen_from_the_front_shows_the_edges_of_one_face():
    front, behind = scene.outline(CAMERA, seen())
    assert (len(front), len(behind)) == (4, 8)
    half = 600 * 0.05 / 0.95
    np.testing.assert_allclose(np.abs(front - [319.5, 239.5]), half, atol=1e-9)


def test_an_outline_has_each_edge_of_the_cuboid_once():
    pose = Pose.random(np.random.default_rng(1), np.array([0.1, 0.2, 2.0]))
    corners = CAMERA.project(pose.apply(CUBE.keypoints))
    edges = np.concatenate(scene.outline(CAMERA, seen(pose)))
    expected = corners[np.array(cuboid.EDGES)]
    assert {tuple(edge.ravel()) for edge in edges} == {tuple(edge.ravel()) for edge in expected}


def test_a_box_partly_behind_the_camera_has_no_outline():
    assert scene.outline(CAMERA, seen(Pose(np.eye(3), np.array([0, 0, 0.04])))) is None


def test_axes_begin_at_the_box_centre_and_are_half_the_shortest_edge_long():
    pose = Pose.random(np.random.default_rng(2), np.array([0, 0, 1.0]))
    begin, end = scene.axes(seen(pose)).transpose(1, 0, 2)
    np.testing.assert_allclose(begin, [scene.centre(seen(pose))] * 3)
    np.testing.assert_allclose(end - begin, 0.05 * pose.rotation.T, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_an_ellipsoid_is_its_covariance_turned_and_scaled(seed):
    root = np.random.default_rng(seed).normal(size=(6, 6))
    covariance = root @ root.T
    half, quaternion = scene.ellipsoid(covariance)
    R = Rotation.from_quat(quaternion).as_matrix()
    np.testing.assert_allclose(R @ np.diag((half / scene.SIGMAS) ** 2) @ R.T, covariance[:3, :3], atol=1e-9)


def test_a_covariance_of_zeros_is_an_ellipsoid_of_no_size():
    half, quaternion = scene.ellipsoid(np.zeros((6, 6)))
    assert not half.any()
    np.testing.assert_allclose(np.linalg.norm(quaternion), 1)


def test_a_track_keeps_its_colour_and_its_neighbours_have_others():
    colors = [np.array(scene.color(f"carton_{n}")) for n in range(5)]
    assert scene.color("carton_3") == tuple(colors[3])
    gaps = [np.abs(a - b).max() for k, a in enumerate(colors) for b in colors[:k]]
    assert min(gaps) > 50


def test_without_tracks_instances_are_named_by_their_rank():
    assert scene.names([seen(), seen(), seen(track="cube_7")]) == ["cube_0", "cube_1", "cube_7"]


def test_a_trail_holds_the_last_seconds_of_what_is_there():
    trails, there, last = scene.Trails(), seen(track="cube_0"), scene.TRAIL + 3
    for time in np.arange(last + 1):
        shown = trails(time, [there, seen()])
    assert shown.keys() == {"cube_0"}
    assert len(shown["cube_0"]) == scene.TRAIL + 1
    assert trails(last + 1, []) == {}
    assert len(trails(last + 1.5, [there])["cube_0"]) == scene.TRAIL
    assert len(trails(last + 60, [there])["cube_0"]) == 1


def test_the_table_has_a_row_for_each_object_with_its_deviations():
    covariance = np.diag([4e-6, 0, 0, 0, 0, np.radians(2) ** 2])
    row = scene.table([seen(track="cube_3", covariance=covariance)]).splitlines()[-1]
    assert row == "| cube_3 | 0.90 | 0.000, 0.000, 1.000 | 2.0 | 2.0 |"
    assert scene.table([]) == "nothing is seen"


def test_figures_are_the_times_of_whatever_stages_there_are():
    values = {"images": "12", "age_ms_p50": "3.5", "peak_search_ms_p95": "7", "odd_ms_p50": "soon", "x_ms_p99": "1"}
    assert scene.figures(values) == {("age", "p50"): 3.5, ("peak_search", "p95"): 7.0}


def test_a_message_says_what_it_is_about():
    assert scene.told("/dope: camera left", "looking at images") == "camera left: looking at images"


@pytest.mark.parametrize(("size", "widest", "expected"), [((1280, 720), 640, (640, 360)), ((101, 75), 640, (100, 74))])
def test_a_shrunk_picture_has_even_sides_and_the_camera_that_belongs_to_it(size, widest, expected):
    camera = CameraModel.from_focal(900.0, *size)
    picture, smaller = scene.shrunk(np.zeros((size[1], size[0], 3), np.uint8), camera, widest)
    assert picture.shape == (expected[1], expected[0], 3)
    point = np.array([0.1, -0.05, 1.0])
    scale = np.divide(expected, size)
    np.testing.assert_allclose(smaller.project(point), (camera.project(point) + 0.5) * scale - 0.5)


def test_a_small_even_picture_is_left_as_it_is():
    picture = np.zeros((48, 64, 3), np.uint8)
    camera = replace(CAMERA, width=64, height=48)
    assert scene.shrunk(picture, camera, 640)[0] is picture
