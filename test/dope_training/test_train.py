"""Train two steps on a tiny store, then resume."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dope_ros2.common.errors import UserError
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import load, read_appearances, save, write_appearances
from dope_training.commands.train import main
from dope_training.config import load_config
from helpers.tiny_training import CARTON, make_store

RECIPE = (
    "objects: [carton]\ncrop: 64\nbatch_size: 4\nsteps: 2\nwarmup: 1\nvalidate_every: 2\nvalidation_images: 4\n"
    "precision: 32-true\nvalidation_share: 0.2\nlearning_rate: 0.001\n"
)

pytestmark = pytest.mark.usefixtures("denormals")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_training_writes_weights_resumes_and_refuses_to_overwrite(tmp_path, data, recipe, capsys):
    run = ["--data", str(data), "--out", str(tmp_path / "run"), "--workers", "0"]
    assert main([str(recipe), *run]) == 0
    _, first = load(tmp_path / "run" / "weights.safetensors")
    assert first.training["steps_done"] == 2
    assert first.data["pictures"] == 20
    looks = read_appearances(tmp_path / "run" / "weights.safetensors")
    assert [*looks] == ["carton"]
    write_appearances(tmp_path / "run" / "weights.safetensors", looks | {"mug": looks["carton"]})
    assert main([str(recipe), *run]) == 2
    assert "add --resume" in capsys.readouterr().err
    assert main([str(recipe), *run, "--resume", "--steps", "4"]) == 0
    _, second = load(tmp_path / "run" / "weights.safetensors")
    assert second.training["steps_done"] == 4
    assert {*read_appearances(tmp_path / "run" / "weights.safetensors")} == {"carton", "mug"}


def test_training_starts_from_given_weights(tmp_path, data, recipe, capsys):
    torch.manual_seed(5)
    network, entry = make_network("dope-lite", 1), TrainedObject(name="carton", size=CARTON.size)
    save(tmp_path / "start.safetensors", network, Metadata(architecture="dope-lite", objects=(entry,)))
    recipe.write_text(RECIPE.replace("learning_rate: 0.001", "learning_rate: 1.0e-9"))
    command = [str(recipe), "--data", str(data), "--workers", "0", "--init", str(tmp_path / "start.safetensors")]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    trained, _ = load(tmp_path / "run" / "weights.safetensors")
    np.testing.assert_allclose(trained.head.weight.detach(), network.head.weight.detach(), atol=1e-4)
    assert "all layers taken" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[carton]", "[cartn]"), "no object 'cartn'; did you mean 'carton'"),
        (("[carton]", "[mustard]"), "no image of 'mustard' in it"),
        (("crop: 64", "crop: 65"), "crop"),
        (("crop: 64", "krop: 64"), "unknown key 'krop'; did you mean 'crop'"),
        (("batch_size: 4", "batch_size: 40"), "fewer than a step's 40"),
    ],
)
def test_a_mistake_is_one_line_on_stderr(tmp_path, data, recipe, capsys, change, message):
    recipe.write_text(RECIPE.replace(*change))
    assert main([str(recipe), "--data", str(data), "--out", str(tmp_path / "run"), "--workers", "0"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_store_that_is_none_is_named(tmp_path, recipe, capsys):
    assert main([str(recipe), "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_the_shipped_recipe_is_valid():
    recipe = Path(__file__).resolve().parents[2] / "config" / "train" / "dope-lite.yaml"
    assert load_config(recipe, {"steps": 5}).steps == 5
    assert load_config(recipe.with_name("paper.yaml"), {}).affinity == "unit"  # which code for DOPE wants
    with pytest.raises(UserError, match="batch_size"):
        load_config(recipe, {"batch_size": 0})


def test_importing_the_package_does_not_wait_for_torch():
    code = "import sys, dope_training; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
