import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose, transport_covariance

settings.register_profile("laws", deadline=None, max_examples=50)
laws = settings(settings.get_profile("laws"))

CAMERA = CameraModel(np.array([[600.0, 0, 310.2], [0, 610, 244.7], [0, 0, 1]]), 640, 480)
vectors = arrays(float, 3, elements=st.floats(-3, 3))
poses = st.builds(Pose.from_rotvec, vectors, vectors)
points = arrays(float, (8, 3), elements=st.floats(-2, 2)).map(lambda p: p + np.array([0, 0, 3]))  # z in [1, 5] m
sides = st.integers(16, 2000)
motions = arrays(float, 6, elements=st.floats(-1.5, 1.5))  # [m, rad]; turns of less than pi


def assert_same(one, other):
    np.testing.assert_allclose(one.matrix, other.matrix, atol=1e-9)


@laws
@given(poses)
def test_the_identity_changes_nothing_from_either_side(T):
    assert_same(T @ Pose.identity(), T)
    assert_same(Pose.identity() @ T, T)


@laws
@given(poses)
def test_the_inverse_undoes_a_pose_from_either_side(T):
    assert_same(T @ T.inverse(), Pose.identity())
    assert_same(T.inverse() @ T, Pose.identity())


@laws
@given(poses, poses, poses)
def test_composition_is_associative(T_a_b, T_b_c, T_c_d):
    assert_same((T_a_b @ T_b_c) @ T_c_d, T_a_b @ (T_b_c @ T_c_d))


@laws
@given(poses, poses, points)
def test_applying_a_composition_is_applying_one_after_the_other(T_a_b, T_b_c, p):
    np.testing.assert_allclose((T_a_b @ T_b_c).apply(p), T_a_b.apply(T_b_c.apply(p)), atol=1e-9)


@laws
@given(poses, points)
def test_a_pose_keeps_distances_and_handedness(T, p):
    moved = T.apply(p)
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(moved, axis=0), axis=1), np.linalg.norm(np.diff(p, axis=0), axis=1), atol=1e-9
    )
    assert np.linalg.det(T.rotation) == pytest.approx(1)


@laws
@given(poses)
def test_matrix_and_quaternion_both_rebuild_the_pose(T):
    assert_same(Pose.from_matrix(T.matrix), T)
    assert_same(Pose.from_quaternion(T.quaternion, T.translation), T)
    assert T.quaternion[3] >= 0


@laws
@given(poses, poses, poses)
def test_angle_and_distance_are_symmetric_and_do_not_depend_on_the_frame_they_are_seen_from(T, one, other):
    assert one.angle_to(other) == pytest.approx(other.angle_to(one), abs=1e-6)
    assert (T @ one).angle_to(T @ other) == pytest.approx(one.angle_to(other), abs=1e-6)
    assert (T @ one).distance_to(T @ other) == pytest.approx(one.distance_to(other), abs=1e-9)


@laws
@given(poses, poses)
def test_what_a_pose_is_minus_another_takes_the_other_to_it(T, other):
    assert_same(other.plus(T.minus(other)), T)


@laws
@given(poses, motions)
def test_a_pose_plus_a_motion_is_that_motion_away(T, motion):
    np.testing.assert_allclose(T.plus(motion).minus(T), motion, atol=1e-9)


@laws
@given(poses)
def test_no_motion_is_zero(T):
    np.testing.assert_allclose(T.minus(T), np.zeros(6), atol=1e-7)
    assert_same(T.plus(np.zeros(6)), T)


def test_a_motion_shifts_the_origin_and_turns_the_object_about_it_both_along_the_cameras_axes():
    T_camera_object = Pose.from_rotvec([0.0, 0.0, np.pi / 2], [1.0, 2.0, 3.0])  # the object's x is the camera's y
    turned = T_camera_object.plus(np.array([0.1, 0.2, 0.3, np.pi / 2, 0, 0]))
    np.testing.assert_allclose(turned.translation, [1.1, 2.2, 3.3])
    np.testing.assert_allclose(turned.apply([1.0, 0, 0]) - turned.translation, [0, 0, 1], atol=1e-12)  # y turns to z


@laws
@given(poses, motions, vectors)
def test_covariances_are_transported_as_small_motions_move_an_arm(T, motion, arm):
    end = Pose(T.rotation, T.translation + arm)  # a frame that is fixed to the object, `arm` away in the camera's axes
    small = T.plus(1e-7 * motion) @ T.inverse()
    error = (small @ end).minus(end) / 1e-7
    expected = np.outer(error, error)
    np.testing.assert_allclose(transport_covariance(np.outer(motion, motion), arm), expected, atol=1e-4)


@laws
@given(points)
def test_unproject_inverts_project(p):
    np.testing.assert_allclose(CAMERA.unproject(CAMERA.project(p), p[:, 2]), p, atol=1e-9)


@laws
@given(points, st.floats(0.1, 10))
def test_points_on_one_ray_share_a_pixel(p, factor):
    np.testing.assert_allclose(CAMERA.project(p * factor), CAMERA.project(p), atol=1e-6)


def test_a_point_on_the_optical_axis_lands_on_the_principal_point():
    np.testing.assert_allclose(CAMERA.project(np.array([[0, 0, 1.5]])), [[310.2, 244.7]])


def test_x_points_right_and_y_points_down():
    u, v = CAMERA.project(np.array([0.1, 0.2, 1.0]))
    assert (u, v) == pytest.approx((310.2 + 60, 244.7 + 122))


def test_a_point_behind_the_camera_is_refused():
    with pytest.raises(ValueError, match="1 of 2 points"):
        CAMERA.project(np.array([[0, 0, 1], [0, 0, -1.0]]))


@laws
@given(points, sides, sides)
def test_resizing_moves_pixels_by_the_rule_of_integer_centres(p, width, height):
    scale = np.array([width / 640, height / 480])
    expected = scale * (CAMERA.project(p) + 0.5) - 0.5
    np.testing.assert_allclose(CAMERA.resized(width, height).project(p), expected, atol=1e-6)


@laws
@given(sides, sides)
def test_resizing_back_gives_the_same_camera(width, height):
    np.testing.assert_allclose(CAMERA.resized(width, height).resized(640, 480).K, CAMERA.K, atol=1e-9)


@laws
@given(points, st.integers(0, 500), st.integers(0, 400))
def test_cropping_moves_pixels_by_the_corner_of_the_window(p, left, top):
    cropped = CAMERA.cropped(left, top, 100, 80)
    np.testing.assert_allclose(cropped.project(p), CAMERA.project(p) - [left, top], atol=1e-9)
    assert (cropped.width, cropped.height) == (100, 80)


@pytest.mark.parametrize(("size", "how"), [((320, 240), cv2.INTER_AREA), ((1280, 960), cv2.INTER_LINEAR)])
def test_a_blob_moves_in_a_resized_picture_as_its_point_does_in_the_resized_camera(size, how):
    point = CAMERA.unproject(np.array([201.3, 155.8]), 1.0)
    resized = cv2.resize(blob(CAMERA.project(point), 640, 480), size, interpolation=how)
    np.testing.assert_allclose(centroid(resized), CAMERA.resized(*size).project(point), atol=0.01)


def blob(centre, width, height):
    ys, xs = np.mgrid[:height, :width]
    return np.exp(-((xs - centre[0]) ** 2 + (ys - centre[1]) ** 2) / (2 * 6.0**2))


def centroid(image):
    ys, xs = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(image * xs).sum(), (image * ys).sum()]) / image.sum()
