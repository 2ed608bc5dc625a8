"""Scores that are probabilities, and ellipsoids that hold what they claim: fitted to poses whose fate is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit

from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Sample
from dope_ros2.estimation.confidence import confidence_features as evidence_of
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.pnp.solver import Solution
from dope_ros2.evaluation.matching import LabelledPose
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.belief_maps import MapSpec
from dope_ros2.network.calibration import ScoreModel
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.objects.detection import ConfidenceFeatures, Detection
from dope_ros2.objects.object_model import load_objects
from dope_training.calibration.pose_confidence import (
    MIN_RIGHT_POSES,
    MIN_RIGHT_POSES_OF_ONE,
    RENDERER_BIAS,
    Labelled,
    Outcomes,
    compare,
    distance_biases,
    fit,
    outcomes,
)
from dope_training.metrics.calibration import expected_error, reliability
from dope_training.metrics.coverage import coverage
from helpers.target_maps import encode

CARTON = load_objects()["carton"]
CAMERA = CameraModel.from_focal(600, 640, 480)
TRUE = ScoreModel(bias=-1.5, belief=4.0, cells=0.6, range=-0.8, turn=-0.3, sigma_scale=2.5)


def fates(count, model=TRUE, seed=0):
    """Poses that are right as often as `model` says, with errors as wide."""
    rng = np.random.default_rng(seed)
    evidence = np.column_stack(
        [rng.uniform(0.2, 0.9, count), rng.uniform(0, 4, count), rng.normal(-4, 0.7, count), rng.normal(-3, 0.6, count)]
    )
    odds = model.bias + evidence @ [model.belief, model.cells, model.range, model.turn]
    right = rng.random(count) < expit(odds)
    lengths = np.where(right, model.covariance_scale * rng.chisquare(6, count), np.nan)
    return Outcomes(evidence, right, lengths)


def test_fitted_scores_are_the_share_of_right_poses():
    model, unseen = fit(fates(3000, seed=1)), fates(20_000, seed=2)
    scores = np.array([model.score(ConfidenceFeatures(*row)) for row in unseen.evidence])
    assert expected_error(reliability(scores, unseen.right)) < 0.02


def test_fitted_ellipsoids_hold_95_percent():
    model, unseen = fit(fates(3000, seed=1)), fates(20_000, seed=2)
    assert model.sigma_scale == pytest.approx(TRUE.sigma_scale, rel=0.04)
    assert coverage(unseen.lengths / model.covariance_scale, "pose") == pytest.approx(0.95, abs=0.015)


def test_a_network_that_is_never_wrong_gets_high_scores_but_no_certainty():
    always = fates(400)._replace(right=np.ones(400, bool), lengths=np.random.default_rng(0).chisquare(6, 400))
    scores = [fit(always).score(ConfidenceFeatures(*row)) for row in always.evidence]
    assert min(scores) > 0.9
    assert max(scores) < 1


def test_little_evidence_says_nothing():
    few = fates(MIN_RIGHT_POSES)
    assert few.right.sum() < MIN_RIGHT_POSES
    assert fit(few) is None
    for length in (np.inf, 0.0):  # a pose that claims to be exact, or is, says nothing of how wide to make ellipsoids
        many = fates(2000)
        assert fit(many._replace(lengths=np.where(many.right, length, np.nan))) is None
    assert fit(Outcomes(np.zeros((0, 4)), np.zeros(0, bool), np.zeros(0))) is None


def test_evidence_is_what_the_pose_rests_on():
    covariance = np.diag([1, 1, 0.02, 0.1, 0.2, 0.2]) ** 2
    used = np.array([True] * 6 + [False] * 3)
    solution = Solution(Pose.from_rotvec([0, 0, 0], [0.1, 0, 0.5]), covariance, used, 1.0, cells=9)
    evidence = evidence_of(np.full(9, 0.6), solution, np.zeros(3))
    assert evidence.belief == pytest.approx(0.4)
    np.testing.assert_allclose(np.exp(evidence.row[1:]), [10, 0.04, np.sqrt(0.03)])


def test_evidence_does_not_depend_on_where_the_mesh_has_its_origin():
    rng = np.random.default_rng(0)
    pose, centre = Pose.from_rotvec([0.3, -0.5, 0.8], [0.1, -0.05, 0.7]), np.array([0.02, -0.3, 0.5])
    A = rng.normal(size=(6, 6)) * 0.01
    r = pose.rotation @ centre  # from an origin to the centre, where the same uncertainty is told
    lever = np.eye(6)
    lever[:3, 3:] = [[0, r[2], -r[1]], [-r[2], 0, r[0]], [r[1], -r[0], 0]]
    at_centre = Pose(pose.rotation, pose.apply(centre))
    used = np.ones(9, bool)
    one = evidence_of(used, Solution(pose, A @ A.T, used, 1.0, 5), centre)
    two = evidence_of(used, Solution(at_centre, lever @ A @ A.T @ lever.T, used, 1.0, 5), np.zeros(3))
    np.testing.assert_allclose(one.row, two.row)


def test_degenerate_evidence_still_gives_a_probability():
    solution = Solution(Pose.from_rotvec([0, 0, 0], [0, 0, 0]), np.zeros((6, 6)), np.zeros(9, bool), 0.0)
    for model in (ScoreModel(), TRUE):
        assert 0 <= model.score(evidence_of(np.zeros(9), solution, np.zeros(3))) <= 1


class Drawn(torch.nn.Module):
    """Says what it is told to see, whatever the image."""

    def __init__(self, poses):
        super().__init__()
        keypoints = np.array([CAMERA.project(pose.apply(CARTON.keypoints)) for pose in poses])
        belief, affinity = encode(keypoints, (640, 480), MapSpec())
        self.maps = torch.from_numpy(belief)[None, None], torch.from_numpy(affinity)[None, None]

    def forward(self, _):
        return self.maps


def test_poses_are_compared_with_their_labels():
    truth = Pose.from_rotvec([0.4, -0.8, 1.1], [-0.15, 0, 0.8])
    stray = Pose.from_rotvec([0.2, 0.8, -1.1], [0.2, 0.05, 0.9])
    trained = TrainedObject(name="carton", size=CARTON.size, centre=CARTON.centre)
    metadata = Metadata(architecture="paper", objects=(trained,), input_height=0)
    keypoints = CAMERA.project(truth.apply(CARTON.keypoints))
    label = Label("carton", CARTON.class_id, truth, keypoints, 1.0, 0.0, (50, 40, 60, 40), 2400, 2400)
    blank = np.zeros((480, 640), np.uint8)
    sample = Sample(np.zeros((480, 640, 3), np.uint8), CAMERA, [label], blank)
    for scale in (1.0, 3.0):  # lengths are those before the ellipsoids are widened
        known = replace(metadata, score_model=ScoreModel(sigma_scale=scale))
        seen = outcomes(
            [compare(Estimator.of_network(Drawn([truth, stray]), known, [CARTON], "cpu"), sample)], scale**2
        )
        assert sorted(seen.right) == [False, True]
        assert np.isnan(seen.lengths[~seen.right]).all()
        assert 0 <= seen.lengths[seen.right] < 1


BOX = replace(CARTON, centre=(0.02, -0.05, 0.1))  # one whose origin is not its middle


def pictures(bias, count, noise=0.01):
    """Images of one box each, whose distance comes out too long by a share of it; every fifth pose is turned."""
    rng = np.random.default_rng(0)
    for number in range(count):
        pose = Pose.from_rotvec(rng.normal(size=3), [*rng.uniform(-0.2, 0.2, 2), rng.uniform(0.5, 2)])
        far = detection(pose).corrected(1 / (1 + bias + noise * rng.normal()) - 1)
        if number % 5 == 4:
            far = replace(far, pose=Pose.from_rotvec([2.0, 0, 0], far.pose.translation))
        yield Labelled([LabelledPose(BOX, 1.0, pose)], [far])


def detection(pose):
    return Detection(BOX, 0.9, pose, np.eye(6) * 1e-4, np.zeros((9, 2)), 1.0, ConfidenceFeatures(0.5, 3.0, -4.0, -3.0))


@pytest.mark.parametrize("bias", [-0.03, 0.02, 0.05])
@pytest.mark.parametrize("noise", [0.01, 0.05])  # some of the poses are too far off to be right, until it is undone
def test_distances_that_come_out_too_long_are_measured(bias, noise):
    expected = bias - np.sign(bias) * RENDERER_BIAS
    assert distance_biases(list(pictures(bias, 1500, noise)))[BOX.name] == pytest.approx(expected, abs=0.15 * noise)


def test_what_may_be_chance_is_no_bias():
    assert distance_biases(list(pictures(0.004, 60, noise=0.05))) == {BOX.name: 0.0}
    assert distance_biases(list(pictures(0.009, 1500))) == {BOX.name: 0.0}
    assert distance_biases(list(pictures(0.05, 100, noise=0.05)))[BOX.name] < 0.05 - 1.5 * RENDERER_BIAS
    assert distance_biases(list(pictures(0.05, MIN_RIGHT_POSES_OF_ONE))) == {}


def test_corrected_distances_make_more_poses_right():
    seen = list(pictures(0.09, 300, noise=0.03))
    biases = distance_biases(seen)
    right = [outcomes(given, 2.0).right.mean() for given in (seen, [each.corrected(biases) for each in seen])]
    assert right[0] < 0.6
    assert right[1] == pytest.approx(0.8, abs=0.01)


def test_a_pose_is_moved_along_the_ray_of_its_middle():
    pose = Pose.from_rotvec([0.3, -0.5, 0.8], [0.1, -0.05, 0.7])
    moved = detection(pose).corrected(0.25).pose
    np.testing.assert_allclose(moved.apply(BOX.centre), pose.apply(BOX.centre) / 1.25)
    np.testing.assert_allclose(moved.rotation, pose.rotation)


def test_an_estimator_undoes_the_bias_of_its_weights():
    truth = Pose.from_rotvec([0.4, -0.8, 1.1], [-0.15, 0, 0.8])
    found = []
    for bias in (0.0, 0.04):
        trained = TrainedObject(name="carton", size=CARTON.size, centre=CARTON.centre, distance_bias=bias)
        metadata = Metadata(architecture="paper", objects=(trained,), input_height=0)
        estimator = Estimator.of_network(Drawn([truth]), metadata, [CARTON], "cpu")
        found += estimator(np.zeros((480, 640, 3), np.uint8), CAMERA)
    np.testing.assert_allclose(found[0].pose.translation, truth.translation, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[1].pose.translation, found[0].pose.translation / 1.04)
