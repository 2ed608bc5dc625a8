import numpy as np
import pytest
import torch

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.pose_search import suppress
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.belief_maps import MapSpec
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from helpers.target_maps import encode

BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06), centre=(0.01, 0.0, -0.02))
CAMERA = CameraModel.from_focal(600, 640, 480)
TRUTH = Pose.from_rotvec([0.4, -0.8, 1.1], [0.05, -0.03, 0.7])


class Drawn(torch.nn.Module):
    """A network that always sees the same objects: fixed maps for any image of the size they were drawn for."""

    def __init__(self, camera, poses, height=1.0):
        super().__init__()
        keypoints = np.array([camera.project(pose.apply(BOX.keypoints)) for pose in poses]).reshape(-1, 9, 2)
        maps = encode(keypoints, (camera.width, camera.height), MapSpec())
        self.maps = tuple(torch.from_numpy(m)[None, None] for m in (height * maps[0], maps[1]))

    def forward(self, image):
        return self.maps


def estimator(camera, poses, height=1.0, **metadata):
    entry = TrainedObject(name="box", size=BOX.size, centre=BOX.centre)
    facts = Metadata(architecture="dope-lite", objects=(entry,), **metadata)
    return Estimator.of_network(Drawn(camera, poses, height), facts, [BOX], "cpu")


def picture(camera):
    return np.zeros((camera.height, camera.width, 3), np.uint8)


def test_perfect_maps_give_the_pose_of_the_mesh_not_of_the_box():
    [found] = estimator(CAMERA, [TRUTH])(picture(CAMERA), CAMERA)
    assert found.pose.distance_to(TRUTH) < 1e-4
    assert np.rad2deg(found.pose.angle_to(TRUTH)) < 0.01
    np.testing.assert_allclose(found.keypoints, CAMERA.project(TRUTH.apply(BOX.keypoints)), atol=0.05)
    assert found.score == pytest.approx(1, abs=0.01)


def test_the_image_is_scaled_to_the_height_the_weights_want_and_the_pose_is_the_same():
    small = CAMERA.resized(320, 240)
    [found] = estimator(small, [TRUTH], input_height=240)(picture(CAMERA), CAMERA)
    assert found.pose.distance_to(TRUTH) < 1e-4
    np.testing.assert_allclose(found.keypoints, CAMERA.project(TRUTH.apply(BOX.keypoints)), atol=0.1)


def test_two_instances_are_told_apart():
    other = Pose.from_rotvec([1.0, 0.2, -0.5], [-0.12, 0.08, 0.9])
    found = estimator(CAMERA, [TRUTH, other])(picture(CAMERA), CAMERA)
    assert sorted(round(d.pose.translation[2], 3) for d in found) == [0.7, 0.9]


def test_empty_maps_give_no_detection():
    assert estimator(CAMERA, [])(picture(CAMERA), CAMERA) == []


def test_a_higher_min_score_reports_less():
    unsure = estimator(CAMERA, [TRUTH], height=0.5)
    assert len(unsure(picture(CAMERA), CAMERA, Settings(min_score=0.8))) == 1
    assert unsure(picture(CAMERA), CAMERA, Settings(min_score=0.95)) == []


def test_an_imported_profile_moves_keypoints_by_its_pixel_offset():
    [found] = estimator(CAMERA, [TRUTH], origin=0.0)(picture(CAMERA), CAMERA)
    expected = CAMERA.project(TRUTH.apply(BOX.keypoints)) - 3.5
    np.testing.assert_allclose(found.keypoints, expected, atol=0.05)


@pytest.mark.parametrize("shape", [(3, 5), (100, 101), (479, 641)])
def test_any_image_size_is_accepted(shape):
    torch.manual_seed(0)
    from dope_ros2.network.dope_lite import DopeLite

    entry = TrainedObject(name="box", size=BOX.size, centre=BOX.centre)
    metadata = Metadata(architecture="dope-lite", objects=(entry,), input_height=0)
    maps = Estimator.of_network(DopeLite(1), metadata, [BOX], "cpu").maps([np.zeros((*shape, 3), np.uint8)] * 2)
    assert maps[1].belief.shape[-2:] == (-(-shape[0] // 8), -(-shape[1] // 8))


def test_of_two_detections_of_one_thing_the_better_stays():
    def detection(score, x):
        pose = Pose(TRUTH.rotation, TRUTH.translation + np.array([x, 0, 0]))
        return Detection(BOX, score, pose, np.eye(6), np.zeros((9, 2)), 1.0)

    kept = suppress([detection(0.5, 0.0), detection(0.9, 0.004), detection(0.4, 0.2)], CAMERA)
    assert [d.score for d in kept] == [0.9, 0.4]
