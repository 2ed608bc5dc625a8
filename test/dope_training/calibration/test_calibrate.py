"""`dope calibrate`: what it measures, on errors and on networks whose faults are known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dope_datagen.dataset import store
from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Sample
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.architectures import make_network
from dope_ros2.network.belief_maps import MapSpec
from dope_ros2.network.calibration import ScoreModel
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import load, read_appearances, save, write_appearances
from dope_ros2.objects.object_model import load_objects
from dope_training.calibration import calibrate as tested
from dope_training.calibration.calibrate import calibrate, corner_errors, fit
from dope_training.commands.calibrate import main
from helpers import fake_network
from helpers.target_maps import encode

CARTON = load_objects()["carton"]
CAMERA = CameraModel.from_focal(150, 160, 120)
TRAINED = TrainedObject(name="carton", size=CARTON.size, centre=CARTON.centre)


def errors(inward, sure, unsure, count=4000, astray=0.2):
    """Errors as `corner_errors` gives them, of a network with these faults; some corners belong elsewhere."""
    rng = np.random.default_rng(0)
    heights = rng.uniform(0.3, 1, count)
    error = rng.normal(size=(count, 2)) * (sure + unsure * (1 - heights))[:, None]
    error[:, 0] -= inward * (1 - heights)
    wrong = rng.random(count) < astray
    error[wrong] += 5
    return np.column_stack([heights, np.linalg.norm(error, axis=1), error[:, 0]])


@pytest.mark.parametrize("inward", [0.0, 0.4, 0.8])
def test_the_faults_of_a_network_are_measured_although_some_corners_belong_elsewhere(inward):
    found = fit(errors(inward, 0.15, 0.3))
    assert found.shrinkage == pytest.approx(inward, abs=0.05)
    assert found.sigma_sure == pytest.approx(0.15, abs=0.04)
    assert 0.25 < found.sigma_slope < 0.4 + inward


def test_nothing_is_said_from_a_few_corners():
    assert fit(errors(0.5, 0.2, 0.5, count=tested.MIN_CORNERS // 2)) is None
    assert fit(np.zeros((0, 3))) is None


class Shy(torch.nn.Module):
    """Draws the maps of one carton at half height, with its corners too near the middle."""

    def __init__(self, pose, shrink):
        super().__init__()
        keypoints = CAMERA.project(pose.apply(CARTON.keypoints))
        keypoints[:8] = keypoints[8] + (1 - shrink) * (keypoints[:8] - keypoints[8])
        belief, affinity = encode(keypoints[None], (160, 128), MapSpec())
        self.maps = torch.from_numpy(0.5 * belief)[None, None], torch.from_numpy(affinity)[None, None]

    def forward(self, image):
        return self.maps


def sample(pose, visibility=1.0):
    keypoints = CAMERA.project(pose.apply(CARTON.keypoints))
    label = Label("carton", CARTON.class_id, pose, keypoints, visibility, 0.0, (50, 40, 60, 40), 2400, 2400)
    return Sample(np.zeros((120, 160, 3), np.uint8), CAMERA, [label], np.zeros((120, 160), np.uint8))


@pytest.mark.parametrize("shrink", [0.0, 0.1])
def test_corners_drawn_too_near_the_middle_are_seen_to_be(shrink):
    pose = Pose.from_rotvec([0.4, -0.8, 1.1], [0, 0, 0.4])
    metadata = Metadata(architecture="dope-lite", objects=(TRAINED,), input_height=0)
    found = corner_errors(Estimator.of_network(Shy(pose, shrink), metadata, [CARTON], "cpu"), sample(pose))
    keypoints = CAMERA.project(pose.apply(CARTON.keypoints))
    arms = np.linalg.norm(keypoints[:8] - keypoints[8], axis=1) / 8
    assert len(found) == 8
    np.testing.assert_allclose(found[:, 0], 0.5, atol=0.02)
    np.testing.assert_allclose(found[:, 2], -shrink * arms, atol=0.02)
    np.testing.assert_allclose(found[:, 1], shrink * arms, atol=0.02)


def test_corners_of_hidden_objects_do_not_count():
    pose = Pose.from_rotvec([0.4, -0.8, 1.1], [0, 0, 0.4])
    metadata = Metadata(architecture="dope-lite", objects=(TRAINED,), input_height=0)
    estimator = Estimator.of_network(Shy(pose, 0.1), metadata, [CARTON], "cpu")
    assert len(corner_errors(estimator, sample(pose, visibility=0.5))) == 0


@pytest.fixture
def files(tmp_path):
    """A store of two images, of so many cartons that they could be measured on, and weights that find none of them."""
    data, weights = tmp_path / "store", tmp_path / "w.safetensors"
    store.create(data, 2, 0, {"width": 160, "height": 120, "depth": False}, [CARTON])
    one = sample(Pose.from_rotvec([0, 0, 0], [0, 0, 0.5]))
    store.write_shard(data, 0, [replace(one, objects=one.objects * (tested.MIN_CORNERS // 8))] * 2, 95)
    save(
        weights, make_network("dope-lite", 1), Metadata(architecture="dope-lite", objects=(TRAINED,), input_height=120)
    )
    return data, weights


def test_the_calibration_is_written_into_the_weights_and_nothing_else_changes(files, monkeypatch):
    data, weights = files
    write_appearances(weights, {"carton": {"points": np.arange(6, dtype=np.uint16)}})
    network, metadata = load(weights)
    monkeypatch.setattr(tested, "corner_errors", lambda *_: errors(0.5, 0.2, 0.4))
    found, trusted = calibrate(weights, [data], 0.5, load_objects(), "cpu")
    after, said = load(weights)
    assert said == found
    assert not trusted  # no pose was found
    assert replace(said, calibration=metadata.calibration) == metadata
    assert said.calibration.shrinkage == pytest.approx(0.45, abs=0.05)
    for key, value in network.state_dict().items():
        torch.testing.assert_close(after.state_dict()[key], value, rtol=0, atol=0)
    np.testing.assert_array_equal(read_appearances(weights)["carton"]["points"], range(6))


def test_images_that_show_too_few_corners_start_no_engine(files, tmp_path, capsys):
    _, weights = files
    few = tmp_path / "few"
    store.create(few, 2, 0, {"width": 160, "height": 120, "depth": False}, [CARTON])
    store.write_shard(few, 0, [sample(Pose.from_rotvec([0, 0, 0], [0, 0, 0.5]))] * 2, 95)
    assert calibrate(weights, [few], 0.5, {}, "none such") is None
    assert main(["--weights", str(weights), "--data", str(few)]) == 2
    assert f"finds fewer than {tested.MIN_CORNERS} corners in these images" in capsys.readouterr().err


def test_scores_and_ellipsoids_stay_when_there_is_too_little_to_measure_them(files, monkeypatch, capsys):
    data, weights = files
    monkeypatch.setattr(tested, "corner_errors", lambda *_: errors(0.5, 0.2, 0.4))
    for measured in (ScoreModel(bias=1.0, sigma_scale=1.7), None):
        monkeypatch.setattr(
            tested.pose_confidence,
            "fit",
            lambda _, kind=ScoreModel, measured=measured: measured if kind is ScoreModel else None,
        )
        assert main(["--weights", str(weights), "--data", str(data)]) == 0
        assert load(weights)[1].score_model == ScoreModel(bias=1.0, sigma_scale=1.7)
    assert "1.7 times" in (told := capsys.readouterr().out)
    assert "stay as they were" in told


def test_distances_are_measured_anew_and_kept_where_there_is_too_little_to_measure(files, monkeypatch, capsys):
    data, weights = files
    monkeypatch.setattr(tested, "corner_errors", lambda *_: errors(0.5, 0.2, 0.4))
    given, compare = [], tested.pose_confidence.compare

    def compare_and_note(estimator, sample, **asked):
        if not asked:
            given.append(estimator.metadata.objects[0])
        return compare(estimator, sample, **asked)

    monkeypatch.setattr(tested.pose_confidence, "compare", compare_and_note)
    for measured, then in (({"carton": 0.042}, 0.042), ({}, 0.042), ({"carton": 0.0}, 0.0)):
        monkeypatch.setattr(tested.pose_confidence, "distance_biases", lambda _, measured=measured: measured)
        assert main(["--weights", str(weights), "--data", str(data)]) == 0
        assert load(weights)[1].objects[0].distance_bias == then
    assert {trained.distance_bias for trained in given} == {0.0}  # not on top of what is stored
    assert capsys.readouterr().out.count("bias of carton +4.2%") == 2


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_corners_are_measured_where_poses_are_made(shift):
    pose = Pose.from_rotvec([0.4, -0.8, 1.1], [0.05, -0.03, 0.5])
    keypoints = fake_network.CAMERA.project(pose.apply(fake_network.BOX.keypoints))
    label = Label("box", 1, pose, keypoints, 1.0, 0.0, (50, 40, 60, 40), 2400, 2400)
    seen = Sample(fake_network.ramps(), fake_network.CAMERA, [label], np.zeros((480, 640), np.uint8))
    trained = TrainedObject(name="box", size=fake_network.BOX.size, centre=fake_network.BOX.centre)
    for crop, expected in ((fake_network.SIDE, 0.0), (0, shift)):  # the network errs in the first look only
        metadata = Metadata(architecture="paper", objects=(trained,), input_height=0, crop=crop)
        network = fake_network.Seer([pose], shift=shift)
        found = corner_errors(Estimator.of_network(network, metadata, [fake_network.BOX], "cpu"), seen)
        assert len(found) == 8
        np.testing.assert_allclose(found[:, 1], expected * 2**0.5 / 8, atol=0.1)


def test_weights_that_find_too_few_corners_are_left_as_they_are(files, capsys):
    data, weights = files
    before = weights.read_bytes()
    assert main(["--weights", str(weights), "--data", str(data)]) == 2
    assert "fewer than 200 corners" in capsys.readouterr().err
    assert weights.read_bytes() == before
