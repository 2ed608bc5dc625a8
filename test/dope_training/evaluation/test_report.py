"""`dope evaluate` on files: stores, scenes, results, and the report it writes."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from dope_datagen.dataset import store
from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Sample
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.bop import Estimate, read_results, write_results
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import save
from dope_ros2.objects.object_model import load_objects
from dope_training.commands.evaluate import labels, main
from dope_training.evaluation.labelled_images import BopImages, StoreImages
from helpers.labelled_images import CAMERA, CARTON, Row, moved


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Four labelled images as a store, and as a BOP scene with a thing that nobody knows."""
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
    data = StoreImages(scene / "store") if folder == "store" else BopImages(scene, [scene / folder], [CARTON])
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
    data = StoreImages(scene / "store")
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
    save(path, make_network("dope-lite", 1), Metadata(architecture="dope-lite", objects=(entry,), input_height=120))
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
        (GOOD, "none of its 0 rows is about an image"),
        (GOOD + "7,0,101,0.9,1 0 0 0 1 0 0 0 1,0 0 1000,-1\n", "none of its 1 rows is about an image"),
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
