"""`dope evaluate` as a whole: estimators that know the answers, results files, and what the report says of them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dope_datagen import store
from dope_datagen.labels import Label
from dope_datagen.store import Sample
from dope_ros2.bop import Estimate, read_results, write_results
from dope_ros2.camera import CameraModel
from dope_ros2.detection import Detection
from dope_ros2.errors import UserError
from dope_ros2.geometry import Pose
from dope_ros2.objects import ObjectModel, load_objects
from dope_ros2.weights import Metadata, TrainedObject, build, save
from dope_training.evaluate import labels, main
from dope_training.evaluation import report
from dope_training.evaluation.judge import Contender, judge
from dope_training.evaluation.pictures import BopPictures, Picture, StorePictures, TrueObject
from dope_training.evaluation.shape import Shape
from dope_training.metrics.add import add, auc

CARTON = load_objects()["carton"]
CAMERA = CameraModel.from_focal(150, 160, 120)
CAN = ObjectModel(
    name="can", class_id=77, size=(0.1, 0.1, 0.2), symmetries_continuous=({"axis": [0, 0, 1], "offset": [0, 0, 0]},)
)
NOTHING = np.full((6, 6), np.nan), np.full((9, 2), np.nan), np.nan


class Row:
    """Pictures in memory: five objects side by side in each, of the given visibility."""

    path = Path("row")

    def __init__(self, count, model=CARTON, visibility=1.0, objects=5):
        self.model, self.visibility, self.objects = model, visibility, objects
        self.keys = [(0, k) for k in range(count)]
        self.names = {model.name}

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        places = [(0.3 * (k - 2), 0, 1 + 0.1 * k) for k in range(self.objects)]
        truths = [TrueObject(self.model.name, Pose.random(rng, place), self.visibility) for place in places]
        return Picture(self.keys[index], CAMERA, np.zeros((120, 160, 3), np.uint8), truths)


def moved(pose, error):
    return Pose(Rotation.from_rotvec(error[3:]).as_matrix() @ pose.rotation, pose.translation + error[:3])


def judged(data, answer, model=CARTON):
    """Judge `answer`, a function of a picture and a number, over all pictures; the content of the report."""
    contender = Contender("fake", (model,), lambda picture: (answer(picture, picture.key[1]), 0.01))
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
            found.append(Detection(CARTON, score, moved(truth.pose, -error), covariance, *NOTHING[1:]))
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
    shape, adds, angles, projected = Shape.of(CARTON), [], [], []
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
    assert 0.05 < 0.02 / Shape.of(CARTON).diameter < 0.1
    assert overall["ar_mssd"] == pytest.approx(0.9)
    assert 10 < 4 * 150 * 0.02 / (1 + 0.1) < 4 * 150 * 0.02 / (1 - 0.1) < 15  # px of a picture 640 wide
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
        return [Detection(CAN, 0.9, pose, np.eye(6) * 1e-6, *NOTHING[1:]) for pose in turned]

    overall = judged(Row(3, CAN), spun, CAN)["overall"]
    assert (overall["recall"], overall["recall_add"], overall["coverage"]["pose"]) == (1, 1, 1)
    assert overall["rotation_deg"]["p90"] < 1e-4
    assert overall["auc_add"] > 0.99  # BOP's steps of 315 a turn remain
    assert overall["ar_mssd"] == 1
    plain = replace(CAN, symmetries_continuous=())
    assert judged(Row(3, plain), spun, plain)["overall"]["recall"] < 0.5


def test_a_mesh_is_used_where_there_is_one_and_the_cuboid_elsewhere():
    assert "vertices of the mesh" in Shape.of(CARTON).source
    assert Shape.of(CARTON).diameter == pytest.approx(CARTON.diameter, rel=0.02)
    assert "cuboid" in Shape.of(CAN).source
    assert Shape.of(CAN).points.shape == (8, 3)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Four labelled pictures as a store, and as a BOP scene with a thing that nobody knows."""
    root = tmp_path_factory.mktemp("data")
    data = Row(4, objects=3)
    store.create(root / "store", 4, 0, {"width": 160, "height": 120, "depth": False}, [CARTON])
    samples, cameras, truths = [], {}, {}
    folder = root / "000003"
    (folder / "rgb").mkdir(parents=True)
    for index in range(4):
        picture = data[index]
        samples.append(Sample(picture.rgb, CAMERA, [_label(t) for t in picture.truths], np.zeros((120, 160), np.uint8)))
        cv2.imwrite(str(folder / "rgb" / f"{index:06d}.png"), picture.rgb)
        cameras[str(index)] = {"cam_K": CAMERA.K.ravel().tolist(), "depth_scale": 1.0}
        truths[str(index)] = [
            {"obj_id": obj_id, "cam_R_m2c": t.pose.rotation.ravel().tolist(),
             "cam_t_m2c": (1000 * t.pose.translation).tolist()}
            for t, obj_id in zip(picture.truths, (101, 101, 999), strict=True)
        ]  # fmt: skip
    store.write_shard(root / "store", 0, samples, 95)
    (folder / "scene_camera.json").write_text(json.dumps(cameras))
    (folder / "scene_gt.json").write_text(json.dumps(truths))
    return root


def _label(truth):
    keypoints = CAMERA.project(truth.pose.apply(CARTON.keypoints))
    return Label("carton", CARTON.class_id, truth.pose, keypoints, 1.0, 0.0, (5, 4, 6, 4), 24, 24)


def answers(data, scene_id, offset=0.0):
    return [
        Estimate(scene_id, key[1], 101, 0.9, moved(t.pose, np.array([0, 0, offset, 0, 0, 0])), 0.05)
        for k, key in enumerate(data.keys)
        for t in data[k].truths
        if t.name == "carton"
    ]


def test_a_results_file_comes_back_as_it_was_written(tmp_path):
    rng = np.random.default_rng(0)
    rows = [Estimate(2, k, 101, 0.25 * k, Pose.random(rng, rng.normal(size=3)), -1.0) for k in range(4)]
    write_results(tmp_path / "r.csv", rows)
    for row, back in zip(rows, read_results(tmp_path / "r.csv"), strict=True):
        assert (row.scene_id, row.im_id, row.obj_id, row.time) == (back.scene_id, back.im_id, back.obj_id, back.time)
        assert back.score == pytest.approx(row.score)
        np.testing.assert_allclose(back.pose.matrix, row.pose.matrix, atol=1e-8)


@pytest.mark.parametrize(("folder", "number"), [("store", 0), ("000003", 3)])
def test_results_are_judged_against_a_store_and_a_scene(scene, tmp_path, capsys, folder, number):
    data = StorePictures(scene / "store") if folder == "store" else BopPictures(scene, [scene / folder], [CARTON])
    write_results(tmp_path / "off.csv", answers(data, number, offset=0.02))
    out = tmp_path / "report"
    assert main(["--csv", str(tmp_path / "off.csv"), "--data", str(scene / folder), "--out", str(out)]) == 0
    content = json.loads((out / "report.json").read_text())
    overall = content["runs"][0]["overall"]
    assert (overall["instances"], overall["recall"], overall["precision"]) == (12 if folder == "store" else 8, 1, 1)
    assert overall["auc_add"] == pytest.approx(0.8)
    assert overall["translation_cm"]["median"] == pytest.approx(2)
    assert overall["coverage"]["pose"] is None
    assert content["not_judged"] == ([] if folder == "store" else ["obj_id 999"])
    assert not (out / "results.csv").exists()
    assert "carton" in capsys.readouterr().out


def test_the_page_needs_nothing_else_and_shows_the_plots_and_the_worst_pictures(scene, tmp_path):
    data = StorePictures(scene / "store")
    write_results(tmp_path / "good.csv", answers(data, 0))
    write_results(tmp_path / "bad.csv", answers(data, 0, offset=0.09)[1:])
    out = tmp_path / "report"
    files = ["--csv", str(tmp_path / "good.csv"), "--csv", str(tmp_path / "bad.csv")]
    assert main([*files, "--data", str(scene / "store"), "--out", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert not re.search(r"https?://|<script|<link|url\(|@import", page)
    sources = re.findall(r'src="([^"]*)"', page)
    assert all(source.startswith("data:image/") for source in sources)
    assert sum(source.startswith("data:image/png") for source in sources) == 7
    assert "missed" in page
    assert page.index("all objects") < page.index("<h2>good</h2>") < page.index("<h2>bad</h2>")
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.json"]


def write_weights(path, model=CARTON):
    entry = TrainedObject(name=model.name, size=model.size, centre=model.centre)
    save(path, build("dope-lite", 1), Metadata(architecture="dope-lite", objects=(entry,), input_height=120))
    return path


def test_several_weights_are_compared_and_each_writes_its_results(scene, tmp_path, capsys):
    first, second = (write_weights(tmp_path / run / "weights.safetensors") for run in ("a", "b"))
    out = tmp_path / "report"
    arguments = ["--weights", str(first), "--weights", str(second), "--data", str(scene / "000003"), "--images", "1"]
    assert main([*arguments, "--device", "cpu", "--out", str(out)]) == 0
    names = ["report.html", "report.json", "results-a_weights.csv", "results-b_weights.csv"]
    assert sorted(path.name for path in out.iterdir()) == names
    table = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in table] == ["all", "a/weights", "b/weights"]


def test_labels_are_as_short_as_they_can_be():
    assert labels([Path("x/a.csv"), Path("y/b.csv")]) == ["a", "b"]
    assert labels([Path("x/a.csv"), Path("y/a.csv")]) == ["x/a", "y/a"]
    with pytest.raises(UserError, match="given twice"):
        labels([Path("a.csv"), Path("a.csv")])


GOOD = "scene_id,im_id,obj_id,score,R,t,time\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scene_id,im_id,obj_id,scor,R,t,time\n", "line 1: column 4 is 'scor' instead of 'score'"),
        ("", "line 1: column 1 is None instead of 'scene_id'"),
        (GOOD + "0,0,101,0.9,1 0 0 0 1 0 0 0 1,0 0 1000\n", "line 2 has 6 columns instead of 7"),
        (GOOD + "\n0,0,101,0.9,1 0 0 0 1 0 0 1,0 0 1000,-1\n", "line 3: column R is not 9 finite numbers"),
        (GOOD + "0,0,101,high,1 0 0 0 1 0 0 0 1,0 0 1000,-1\n", "line 2: column score is not a finite number: 'high'"),
        (GOOD + "0,0,101,0.9,2 0 0 0 1 0 0 0 1,0 0 1000,-1\n", "line 2: column R is not a rotation matrix"),
        (GOOD + "0,0.5,101,0.9,1 0 0 0 1 0 0 0 1,0 0 1000,-1\n", "line 2: column im_id is not a whole number: 0.5"),
        (GOOD, "none of its 0 rows is about a picture"),
        (GOOD + "7,0,101,0.9,1 0 0 0 1 0 0 0 1,0 0 1000,-1\n", "none of its 1 rows is about a picture"),
    ],
)
def test_a_wrong_results_file_is_one_line(scene, tmp_path, capsys, text, message):
    (tmp_path / "r.csv").write_text(text)
    assert main(["--csv", str(tmp_path / "r.csv"), "--data", str(scene / "store")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert "r.csv" in line


def test_weights_that_know_nothing_in_the_data_are_one_line(scene, tmp_path, capsys):
    weights = write_weights(tmp_path / "w.safetensors", load_objects()["mustard"])
    assert main(["--weights", str(weights), "--data", str(scene / "000003"), "--device", "cpu"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "w knows mustard, but" in line
    assert "has carton, obj_id 999" in line


def test_a_scene_without_truth_and_a_file_in_the_place_of_the_folder_are_one_line(scene, tmp_path, capsys):
    (tmp_path / "000001").mkdir()
    (tmp_path / "000001" / "scene_camera.json").write_text((scene / "000003" / "scene_camera.json").read_text())
    assert main(["--data", str(tmp_path / "000001")]) == 2
    assert "no scene_gt.json" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["--data", str(scene / "store"), "--out", str(tmp_path / "file")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "cannot be made a folder" in line
