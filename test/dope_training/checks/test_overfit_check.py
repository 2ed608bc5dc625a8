"""The self-test passes what can be learned and fails what cannot."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dope_training.checks import overfit_check
from dope_training.commands.train import main
from dope_training.config import TrainConfig
from dope_training.data.split import TrainingStore
from helpers import painted_store

CONFIG = TrainConfig(objects=["carton"], crop=96, precision="32-true")  # many processors only emulate bfloat16


@pytest.fixture(autouse=True)
def one_thread():
    """Small images; and flushing denormal numbers is for this process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.mark.slow
def test_an_easy_store_passes(tmp_path, monkeypatch):
    fewer = {"IMAGE_COUNT": 16, "BATCH_SIZE": 8, "FIRST_LOOK": 80, "LOOK_EVERY": 20}  # learned sooner
    for name, value in fewer.items():
        monkeypatch.setattr(overfit_check, name, value)
    outcome = overfit_check.self_test(
        CONFIG, [TrainingStore(painted_store.make(tmp_path / "store"))], [painted_store.CARTON]
    )
    assert outcome.passed
    assert outcome.found >= 0.8 * outcome.asked > 0
    assert "PASS" in outcome.line()


def test_labels_of_other_pictures_fail(tmp_path):
    def shuffled(number, sample):
        return replace(sample, rgb=painted_store.picture((number * 7 + 3) % 40).rgb)

    path = painted_store.make(tmp_path / "store", change=shuffled)
    outcome = overfit_check.self_test(CONFIG, [TrainingStore(path)], [painted_store.CARTON])
    assert not outcome.passed
    assert "FAIL" in outcome.line()
    assert "labels seem to be those of other images" in outcome.line()


def test_what_cannot_be_seen_in_the_pictures_is_not_learned(tmp_path, monkeypatch):
    monkeypatch.setattr(overfit_check, "MAX_STEPS", 8)
    path = painted_store.make(tmp_path / "store", 24, change=lambda n, s: replace(s, rgb=np.full_like(s.rgb, 90)))
    outcome = overfit_check.self_test(CONFIG, [TrainingStore(path)], [painted_store.CARTON])
    assert not outcome.passed
    assert (outcome.steps, outcome.asked) == (8, 23)
    assert "FAIL: " in outcome.line()


def test_what_preflight_refuses_fails_before_the_first_step(tmp_path, capsys):
    path = painted_store.make(
        tmp_path / "store",
        change=lambda n, sample: painted_store.relabelled(sample, keypoints=sample.objects[0].keypoints[::-1]),
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("objects: [carton]\ncrop: 96\n")
    assert main([str(recipe), "--self-test", "--data", str(path)]) == 1
    assert "FAIL before the first step" in capsys.readouterr().out
