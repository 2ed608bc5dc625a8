"""Depth corrects ranges, and where it cannot it does no harm."""

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.bop import read_scene
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel, load_objects
from dope_ros2.refinement.depth_correction import DepthCorrection, DepthNoise, compare, visible

CAMERA = CameraModel.from_focal(300, 240, 180)
CARTON = load_objects()["carton"]
CAN = ObjectModel(name="can", class_id=1, size=(0.07, 0.07, 0.10), centre=(0.0, 0.0, 0.05))  # stands on its origin
FRAMES = Path(os.environ.get("DOPE_DATA", "")) / "real_dev" / "000001"
BACKGROUND = 2.5  # [m]
TURN = Pose.from_rotvec([0.9, 0.5, -0.3], np.zeros(3)).rotation
PLACES = ((0.0, 0.0, 0.6), (0.1, -0.08, 0.8), (-0.15, 0.1, 0.7))


def rays(pose):
    """The camera's centre (3,) and the directions (H, W, 3) of its pixels at z = 1, in the object's frame."""
    pixels = np.stack(np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height)), -1)
    through = CAMERA.unproject(pixels, np.ones(pixels.shape[:2]))
    return pose.inverse().translation, through @ pose.rotation


def hit(near, far, clear):
    return np.where((near <= far) & (near > 0), near, clear)


def slabs(origin, way, low, high):
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(low - origin) / way, (high - origin) / way])
    return ends.min(0).max(-1), ends.max(0).min(-1)


def box_depth(pose, model=CARTON, clear=BACKGROUND):
    """(H, W) depth of a box [m], by the laws of rays and slabs."""
    origin, way = rays(pose)
    low, high = model.keypoints.min(0), model.keypoints.max(0)
    return hit(*slabs(origin, way, low, high), clear).astype(np.float32)


def can_depth(pose, clear=BACKGROUND):
    """(H, W) depth of a cylinder [m], by the laws of rays and cylinders."""
    (x, y, z), way = rays(pose)
    dx, dy, dz = np.moveaxis(way, -1, 0)
    a, b, c = dx**2 + dy**2, x * dx + y * dy, x**2 + y**2 - 0.035**2
    root = b**2 - a * c
    with np.errstate(divide="ignore", invalid="ignore"):
        side = (np.stack([-b - np.sqrt(root), -b + np.sqrt(root)])) / a
        caps = np.sort(np.stack([-z / dz, (0.10 - z) / dz]), axis=0)
    near, far = np.maximum(side[0], caps[0]), np.minimum(side[1], caps[1])
    return np.where(root > 0, hit(near, far, clear), clear).astype(np.float32)


def claimed(place, range_deviation=0.03, turn=0.035):
    """(6, 6) as keypoints give it: unsure along the ray [share of the range], sure across it, rotations apart."""
    ray = np.asarray(place) / np.linalg.norm(place)
    covariance = np.zeros((6, 6))
    along = (range_deviation * np.linalg.norm(place)) ** 2 * np.outer(ray, ray)
    covariance[:3, :3] = along + 0.002**2 * (np.eye(3) - np.outer(ray, ray))
    covariance[3:, 3:] = turn**2 * np.eye(3)
    return covariance


def detected(pose, model=CARTON, **claim):
    return Detection(model, 0.9, pose, claimed(pose.translation, **claim), np.zeros((9, 2)), 0.5)


def too_far(pose, share=0.08):
    """The pose farther away along the ray through the object's origin."""
    return Pose(pose.rotation, (1 + share) * pose.translation)


def away(detection, pose):
    return detection.pose.distance_to(pose)


@pytest.fixture(scope="module")
def correct():
    return DepthCorrection([CARTON])


@pytest.fixture(scope="module")
def can(tmp_path_factory):
    """The can with a mesh of 64 sides."""
    path = tmp_path_factory.mktemp("can") / "can.obj"
    angles = 2 * np.pi * np.arange(64) / 64
    rings = [(0.035 * np.cos(a), 0.035 * np.sin(a), z) for z in (0, 0.1) for a in angles]
    lines = [f"v {x} {y} {z}" for x, y, z in rings]
    lines += [f"f {k + 1}/1 {(k + 1) % 64 + 1}/1 {(k + 1) % 64 + 65}/1 {k + 65}/1" for k in range(64)]
    lines += ["f " + " ".join(str(k) for k in range(64, 0, -1)), "f " + " ".join(str(k) for k in range(-64, 0))]
    path.write_text("\n".join(lines))
    return replace(CAN, mesh=str(path))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("share", [0.08, -0.08])
def test_a_pose_eight_percent_off_comes_back_to_two_millimetres(correct, place, share):
    truth = Pose(TURN, np.array(place))
    found = correct(detected(too_far(truth, share)), box_depth(truth), CAMERA)
    assert away(found, truth) < 0.002
    moves = CAMERA.project(found.pose.apply(CARTON.centre)) - CAMERA.project(truth.apply(CARTON.centre))
    assert np.linalg.norm(moves) < 0.5


def test_an_object_that_does_not_fill_its_box_comes_back_by_its_mesh(can):
    correct, plain = DepthCorrection([can]), DepthCorrection()
    assert correct.shape(can).why == ""
    for place in PLACES:
        truth = Pose(TURN, np.array(place))
        wrong = detected(too_far(truth), can)
        assert away(correct(wrong, can_depth(truth), CAMERA), truth) < 0.002
        by_its_box = plain(replace(wrong, model=CAN), can_depth(truth), CAMERA)
        assert away(by_its_box, truth) < 0.4 * away(wrong, truth)
        assert by_its_box.covariance[2, 2] > 2 * correct(wrong, can_depth(truth), CAMERA).covariance[2, 2]


def test_expected_depth_changes_with_the_pose_as_its_derivative_says(correct):
    shape, pose = correct.shape(CARTON), Pose(TURN, np.array(PLACES[1]))
    points, depth, step = visible(shape, pose, CAMERA), np.ones((180, 240), np.float32), 1e-5
    seen = compare(shape, points, pose, depth, CAMERA)
    for k in range(6):
        after = compare(shape, points, pose.plus(step * np.eye(6)[k]), depth, CAMERA)
        same = seen.pixels == after.pixels
        assert same.mean() > 0.98
        change = (seen.excess - after.excess)[same] / step
        np.testing.assert_allclose(change, seen.rows[same, k], atol=0.02)


def test_noise_and_missing_pixels_do_no_harm(correct):
    rng, truth = np.random.default_rng(0), Pose(TURN, np.array(PLACES[1]))
    depth = box_depth(truth)
    depth += rng.normal(0, 0.005, depth.shape).astype(np.float32)
    assert away(correct(detected(too_far(truth, 0.05)), depth, CAMERA), truth) < 0.003
    for gone in (0.0, np.nan, np.inf, -1.0):
        holes = np.where(rng.random(depth.shape) < 0.6, np.float32(gone), depth)
        assert away(correct(detected(too_far(truth, 0.05)), holes, CAMERA), truth) < 0.004


@pytest.mark.parametrize("distance", [0.4, 0.15, 0.06, 0.03])
def test_what_covers_half_of_the_object_does_no_harm(correct, distance):
    truth = Pose(TURN, np.array(PLACES[0]))
    wrong = detected(too_far(truth, 0.05))
    for side in (np.s_[:, :120], np.s_[:, 120:], np.s_[:90], np.s_[90:]):
        depth = box_depth(truth)
        depth[side] = depth.min() - distance
        found = correct(wrong, depth, CAMERA)
        assert found is wrong or away(found, truth) < 0.004
        if distance == 0.4:
            assert found is not wrong


@pytest.mark.parametrize("columns", [100, 115, 130, 145])
def test_something_in_front_of_the_same_shape_leaves_the_pose_or_does_not_matter(correct, columns):
    truth = Pose(TURN, np.array(PLACES[0]))
    for share in (-0.05, 0.0, 0.05):
        depth, detection = box_depth(truth), detected(too_far(truth, share))
        depth[:, :columns] -= 0.06
        found = correct(detection, depth, CAMERA)
        assert found is detection or away(found, truth) < 0.004


@pytest.mark.parametrize("value", [0.0, np.nan, BACKGROUND, 0.1])
def test_depth_without_the_object_changes_nothing(correct, value):
    detection = detected(Pose(TURN, np.array(PLACES[0])))
    assert correct(detection, np.full((180, 240), value, np.float32), CAMERA) is detection


def test_a_pose_that_contradicts_depth_is_left_as_it_was(correct):
    truth = Pose(TURN, np.array(PLACES[0]))
    sure, unsure = (detected(too_far(truth, 0.2), range_deviation=share) for share in (0.02, 0.06))
    assert correct(sure, box_depth(truth), CAMERA) is sure
    assert away(correct(unsure, box_depth(truth), CAMERA), truth) < 0.005
    hopeless = detected(too_far(truth, 0.5), range_deviation=1.0)
    assert correct(hopeless, box_depth(truth), CAMERA) is hopeless


def test_too_small_or_outside_the_image_or_behind_the_camera_is_left_as_it_was(correct):
    for place in ((0.0, 0.0, 8.0), (3.0, 0.0, 0.8), (0.0, 0.0, -0.6), (0.0, 0.0, 0.0)):
        truth = Pose(TURN, np.array(place))
        detection = Detection(CARTON, 0.9, truth, 0.01 * np.eye(6), np.zeros((9, 2)), 0.5)
        assert correct(detection, box_depth(Pose(TURN, np.array(PLACES[0]))), CAMERA) is detection


@pytest.mark.parametrize("covariance", [np.nan, np.inf, 0.0])
def test_a_covariance_that_says_nothing_leaves_the_pose(correct, covariance):
    truth = Pose(TURN, np.array(PLACES[0]))
    wrong = replace(detected(too_far(truth, 0.01)), covariance=np.full((6, 6), covariance))
    found = correct(wrong, box_depth(truth), CAMERA)
    assert away(found, wrong.pose) == 0


def test_whatever_depth_and_pose_are_nothing_worse_than_the_old_pose_comes_out(correct):
    rng = np.random.default_rng(2)
    for _ in range(200):
        pose = Pose.random(rng, rng.normal(0, 1, 3) * 10 ** rng.uniform(-2, 1))
        A = rng.normal(size=(6, 6)) * 10 ** rng.uniform(-3, 1)
        depth = np.float32(10) ** rng.uniform(-3, 2) * np.abs(rng.normal(1, rng.choice([0.01, 1]), (180, 240)))
        detection = replace(detected(pose), covariance=A @ A.T)
        found = correct(detection, depth.astype(np.float32), CAMERA, rng.choice([0.0, 0.05]))
        assert found.pose.apply(CARTON.centre)[2] > 0 or found is detection
        assert np.isfinite(found.pose.matrix).all()
        assert (found.covariance == found.covariance.T).all() or found is detection


def test_a_depth_image_of_half_the_size_serves_as_well(correct):
    truth = Pose(TURN, np.array(PLACES[1]))
    half = box_depth(truth).reshape(90, 2, 120, 2).mean((1, 3))
    assert away(correct(detected(too_far(truth)), half, CAMERA.resized(120, 90)), truth) < 0.003


def test_depth_of_another_moment_is_trusted_less(correct):
    truth = Pose(TURN, np.array(PLACES[0]))
    now, later = (correct(detected(too_far(truth)), box_depth(truth), CAMERA, apart) for apart in (0.0, 0.05))
    assert later.covariance[2, 2] > 3 * now.covariance[2, 2]
    assert away(now, truth) < away(later, truth)


def test_the_covariance_shrinks_along_the_ray_only_and_stays_one(correct):
    for place in PLACES:
        truth = Pose(TURN, np.array(place))
        before = detected(truth)
        after = correct(before, box_depth(truth), CAMERA).covariance
        ray = truth.translation / np.linalg.norm(truth.translation)
        across = np.linalg.svd(ray[None])[2][1:]
        assert ray @ after[:3, :3] @ ray < 0.1 * (ray @ before.covariance[:3, :3] @ ray)
        for way in across:
            assert 0.9 < (way @ after[:3, :3] @ way) / (way @ before.covariance[:3, :3] @ way) <= 1.001
        assert (np.diag(after)[3:] > 0.9 * np.diag(before.covariance)[3:]).all()
        np.testing.assert_array_equal(after, after.T)
        assert np.linalg.eigvalsh(after).min() > 0
        less = np.linalg.eigvalsh(before.covariance - after)
        assert (less[:-1] > -1e-9).all()  # one number was measured: nothing grows, one direction shrinks
        assert np.abs(less[:-1]).max() < 0.01 * less[-1]


def test_errors_are_as_large_as_the_covariance_says(correct):
    rng, squares = np.random.default_rng(1), []
    for _ in range(200):
        truth = Pose.random(rng, rng.uniform([-0.15, -0.1, 0.5], [0.15, 0.1, 0.9]))
        prior = claimed(truth.translation)
        pose = truth.plus(rng.multivariate_normal(np.zeros(6), prior))
        off = rng.normal(0, DepthNoise().deviation(truth.translation[2], 0.0))
        depth = box_depth(truth) + np.float32(off) + rng.normal(0, 0.002, (180, 240)).astype(np.float32)
        found = correct(replace(detected(pose), covariance=prior), depth, CAMERA)
        error = truth.minus(found.pose)
        squares.append(error @ np.linalg.solve(found.covariance, error))
    assert 5.0 < np.mean(squares) < 7.0  # six degrees of freedom
    assert np.percentile(squares, 95) < 16.0  # 12.6 of a normal distribution


@pytest.mark.data
@pytest.mark.skipif(not (os.environ.get("DOPE_DATA") and FRAMES.is_dir()), reason="needs $DOPE_DATA and $DOPE_MODELS")
@pytest.mark.parametrize("share", [-0.06, 0.06])
def test_in_real_depth_images_poses_six_percent_off_come_back_to_one(share):
    by_id, correct = {model.class_id: model for model in load_objects().values()}, DepthCorrection()
    for frame in read_scene(FRAMES):
        path = frame.path.parents[1] / "depth" / frame.path.name
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) * np.float32(frame.depth_scale)
        camera = frame.camera(depth.shape[1], depth.shape[0])
        for truth in (truth for truth in frame.truth if truth.obj_id in by_id):
            found = correct(detected(too_far(truth.pose, share), by_id[truth.obj_id]), depth, camera)
            assert away(found, truth.pose) < 0.01 * truth.pose.translation[2]
