"""Drawing: what is drawn lies where the pose says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.visualization import overlay

CAMERA = CameraModel.from_focal(600.0, 640, 480)
BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06), color=(255, 0, 0))
NOTHING = np.full((9, 2), np.nan)


def detection(pose: Pose, keypoints: np.ndarray = NOTHING) -> Detection:
    return Detection(BOX, 0.87, pose, np.eye(6), keypoints, 1.0)


def blank(height: int = 480, width: int = 640) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def test_the_faces_are_six_and_wind_clockwise_seen_from_outside():
    corners = cuboid.keypoints((1.0, 2.0, 3.0))
    assert len({frozenset(face) for face in cuboid.CORNERS_OF_FACES}) == 6
    for face in cuboid.CORNERS_OF_FACES:
        a, b, c, _ = corners[list(face)]
        assert np.cross(b - a, c - a) @ corners[list(face)].mean(0) < 0
    np.testing.assert_allclose(corners[list(overlay.MARKED), 2], 1.5)


def test_the_picture_given_is_left_as_it_is():
    image = blank()
    drawn = overlay.draw(image, CAMERA, [detection(Pose.from_rotvec([0.4, 0.2, 0], [0, 0, 0.7]))])
    assert (image == 90).all()
    assert (drawn != 90).any()


def test_nothing_found_draws_nothing():
    np.testing.assert_array_equal(overlay.draw(blank(), CAMERA, []), blank())


def test_edges_pass_through_the_projected_corners():
    pose = Pose.from_rotvec([0.4, 0.5, 0.1], [0.02, 0.03, 0.6])
    drawn = overlay.draw(blank(), CAMERA, [detection(pose)])
    for u, v in CAMERA.project(pose.apply(BOX.keypoints))[:8].round().astype(int):
        assert (drawn[v - 2 : v + 3, u - 2 : u + 3] != 90).any()


def test_a_hidden_edge_is_drawn_thinner_than_a_visible_one():
    pose = Pose.from_rotvec([0.5, 0.5, 0.0], [0, 0, 0.6])
    canvas = blank()
    overlay.draw_cuboid(canvas, CAMERA, BOX, pose)
    corners = pose.apply(BOX.keypoints)[:8]
    far = corners[:, 2].argmax()
    hidden = next(edge for edge in cuboid.EDGES if far in edge)
    near = corners[:, 2].argmin()
    visible = next(edge for edge in cuboid.EDGES if near in edge)

    def painted(edge):
        u, v = CAMERA.project(corners[list(edge)].mean(0)).round().astype(int)
        return (canvas[v - 4 : v + 5, u - 4 : u + 5, 0] > 200).sum()

    assert painted(visible) > 2 * painted(hidden)


def test_found_keypoints_are_drawn_and_missing_ones_are_not():
    keypoints = NOTHING.copy()
    keypoints[3] = 100, 200
    canvas = blank()
    overlay.draw_keypoints(canvas, keypoints, (0, 255, 0))
    assert tuple(canvas[200, 100]) == (0, 255, 0)
    rows, columns = np.nonzero((canvas != 90).any(-1))
    assert np.hypot(rows - 200, columns - 100).max() < 8


@settings(deadline=None, max_examples=60)
@given(
    rotvec=st.tuples(*[st.floats(-3, 3)] * 3),
    place=st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(-0.1, 1e3)),
    size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_no_pose_and_no_picture_size_is_too_odd_to_draw(rotvec, place, size):
    pose = Pose.from_rotvec(np.array(rotvec), np.array(place))
    assert overlay.draw(blank(*size), CameraModel.from_focal(60, size[1], size[0]), [detection(pose)]).dtype == np.uint8


@pytest.mark.parametrize("shift", [(-0.3, 0), (0.3, 0), (0, -0.24), (0, 0.24)])
def test_a_label_stays_in_the_picture(shift):
    drawn = overlay.draw(blank(), CAMERA, [detection(Pose.from_rotvec([0.1, 0.2, 0.3], [*shift, 0.6]))])
    dark = (drawn.astype(int) - 90 // 4 == 0).all(-1)  # the label's box
    assert dark.sum() > 500


def test_labels_of_neighbours_do_not_cover_each_other():
    poses = [Pose.from_rotvec([0.1, 0.2, 0.3], [0.01 * i, 0, 0.6]) for i in range(4)]
    one = (overlay.draw(blank(), CAMERA, [detection(poses[0])]) == 90 // 4).all(-1).sum()
    four = (overlay.draw(blank(), CAMERA, [detection(p) for p in poses]) == 90 // 4).all(-1).sum()
    assert four > 2.5 * one
