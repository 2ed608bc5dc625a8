"""`make bench-training`, small: that it measures what it says."""

import json

import numpy as np
import pytest
import torch

from dope_ros2.network.dope_paper import Paper
from dope_training.benchmarks import training_step
from dope_training.benchmarks.training_step import PublishedCrops, main, make_store, published, step_flops

pytestmark = pytest.mark.usefixtures("denormals")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "store"
    make_store(path, 4)
    return path


@pytest.mark.benchmark
def test_figures_of_both_recipes_and_of_the_loader(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(training_step, "IMAGE_COUNT", 16)
    recipe = training_step.our_recipe(64, 2).model_copy(update={"precision": "32-true"})
    monkeypatch.setattr(training_step, "our_recipe", lambda *_: recipe)  # many processors only emulate bfloat16
    out = tmp_path / "figures.json"
    sizes = ["--batch-size", "2", "--crop", "64", "--steps", "1", "--seconds", "0.1", "--device", "cpu"]
    assert main([*sizes, "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert json.loads(capsys.readouterr().out) == figures
    assert figures["loader_crops_per_s"] > 0
    assert figures["ratio"] == pytest.approx(
        figures["ours"]["images_per_s"] / figures["published"]["images_per_s"], rel=1e-9
    )
    for name in ("ours", "published"):
        assert 0 <= figures[name]["waiting"] < 1
        assert figures[name]["share_of_matrix_product"] > 0
    assert figures["published"]["share_of_matrix_product"] < 2  # ours is more where the processor emulates bfloat16


def test_operations_are_those_of_the_published_network():
    forward = 155.5e9 * 2  # multiply-adds at 400x400
    assert step_flops(400) == pytest.approx(3 * forward, rel=0.02)


def test_published_targets_follow_the_picture(store):
    crops = PublishedCrops(store, 160, 40)
    seen = 0
    for index in range(40):
        image, belief, affinity = (part.numpy() for part in crops[index])
        assert (image.shape, belief.shape, affinity.shape) == ((3, 160, 160), (9, 20, 20), (16, 20, 20))
        lengths = np.linalg.norm(affinity.reshape(8, 2, 20, 20), axis=1)
        assert set(lengths.round(4).ravel()) <= {0, 1}
        seen += belief.max() > 0.4
    assert seen > 5


def test_a_step_of_the_published_recipe_moves_all_its_weights(store, monkeypatch):
    torch.manual_seed(0)
    network = Paper()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    monkeypatch.setattr("dope_training.benchmarks.training_step.Paper", lambda: network)
    next(published(store, 64, 2, 0, torch.device("cpu")))()
    assert all((a != b).any() for a, b in zip(before, network.parameters(), strict=True))


def test_an_impossible_crop_is_one_line(capsys):
    assert main(["--crop", "100", "--seconds", "0.1"]) == 2
    assert "multiple of 8" in capsys.readouterr().err
