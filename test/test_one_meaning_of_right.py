"""What is right is right everywhere: all that judge poses have one meaning of it, and it knows symmetries."""

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import dope_ros2.evaluation.matching
from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Sample
from dope_ros2.evaluation.live_statistics import LiveStatistics
from dope_ros2.evaluation.matching import LabelledPose
from dope_ros2.evaluation.scene_report import SceneReport
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.bop import Truth
from dope_ros2.objects.detection import Detection
from dope_training.calibration import pose_confidence
from dope_training.evaluation.labelled_images import LabelledImage, TrueObject
from dope_training.evaluation.object_points import ObjectPoints
from dope_training.evaluation.pose_errors import measure
from dope_training.trainer import validation
from helpers.symmetric_objects import ALL, BALL, tilted, turned

CAMERA = CameraModel.from_focal(300, 320, 240)
BLANK = np.zeros((240, 320, 3), np.uint8)
NO_TURN, FLAT = np.deg2rad(21), np.deg2rad(159)  # a tilt between them is wrong also of what looks the same upside down

POINTS = {model.name: ObjectPoints.of(model) for model in ALL}
angles = st.floats(-np.pi, np.pi)
seeds = st.integers(0, 10**6)
elements = st.integers(0, 5)
law = settings(deadline=None, max_examples=25)


class Foretold:
    """Finds one object where it is told to."""

    def __init__(self, detection):
        self.models, self._detection = [detection.model], detection

    def __call__(self, image, camera, settings=None):
        return [self._detection]


def detected(model, pose):
    return Detection(model, 0.9, pose, 1e-4 * np.eye(6), np.full((9, 2), np.nan), 0.5)


def labelled(model, pose):
    keypoints = CAMERA.project(pose.apply(model.keypoints))
    label = Label(model.name, model.class_id, pose, keypoints, 1.0, 0.0, (0, 0, 9, 9), 81, 81)
    return Sample(BLANK, CAMERA, [label], BLANK[:, :, 0])


def evaluation(model, true, found):
    picture = LabelledImage((0, 0), CAMERA, BLANK, [TrueObject(model.name, true, 1.0)])
    [row], [other] = measure(0, picture, [detected(model, found)], {model.name: POINTS[model.name]})
    assert row.right == other.right
    return row.right


def calibration(model, true, found):
    [(_, pose)] = pose_confidence.compare(Foretold(detected(model, found)), labelled(model, true)).right()
    return pose is not None


def live_statistics(model, true, found):
    tally = LiveStatistics()
    tally.add_truth(1, [LabelledPose(model, 1.0, true)])
    tally.add_detections(1, [LabelledPose(model, 0.9, found)], 0.1)
    summary = tally.summary()
    assert summary["recall"] == 1 - summary["false_positives"]
    return summary["recall"] == 1


def scene_report(model, true, found):
    errors = reported(model, true, found)
    return bool(errors) and errors[0].rotation <= 20 and abs(errors[0].depth) <= 10


def reported(model, true, found):
    report = SceneReport()
    report.add("picture", CAMERA, [detected(model, found)], [Truth(model.class_id, true)], {model.class_id: model})
    return report.matches[model.name]


def validation_in_training(model, true, found):
    [errors] = validation.pose_errors(Foretold(detected(model, found)), labelled(model, true))
    return bool(np.isfinite(errors).all())


JUDGES = [evaluation, calibration, live_statistics, scene_report, validation_in_training]
judges = pytest.mark.parametrize("is_right", JUDGES, ids=lambda judge: judge.__name__)
everything = pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)


def true_pose(seed):
    rng = np.random.default_rng(seed)
    return Pose.random(rng, [*rng.uniform(-0.1, 0.1, 2), rng.uniform(0.4, 0.8)])


def farther(pose, model, share):
    """The pose with its box's centre farther away by a share of the distance."""
    return Pose(pose.rotation, pose.translation + share * pose.apply(model.centre))


@judges
@everything
@law
@given(seed=seeds, element=elements, angle=angles)
def test_every_pose_that_looks_the_same_is_right(is_right, model, seed, element, angle):
    true = true_pose(seed)
    assert is_right(model, true, turned(true, model, element, angle))


@everything
@law
@given(seed=seeds, element=elements, angle=angles)
def test_the_table_of_predict_shows_no_error_of_a_pose_that_looks_the_same(model, seed, element, angle):
    true = true_pose(seed)
    [error] = reported(model, true, turned(true, model, element, angle))
    np.testing.assert_allclose([error.centre, error.rotation, error.depth], 0, atol=1e-4)


@judges
@pytest.mark.parametrize("model", [model for model in ALL if model is not BALL], ids=lambda model: model.name)
@law
@given(seed=seeds, element=elements, angle=angles, tilt=st.floats(NO_TURN, FLAT), direction=angles)
def test_a_turn_about_another_axis_is_wrong(is_right, model, seed, element, angle, tilt, direction):
    true = true_pose(seed)
    assert not is_right(model, true, tilted(turned(true, model, element, angle), model, tilt, direction))


@judges
@everything
@law
@given(seed=seeds, element=elements, angle=angles, share=st.sampled_from([-0.12, 0.12]))
def test_what_is_too_near_or_too_far_is_wrong_however_it_is_turned(is_right, model, seed, element, angle, share):
    true = true_pose(seed)
    assert not is_right(model, true, farther(turned(true, model, element, angle), model, share))


@everything
@law
@given(seed=seeds, element=elements, angle=angles, tilt=angles, direction=angles, share=st.floats(-0.2, 0.2))
def test_all_that_judge_poses_agree(model, seed, element, angle, tilt, direction, share):
    assume(abs(abs(tilt) - np.deg2rad(20)) > 1e-6)
    assume(abs(abs(share) - 0.1) > 1e-6)
    true = true_pose(seed)
    found = farther(tilted(turned(true, model, element, angle), model, tilt, direction), model, share)
    assert len({is_right(model, true, found) for is_right in JUDGES}) == 1


def test_nobody_else_takes_the_limits_to_judge_for_himself():
    root, limits = Path(__file__).parents[1], {"MAX_DISTANCE", "MAX_ANGLE"}
    module = dope_ros2.evaluation.matching.__name__
    files = [path for name in ("dope_ros2", "dope_datagen", "dope_training") for path in (root / name).rglob("*.py")]
    texts = {path: text for path in files if module in (text := path.read_text())}
    taken = {
        path.name: {alias.name for alias in node.names} & limits
        for path, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.module == module
    }
    assert len(taken) > 4
    assert not any(taken.values())
