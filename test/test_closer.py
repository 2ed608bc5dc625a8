"""The closer look: a window is still a pinhole camera's picture, and what is seen in it is the same object."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dope_ros2.camera import CameraModel
from dope_ros2.closer import EXTENT, LARGEST, in_image, same, view
from dope_ros2.detection import Detection
from dope_ros2.estimator import Estimator, Settings
from dope_ros2.geometry import Pose
from dope_ros2.maps import MapSpec, encode
from dope_ros2.objects import ObjectModel
from dope_ros2.weights import IMAGENET_MEAN, IMAGENET_STD, Metadata, TrainedObject

BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06), centre=(0.01, 0.0, -0.02))
CAMERA = CameraModel.from_focal(600, 640, 480)
SIDE = 160
NEAR = Pose.from_rotvec([0.4, -0.8, 1.1], [0.05, -0.03, 0.5])
FAR = Pose.from_rotvec([-0.9, 0.3, 0.2], [-0.3, 0.2, 1.4])
EDGE = Pose.from_rotvec([0.1, 1.2, 0.4], [0.34, 0.1, 0.7])


def ramps():
    """A picture whose red grows to the right and whose green grows downward, so that any window tells where it is."""
    x, y = np.meshgrid(np.arange(640), np.arange(480))
    return np.stack([40 + x / 4, 40 + y / 4, np.full_like(x, 90.0)], -1).round().astype(np.uint8)


@pytest.mark.parametrize("pose", [NEAR, FAR, EDGE])
def test_a_window_is_a_pinhole_cameras_picture(pose):
    pixels = CAMERA.project(pose.apply(BOX.keypoints))
    picture, camera = view(ramps(), CAMERA, pixels, SIDE)
    assert picture.shape == (SIDE, SIDE, 3)
    seen = camera.project(pose.apply(BOX.keypoints))
    extent = np.ptp(seen, axis=0).max()
    scale = extent / np.ptp(pixels, axis=0).max()
    assert extent == pytest.approx(EXTENT * SIDE, rel=1e-6) or scale == pytest.approx(LARGEST)
    inside = ((seen > 2) & (seen < SIDE - 3)).all(1) & ((pixels > 2) & (pixels < [637, 477])).all(1)
    assert inside.sum() >= 4
    for at, original in zip(seen[inside], pixels[inside], strict=True):  # the colour is that of the same point
        red, green, _ = picture[tuple(np.rint(at).astype(int)[::-1])].astype(float)
        np.testing.assert_allclose([(red - 40) * 4, (green - 40) * 4], original, atol=5)


def test_a_window_stays_within_the_image_where_it_fits():
    pixels = CAMERA.project(EDGE.apply(BOX.keypoints))
    picture, camera = view(np.full((480, 640, 3), 255, np.uint8), CAMERA, pixels, SIDE)
    assert picture.min() > 200  # bilinear at the very border
    assert camera.project(EDGE.apply(BOX.keypoints))[8, 0] > SIDE / 2 + 5  # so the object is beside its middle
    whole, _ = view(np.full((60, 640, 3), 255, np.uint8), replace(CAMERA, height=60), pixels, SIDE)
    assert whole.min() < 130  # an image that is too low is continued in grey


def test_detections_come_back_into_the_image():
    pixels = CAMERA.project(NEAR.apply(BOX.keypoints))
    _, camera = view(ramps(), CAMERA, pixels, SIDE)
    seen = camera.project(NEAR.apply(BOX.keypoints))
    found = in_image(Detection(BOX, 0.9, NEAR, np.eye(6), seen, 2.0), camera, CAMERA)
    np.testing.assert_allclose(found.keypoints, pixels, atol=1e-9)
    assert found.reprojection_error == pytest.approx(2.0 * CAMERA.K[0, 0] / camera.K[0, 0])


def test_of_several_in_a_window_the_one_that_was_looked_for_is_taken():
    def detection(x):
        return Detection(
            BOX, 0.9, Pose(NEAR.rotation, NEAR.translation + np.array([x, 0, 0])), np.eye(6), np.zeros((9, 2)), 1.0
        )

    _, camera = view(ramps(), CAMERA, CAMERA.project(NEAR.apply(BOX.keypoints)), SIDE)
    first, beside, far = detection(0.0), detection(0.02), detection(0.15)
    assert same(first, [far, beside], camera) is beside
    assert same(first, [far], camera) is None
    assert same(first, [], camera) is None


class Seer(torch.nn.Module):
    """Draws the maps of given poses for whatever part of `ramps` it is shown, the first time not exactly."""

    def __init__(self, poses, shift=0.0, blind=False):
        super().__init__()
        self.poses, self.shift, self.blind = poses, shift, blind

    def forward(self, images):
        belief, affinity = zip(*map(self.one, images), strict=True)
        return torch.stack(belief), torch.stack(affinity)

    def one(self, image):
        rgb = image.permute(1, 2, 0).numpy() * IMAGENET_STD + IMAGENET_MEAN
        x, y = (rgb[..., :2] * 255 - 40).transpose(2, 0, 1) * 4
        side, closer = rgb.shape[1], rgb.shape[1] == SIDE
        known = (y > 5) & (y < 470) & (x > 5) & (x < 630)
        columns, rows = np.meshgrid(np.arange(side), np.arange(rgb.shape[0]))
        scale, left = np.polyfit(x[known], columns[known], 1)
        _, top = np.polyfit(y[known], rows[known], 1)
        keypoints = [CAMERA.project(pose.apply(BOX.keypoints)) * scale + [left, top] for pose in self.poses]
        keypoints = np.array(keypoints) + (0 if closer else self.shift)
        maps = encode(keypoints, rgb.shape[1::-1], MapSpec())
        gone = 0.0 if closer and self.blind else 1.0
        return tuple(torch.from_numpy(gone * m)[None].float() for m in maps)


def estimator(network, **metadata):
    trained = TrainedObject(name="box", size=BOX.size, centre=BOX.centre)
    facts = Metadata(architecture="paper", objects=(trained,), input_height=0, **{"crop": SIDE, **metadata})
    return Estimator(network, facts, [BOX], "cpu")


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


def test_weights_that_know_no_crop_look_once():
    look = estimator(Seer([NEAR], blind=True), crop=0)
    assert len(look(ramps(), CAMERA)) == 1


def test_more_objects_than_are_looked_at_at_once():
    poses = [Pose.from_rotvec([0.3, 0.2 * k, 0.1], [x, y, 1.2]) for k, (x, y) in enumerate(
        (0.2 * i - 0.5, 0.17 * j - 0.34) for i in range(6) for j in range(5))]  # fmt: skip
    found = estimator(Seer(poses))(ramps(), CAMERA)
    assert len(found) == 30
    assert errors(found, poses)[-1] < 0.02
