"""From a mesh to weights in one command: which verbs it calls, in which order, and that it goes on after a stop."""

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from dope_ros2 import cli
from dope_ros2.common.resources import share
from dope_ros2.network import weights
from dope_training.commands import learn
from dope_training.config import load_config

ENTRY = "objects:\n  mug: {class_id: 200, size: [0.1, 0.1, 0.1], color: [1, 2, 3]}\n"


@pytest.fixture
def called(monkeypatch):
    """Verbs that have been called; they leave the files that the next step looks for."""
    calls = []

    def verb(arguments):
        calls.append(arguments)
        options = dict(pairwise(arguments))
        if arguments[0] == "assets":
            Path(options["--objects-file"]).write_text(ENTRY)
        if arguments[0] == "train":
            run = Path(options["--out"])
            run.mkdir(exist_ok=True)
            (run / "weights.safetensors").write_text(options["--steps"])
        return 0

    def trained(path):
        return None, SimpleNamespace(training={"steps": int(path.read_text())})

    monkeypatch.setattr(weights, "load", trained)

    monkeypatch.setattr(cli, "main", verb)
    return calls


def run(tmp_path, *more):
    return learn.main(["mug.obj", "--name", "mug", "--out", str(tmp_path / "mug"), *more])


def test_verbs_come_in_order_with_recipes_of_the_new_object(called, tmp_path, capsys):
    assert run(tmp_path, "--images", "512", "--steps", "70") == 0
    assert [call[0] for call in called] == ["assets", "generate", "generate", "preview", "train", "evaluate"]
    out = tmp_path / "mug"
    assert yaml.safe_load((out / "datagen.yaml").read_text())["objects"] == {"mug": 1}
    recipe = yaml.safe_load((out / "train.yaml").read_text())
    assert load_config(out / "train.yaml", {}).steps == recipe["steps"]  # it is one that `dope train` takes
    assert (recipe["objects"], recipe["steps"]) == (["mug"], 70)
    assert str(share() / "weights" / "dope-lite.safetensors") in called[4]
    seeds = [call[call.index("--seed") + 1] for call in called[1:3]]
    assert len(set(seeds)) == 2
    assert json.loads((out / "times.json").read_text()).keys() == {call[0] for call in called}
    assert "dope predict PHOTOS --weights" in capsys.readouterr().out


def test_a_second_run_leaves_out_what_is_done(called, tmp_path):
    run(tmp_path)
    called.clear()
    assert run(tmp_path) == 0
    assert [call[0] for call in called] == ["generate", "generate", "preview", "evaluate"]


def test_a_stopped_training_is_gone_on_with(called, tmp_path):
    run(tmp_path)
    (tmp_path / "mug" / "run" / "weights.safetensors").unlink()
    called.clear()
    run(tmp_path)
    assert "--resume" in next(call for call in called if call[0] == "train")


def test_more_steps_go_on_after_the_end(called, tmp_path):
    run(tmp_path, "--steps", "70")
    called.clear()
    run(tmp_path, "--steps", "80")
    [train] = [call for call in called if call[0] == "train"]
    assert train[train.index("--steps") + 1] == "80"
    assert "--resume" in train


def test_a_verb_that_fails_stops_with_its_name(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cli, "main", lambda arguments: 2)
    assert run(tmp_path) == 2
    assert "`dope assets` has ended with status 2; the same command goes on from here" in capsys.readouterr().err


def test_a_folder_of_another_object_is_refused(called, tmp_path, capsys):
    run(tmp_path)
    assert learn.main(["cup.obj", "--name", "cup", "--out", str(tmp_path / "mug")]) == 2
    assert "holds another object than 'cup'" in capsys.readouterr().err


def test_a_camera_takes_the_place_of_size_and_focal_length(called, tmp_path):
    run(tmp_path, "--camera", "camera.yaml")
    entry = yaml.safe_load((tmp_path / "mug" / "datagen.yaml").read_text())
    assert entry["camera"].endswith("camera.yaml")
    assert not entry.keys() & {"width", "height", "focal"}
