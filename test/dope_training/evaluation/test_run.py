"""`dope evaluate` as a whole: estimators that know the answers, results files, and what the report says of them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_training.evaluation import report
from dope_training.evaluation.object_points import ObjectPoints
from dope_training.evaluation.run import Predictor, judge
from dope_training.metrics.add import add, auc
from helpers.labelled_images import CAMERA, CARTON, Row, moved

CAN = ObjectModel(
    name="can", class_id=77, size=(0.1, 0.1, 0.2), symmetries_continuous=({"axis": [0, 0, 1], "offset": [0, 0, 0]},)
)


def judged(data, answer, model=CARTON):
    """Judge `answer`, a function of an image and a number, over all images; the content of the report."""
    contender = Predictor("fake", (model,), lambda picture: (answer(picture, picture.key[1]), 0.01))
    result = judge(contender, data, range(len(data.keys)), {})
    return report.content_of([result], data, 0.6, {})["runs"][0]


def perfect(picture, _):
    return [Detection(CARTON, 1.0, t.pose, np.eye(6) * 1e-6, CAMERA.project(t.pose.apply(CARTON.keypoints)), 0.0)
            for t in picture.truths]  # fmt: skip


def test_a_perfect_estimator_gets_full_marks():
    overall = judged(Row(3), perfect)["overall"]
    full = ("recall", "precision", "recall_add", "precision_add", "auc_add", "auc_adds", "auc_add_s", "ar_mssd",
            "ar_mspd", "average_precision")  # fmt: skip
    assert {name: overall[name] for name in full} == dict.fromkeys(full, pytest.approx(1))
    assert (overall["instances"], overall["detections"], overall["false_positives"], overall["ece"]) == (15, 15, 0, 0)
    for name in ("rotation_deg", "translation_cm", "translation_percent", "projected_px", "keypoints_px"):
        assert overall[name] == {"median": pytest.approx(0, abs=1e-5), "p90": pytest.approx(0, abs=1e-5)}
    assert overall["coverage"] == {"translation": 1, "rotation": 1, "pose": 1}


def test_a_silent_estimator_gets_none_and_no_errors():
    overall = judged(Row(2), lambda *_: [])["overall"]
    assert (overall["recall"], overall["auc_add"], overall["ar_mssd"], overall["average_precision"]) == (0, 0, 0, 0)
    assert (overall["precision"], overall["rotation_deg"], overall["ece"], overall["coverage"]["pose"]) == (None,) * 4


@pytest.fixture(scope="module")
def noise():
    """Errors of a known covariance, correlated; detections are turned far off as often as their scores say."""
    rng = np.random.default_rng(5)
    A = rng.normal(0, 1, (6, 6)) * np.repeat([0.003, 0.02], 3)[:, None]
    covariance = A @ A.T

    def answer(picture, number):
        rng = np.random.default_rng([number, 7])
        found = []
        for k, truth in enumerate(picture.truths):
            doubt, luck = (5 * number + k) * np.array([0.7548776662, 0.5698402910]) % 1  # fill the square evenly
            score = 1 - 0.6 * doubt
            wrong = np.array([0, 0, 0, 1.5, 0, 0]) if luck > score else np.zeros(6)
            error = rng.multivariate_normal(np.zeros(6), covariance) + wrong
            found.append(Detection(CARTON, score, moved(truth.pose, -error), covariance))
        return found

    return answer, covariance, judged(Row(100), answer)


def test_noise_of_the_claimed_covariance_is_covered_and_right_scores_are_calibrated(noise):
    overall = noise[2]["overall"]
    assert overall["covered"] > 300
    for part in ("translation", "rotation", "pose"):
        assert overall["coverage"][part] == pytest.approx(0.95, abs=0.025)
    assert overall["ece"] < 0.02
    assert overall["recall"] == pytest.approx(0.7, abs=0.05)


def test_claiming_half_the_noise_is_seen(noise):
    answer, covariance, _ = noise
    bold = judged(Row(20), lambda *a: [replace(d, covariance=covariance / 4) for d in answer(*a)])["overall"]
    assert bold["coverage"]["pose"] < 0.6
    sure = judged(Row(20), lambda *a: [replace(d, score=1.0) for d in answer(*a)])["overall"]
    assert sure["ece"] == pytest.approx(1 - sure["precision"])


def test_the_errors_are_those_of_an_independent_computation(noise):
    answer, _, content = noise
    shape, adds, angles, projected = ObjectPoints.of(CARTON), [], [], []
    for k in range(100):
        picture = Row(100)[k]
        for truth, found in zip(picture.truths, answer(picture, k), strict=True):
            adds.append(add(shape.points, truth.pose.matrix[None], found.pose))
            cosine = (np.trace(truth.pose.rotation.T @ found.pose.rotation) - 1) / 2
            angles.append(np.degrees(np.arccos(cosine)))
            a, b = (cv2.projectPoints(CARTON.keypoints, cv2.Rodrigues(p.rotation)[0], p.translation, CAMERA.K, None)[0]
                    for p in (truth.pose, found.pose))  # fmt: skip
            projected.append(np.linalg.norm(a - b, axis=2).mean())
    overall = content["overall"]
    assert overall["auc_add"] == pytest.approx(auc(adds), abs=1e-6)
    assert overall["recall_add"] == pytest.approx(np.mean(np.array(adds) < 0.1 * shape.diameter), abs=1e-6)
    assert overall["rotation_deg"]["p90"] == pytest.approx(np.percentile(angles, 90), abs=1e-6)
    assert overall["projected_px"]["median"] == pytest.approx(np.median(projected), abs=1e-6)


def test_duplicates_and_strays_are_false_and_reports_on_hidden_objects_are_not():
    def answer(picture, _):
        [first, *_] = truths = perfect(picture, _)
        return [*truths, replace(first, score=0.5), replace(first, pose=Pose(np.eye(3), np.array([0, 0.4, 1.2])))]

    content = judged(Row(2), answer)
    assert content["overall"]["false_positives_per_picture"] == 2
    assert content["overall"]["precision"] == pytest.approx(5 / 7)
    assert content["overall"]["recall"] == 1
    hidden = judged(Row(2, visibility=0.3), perfect)
    assert (hidden["overall"]["instances"], hidden["overall"]["precision"]) == (0, 1)
    assert [(e["low"], e["high"], e["instances"], e["recall"]) for e in hidden["by_visibility"]] == [(0.2, 0.5, 10, 1)]


def test_a_shift_of_two_centimetres_passes_the_thresholds_of_bop_that_it_should():
    def shifted(picture, _):
        return [replace(d, pose=moved(d.pose, np.array([0.02, 0, 0, 0, 0, 0]))) for d in perfect(picture, _)]

    overall = judged(Row(8, objects=1), shifted)["overall"]  # each 1 m along the axis
    assert 0.05 < 0.02 / ObjectPoints.of(CARTON).diameter < 0.1
    assert overall["ar_mssd"] == pytest.approx(0.9)
    assert 10 < 4 * 150 * 0.02 / (1 + 0.1) < 4 * 150 * 0.02 / (1 - 0.1) < 15  # px of an image 640 wide
    assert overall["ar_mspd"] == pytest.approx(0.8)
    assert overall["auc_add"] == overall["auc_add_s"] == pytest.approx(0.8)
    hidden = judged(Row(2, objects=1, visibility=0.05), shifted)
    assert hidden["by_visibility"][0]["ar_mssd"] is None  # BOP does not ask for it


def test_bop_hears_as_many_detections_as_there_are_objects_the_highest_scores_first():
    def outbid(picture, _):
        [right] = perfect(picture, _)
        return [replace(right, score=0.4), replace(right, pose=Pose(np.eye(3), np.array([0.4, 0, 1.2])))]

    overall = judged(Row(2, objects=1), outbid)["overall"]
    assert (overall["recall"], overall["ar_mssd"], overall["ar_mspd"]) == (1, 0, 0)


def test_figures_by_distance_count_the_objects_that_are_there():
    def near_ones(picture, _):
        return [d for d in perfect(picture, _) if np.linalg.norm(d.pose.translation) < 1.5]

    bins = {(entry["low"], entry["high"]): entry for entry in judged(Row(4), near_ones)["by_distance"]}
    distances = np.linalg.norm([(0.3 * (k - 2), 0, 1 + 0.1 * k) for k in range(5)], axis=1)
    assert bins[1.0, 1.5]["instances"] == 4 * ((distances >= 1) & (distances < 1.5)).sum()
    assert (bins[1.0, 1.5]["recall"], bins[1.5, 2.0]["recall"]) == (1, 0)


def test_a_spin_about_the_axis_of_a_round_object_is_no_error():
    def spun(picture, number):
        spins = np.random.default_rng(number).uniform(-np.pi, np.pi, 5)
        turned = [t.pose @ Pose.from_rotvec([0, 0, a], [0, 0, 0]) for t, a in zip(picture.truths, spins, strict=True)]
        return [Detection(CAN, 0.9, pose, np.eye(6) * 1e-6) for pose in turned]

    overall = judged(Row(3, CAN), spun, CAN)["overall"]
    assert (overall["recall"], overall["recall_add"], overall["coverage"]["pose"]) == (1, 1, 1)
    assert overall["rotation_deg"]["p90"] < 1e-4
    assert overall["auc_add"] > 0.99  # BOP's steps of 315 a turn remain
    assert overall["ar_mssd"] == 1
    plain = replace(CAN, symmetries_continuous=())
    assert judged(Row(3, plain), spun, plain)["overall"]["recall"] < 0.5


def test_a_mesh_is_used_where_there_is_one_and_the_cuboid_elsewhere():
    assert "vertices of the mesh" in ObjectPoints.of(CARTON).source
    assert ObjectPoints.of(CARTON).diameter == pytest.approx(CARTON.diameter, rel=0.02)
    assert "cuboid" in ObjectPoints.of(CAN).source
    assert ObjectPoints.of(CAN).points.shape == (8, 3)
