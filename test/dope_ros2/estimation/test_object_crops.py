"""The closer look: a window is still a pinhole camera's image, and what is seen in it is the same object."""

from dataclasses import replace

import numpy as np
import pytest

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.object_crops import (
    CROP_FILL,
    MAX_MAGNIFICATION,
    ObjectRegion,
    best_near,
    crop_and_scale,
    in_image,
    pixel_transform,
)
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.objects.detection import Detection
from helpers.fake_network import BOX, CAMERA, SIDE, Seer, ramps

NEAR = Pose.from_rotvec([0.4, -0.8, 1.1], [0.05, -0.03, 0.5])
FAR = Pose.from_rotvec([-0.9, 0.3, 0.2], [-0.3, 0.2, 1.4])
EDGE = Pose.from_rotvec([0.1, 1.2, 0.4], [0.34, 0.1, 0.7])


def around(pixels):
    return ObjectRegion.around("box", pixels)


@pytest.mark.parametrize("pose", [NEAR, FAR, EDGE])
def test_a_window_is_a_pinhole_cameras_picture(pose):
    pixels = CAMERA.project(pose.apply(BOX.keypoints))
    picture, camera = crop_and_scale(ramps(), CAMERA, around(pixels), SIDE)
    assert picture.shape == (SIDE, SIDE, 3)
    seen = camera.project(pose.apply(BOX.keypoints))
    extent = np.ptp(seen, axis=0).max()
    scale = extent / np.ptp(pixels, axis=0).max()
    assert extent == pytest.approx(CROP_FILL * SIDE, rel=1e-6) or scale == pytest.approx(MAX_MAGNIFICATION)
    inside = ((seen > 2) & (seen < SIDE - 3)).all(1) & ((pixels > 2) & (pixels < [637, 477])).all(1)
    assert inside.sum() >= 4
    for at, original in zip(seen[inside], pixels[inside], strict=True):  # the colour is that of the same point
        red, green, _ = picture[tuple(np.rint(at).astype(int)[::-1])].astype(float)
        np.testing.assert_allclose([(red - 40) * 4, (green - 40) * 4], original, atol=5)


def test_a_window_stays_within_the_image_where_it_fits():
    pixels = CAMERA.project(EDGE.apply(BOX.keypoints))
    picture, camera = crop_and_scale(np.full((480, 640, 3), 255, np.uint8), CAMERA, around(pixels), SIDE)
    assert picture.min() > 200  # bilinear at the very border
    assert camera.project(EDGE.apply(BOX.keypoints))[8, 0] > SIDE / 2 + 5  # so the object is beside its middle
    whole, _ = crop_and_scale(np.full((60, 640, 3), 255, np.uint8), replace(CAMERA, height=60), around(pixels), SIDE)
    assert whole.min() < 130  # an image that is too low is continued in grey


def test_detections_come_back_into_the_image():
    pixels = CAMERA.project(NEAR.apply(BOX.keypoints))
    _, camera = crop_and_scale(ramps(), CAMERA, around(pixels), SIDE)
    seen = camera.project(NEAR.apply(BOX.keypoints))
    found = in_image(Detection(BOX, 0.9, NEAR, np.eye(6), seen, 2.0), camera, CAMERA)
    np.testing.assert_allclose(found.keypoints, pixels, atol=1e-9)
    assert found.reprojection_error == pytest.approx(2.0 * CAMERA.K[0, 0] / camera.K[0, 0])


def test_a_region_is_mapped_as_the_object_in_it_is():
    pixels = CAMERA.project(NEAR.apply(BOX.keypoints))
    _, camera = crop_and_scale(ramps(), CAMERA, around(pixels), SIDE)
    mapped = around(pixels).mapped(pixel_transform(CAMERA, camera))
    assert mapped[1:] == pytest.approx(around(camera.project(NEAR.apply(BOX.keypoints)))[1:])
    assert mapped.mapped(pixel_transform(camera, CAMERA))[1:] == pytest.approx(around(pixels)[1:])
    assert mapped.name == "box"


def test_of_several_in_a_window_the_best_of_those_where_it_was_is_taken():
    def detection(x, score=0.9):
        pose = Pose(NEAR.rotation, NEAR.translation + np.array([x, 0, 0]))
        return Detection(BOX, score, pose, np.eye(6), np.zeros((9, 2)), 1.0)

    pixels = CAMERA.project(NEAR.apply(BOX.keypoints))
    _, camera = crop_and_scale(ramps(), CAMERA, around(pixels), SIDE)
    centre = camera.project(NEAR.apply(BOX.keypoints))[8]
    beside, far = detection(0.02), detection(0.15)
    assert best_near(centre, [far, detection(0.02, score=0.2), beside], camera) is beside
    assert best_near(centre, [far], camera) is None
    assert best_near(centre, [], camera) is None


@pytest.mark.parametrize("distance", [0.25, 0.12, 0.1])
def test_the_window_of_a_near_object_is_the_image_and_no_larger(distance):
    pose = Pose.from_rotvec([0.4, -0.8, 1.1], [0.0, 0.0, distance])
    pixels = CAMERA.project(pose.apply(BOX.keypoints))
    _, camera = crop_and_scale(ramps(), CAMERA, around(pixels), SIDE)
    assert camera.K[0, 0] >= CAMERA.K[0, 0] * SIDE / 640 * 0.999


def estimator(network, bias=0.0, **metadata):
    trained = TrainedObject(name="box", size=BOX.size, centre=BOX.centre, distance_bias=bias)
    facts = Metadata(architecture="paper", objects=(trained,), input_height=0, **{"crop": SIDE, **metadata})
    return Estimator.of_network(network, facts, [BOX], "cpu")


def errors(found, poses):
    return sorted(min(d.pose.distance_to(pose) for d in found) for pose in poses)


def test_a_closer_look_makes_poses_exact():
    poses = [NEAR, FAR, EDGE]
    look = estimator(Seer(poses, shift=6.0))
    once = look(ramps(), CAMERA, Settings(closer_look=False))
    twice = look(ramps(), CAMERA)
    assert len(once) == len(twice) == 3
    assert errors(once, poses)[0] > 0.001
    assert errors(twice, poses)[-1] < 0.01  # the window's place is read from 8-bit colours
    assert errors(twice, poses)[1] < errors(once, poses)[1] / 2
    for found in twice:
        truth = min(poses, key=found.pose.distance_to)
        seen = np.isfinite(found.keypoints).all(1)
        expected = CAMERA.project(truth.apply(BOX.keypoints))[seen]
        np.testing.assert_allclose(found.keypoints[seen], expected, atol=1.5)


def test_what_is_not_there_on_a_closer_look_is_not_reported():
    look = estimator(Seer([NEAR, FAR], blind=True))
    assert len(look(ramps(), CAMERA, Settings(closer_look=False))) == 2
    assert look(ramps(), CAMERA) == []


def test_only_wanted_objects_are_looked_for():
    look = estimator(Seer([NEAR]))
    assert len(look(ramps(), CAMERA, Settings(objects=("box",)))) == 1
    assert look(ramps(), CAMERA, Settings(objects=("other",))) == []


def test_weights_that_know_no_crop_look_once():
    look = estimator(Seer([NEAR], blind=True), crop=0)
    assert len(look(ramps(), CAMERA)) == 1


def test_more_objects_than_are_looked_at_at_once():
    poses = [Pose.from_rotvec([0.3, 0.2 * k, 0.1], [x, y, 1.2]) for k, (x, y) in enumerate(
        (0.2 * i - 0.5, 0.17 * j - 0.34) for i in range(6) for j in range(5))]  # fmt: skip
    found = estimator(Seer(poses))(ramps(), CAMERA)
    assert len(found) == 30
    assert errors(found, poses)[-1] < 0.02


def test_following_finds_the_objects_where_they_are_expected_as_exactly_and_nothing_else():
    poses = [NEAR, FAR, EDGE]
    look = estimator(Seer(poses))
    expected = [(BOX, Pose(pose.rotation, pose.translation + np.array([0.004, -0.003, 0.01]))) for pose in (NEAR, FAR)]
    found = look.follow(ramps(), CAMERA, expected)
    assert len(found) == 2
    assert errors(found, [NEAR, FAR])[-1] < 0.01
    assert look.follow(ramps(), CAMERA, []) == []
    assert look.follow(ramps(), CAMERA, expected, Settings(objects=("other",))) == []


def test_distances_are_corrected_once_whichever_way_objects_are_found():
    plain, corrected = (estimator(Seer([NEAR, FAR]), bias=bias) for bias in (0.0, 0.04))
    expected = [(BOX, pose) for pose in (NEAR, FAR)]
    ways = [lambda e: e(ramps(), CAMERA), lambda e: e.follow(ramps(), CAMERA, expected)]
    for found, moved in ((way(plain), way(corrected)) for way in ways):
        middles = [np.array([d.pose.apply(BOX.centre) for d in detections]) for detections in (found, moved)]
        assert len(middles[0]) == 2
        np.testing.assert_allclose(middles[1], middles[0] / 1.04)


def test_following_finds_what_is_new_at_places_that_a_survey_has_shown():
    poses = [NEAR, FAR, EDGE]
    look = estimator(Seer(poses))
    places = look.places(ramps(), CAMERA)
    assert {place.name for place in places} == {"box"}
    assert len(places) == 3
    found = look.follow(ramps(), CAMERA, [(BOX, NEAR)], Settings(), places)
    assert len(found) == 3
    assert errors(found, poses)[-1] < 0.01
    unknown = [place._replace(name="other") for place in places]
    assert len(look.follow(ramps(), CAMERA, [(BOX, NEAR)], Settings(), unknown)) == 1


def test_a_coarse_look_is_at_a_smaller_picture_and_its_places_are_the_images():
    look = estimator(Seer([NEAR]))
    small, camera = look.scaled(ramps(), CAMERA, Settings(), 0.5)
    assert small.shape[:2] == (camera.height, camera.width) == (CAMERA.height // 2, CAMERA.width // 2)
    centre = CAMERA.project(NEAR.apply(np.array(BOX.centre)))
    [fine], [coarse] = (look.places(ramps(), CAMERA, scale=scale) for scale in (1.0, 0.5))
    assert np.hypot(fine.x - centre[0], fine.y - centre[1]) < 4
    assert np.hypot(coarse.x - centre[0], coarse.y - centre[1]) < 4
