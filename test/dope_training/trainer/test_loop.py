"""The parts of training: sub-batches, the order of images, starting from weights, verdicts, logs, public files."""

import re
import sys
from datetime import timedelta
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import LightningEnvironment

from dope_ros2.common.errors import UserError
from dope_ros2.network.weights import load
from dope_training.config import TrainConfig
from dope_training.data.crops import Stores, crops_of, stack
from dope_training.data.loaders import Stream, pictures_a_step
from dope_training.data.progress import DataPosition
from dope_training.data.sampler import WeightedSampler
from dope_training.data.split import TrainingStore
from dope_training.objective.training_module import BeliefModule
from dope_training.optimizers.ema import ExponentialMovingAverage
from dope_training.optimizers.optimizers import learning_rate, make_optimiser
from dope_training.train import RunOptions, run_together, train
from dope_training.trainer.diagnosis import Validation, verdict
from dope_training.trainer.logs import TRAIN_LINE, VALIDATION_LINE, VERDICT_LINE, Table, train_line
from dope_training.trainer.step import split, train_step
from dope_training.trainer.stopping import parse_duration
from dope_training.trainer.validation import chosen, summed_up
from helpers.tiny_training import RECIPE, make_store, rows

pytestmark = pytest.mark.usefixtures("denormals")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="module")
def stores(data) -> Stores:
    return crops_of([data, data], TrainConfig(**RECIPE), training=True)


@pytest.fixture(scope="module")
def uneven(stores):
    """Eight crops of which some have no object to be learnt."""
    batch = stack([stores[0, index] for index in range(8)])
    for crop in (2, 3, 5, 7):
        batch.classes[crop] = -1
    return batch


def smaller(batch, count):
    """Some of the crops, and of those a corner."""
    batch = batch.part(slice(count))
    return batch._replace(image=batch.image[:, :32, :32], seen=batch.seen[:, :32, :32])


def step(config, batch, size):
    """One step from the same weights; the losses and the network's weights before clipping could matter."""
    torch.manual_seed(0)
    fabric = Fabric(accelerator="cpu", devices=1, plugins=[LightningEnvironment()])
    module = BeliefModule(config.model_copy(update={"subbatch_size": size, "clip": 1e9, "optimizer": "sgd"}))
    model, optimiser = fabric.setup(module, make_optimiser(module.network, module.config))
    for group in optimiser.param_groups:
        group["lr"] = 1e-3
    total, _ = train_step(fabric, model, optimiser, batch)
    return {name: float(value) for name, value in total.items()}, torch.cat(
        [p.detach().flatten() for p in module.network.parameters()]
    )


@pytest.mark.parametrize("architecture", ["plain", "paper"])
def test_sub_batches_add_up_to_the_batch(uneven, architecture):
    config = TrainConfig(**RECIPE | {"architecture": architecture})
    batch = uneven
    if architecture == "paper":
        batch = smaller(uneven, 3)
    whole, weights = step(config, batch, 0)
    losses, same = step(config, batch, max(1, len(batch.image) // 4))
    assert losses == pytest.approx(whole, rel=1e-5)
    torch.testing.assert_close(same, weights, rtol=0, atol=1e-5 * float(weights.abs().max()))


def test_the_mean_of_sub_batches_would_be_something_else(uneven):
    module = BeliefModule(TrainConfig(**RECIPE | {"architecture": "plain"}))
    with torch.no_grad():
        whole = module(uneven)["loss"]
        mean = sum(module(piece)["loss"] for piece in split(uneven, 2)) / 4
    assert abs(mean / whole - 1) > 0.01


def test_the_published_network_is_trained_at_every_stage(uneven):
    module = BeliefModule(TrainConfig(**RECIPE | {"architecture": "paper"}))
    batch = smaller(uneven, 1)
    losses = module(batch)
    assert sum(losses[f"stage{k}"] for k in range(1, 7)).item() == pytest.approx(losses["loss"].item())
    losses["loss"].backward()
    assert all(p.grad is not None for p in module.network.parameters())


def stream(mix, place, steps, rank=0, ranks=1):
    return list(Stream(mix, 6, place, steps, rank=rank, ranks=ranks))


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_each_picture_is_seen_once_an_epoch_whatever_the_number_of_ranks(ranks):
    mix = WeightedSampler([7, 10], [1.0, 1.0], seed=3)
    whole = stream(mix, DataPosition(), 17)  # 102 images, six epochs of 17
    shares = [stream(mix, DataPosition(), 17, rank, ranks) for rank in range(ranks)]
    assert [list(chain(*parts)) for parts in zip(*shares, strict=True)] == whole
    visits = [visit for batch in whole for visit in batch]
    assert sorted(visits) == [(epoch, index) for epoch in range(6) for index in range(17)]
    assert visits[:17] != [(0, index) for _, index in visits[17:34]]


def test_a_stream_from_a_place_is_the_rest_of_the_stream():
    mix = WeightedSampler([7, 10], [1.0, 1.0], seed=3)
    whole, place = stream(mix, DataPosition(), 12), DataPosition()
    for done in range(12):
        assert stream(mix, place, 12 - done) == whole[done:]
        place = place.after(6, 17)


def test_a_batch_that_the_ranks_cannot_share_is_refused():
    config = TrainConfig(**RECIPE | {"batch_size": 6, "crops_per_picture": 2})
    assert pictures_a_step(config, 3) == 3
    with pytest.raises(UserError, match="cannot be shared by 2 devices; make it a multiple of 4"):
        pictures_a_step(config, 2)


def test_a_crop_depends_on_seed_epoch_and_picture_alone(stores, data):
    again = crops_of([data, data], TrainConfig(**RECIPE), training=True)
    crop = stores[3, 7].image
    assert torch.equal(again[3, 7].image, crop)
    other_seed = crops_of([data, data], TrainConfig(**RECIPE | {"seed": 1}), training=True)
    for other in (stores[4, 7], stores[3, 8], stores[3, 7 + 16], other_seed[3, 7]):
        assert not torch.equal(other.image, crop)


def test_the_learning_rate_warms_up_and_falls_to_a_hundredth():
    config = TrainConfig(**RECIPE | {"warmup": 10, "learning_rate": 1.0})
    rates = [learning_rate(config, step, 100) for step in range(101)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert max(rates) == pytest.approx(rates[10]) == pytest.approx(1)
    assert rates[100] == pytest.approx(0.01)
    assert np.all(np.diff(rates[10:]) < 0)


def test_the_average_follows_the_weights_and_begins_with_the_first():
    module = torch.nn.Linear(1, 1)
    average = ExponentialMovingAverage(module, 0.9)
    values = []
    for number in range(1, 200):
        torch.nn.init.constant_(module.weight, 1.0 if number < 100 else 2.0)
        average.update(number)
        values.append(float(average.module.weight))
    assert values[0] == 1
    assert values[98] == pytest.approx(1)
    assert values[103] == pytest.approx(2 - 0.9**5)


@pytest.mark.parametrize("name", ["adam", "adamw", "muon", "sgd"])
def test_every_optimiser_is_made(name):
    optimiser = make_optimiser(torch.nn.Linear(2, 2), TrainConfig(**RECIPE | {"optimizer": name}))
    assert type(optimiser).__name__.lower() == name
    decays = [0.0 if name == "adam" else 0.02] * (2 if name == "muon" else 1)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [*decays, 0.0]


def entries(*rows):
    return [Validation(500 * (k + 1), *row) for k, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([Validation(100, 50, 50, 24, 24)], "too early to say"),
        (entries((50, 50, 24, 24), (49, 50, 24, 24)), "learning nothing: the belief loss 24 has not fallen below"),
        (entries((50, 50, 24, 24), (40, 40, 15, 24, 0.0)), "learning: maps better than nothing, poses not right yet"),
        (entries((50, 50, 24, 24), (30, 30, 9, 24, 0.4)), "learning"),
        (entries((30, 30, 9, 24), (80, 90, 20, 24)), "diverging: the held-out loss is 3.0 times that of step 500"),
        (
            entries((30, 30, 9, 24), (20, 25, 8, 24), (15, 26, 8, 24), (12, 27, 8, 24), (10, 28, 8, 24)),
            "over-fitting: the training loss still falls, the held-out one is lowest at step 1000",
        ),
        (
            entries((30, 30, 9, 24), (20, 20, 8, 24), (20, 20, 8, 24), (20, 19.95, 8, 24)),
            "hardly learning any more: the held-out loss was 20 a quarter of the run ago",
        ),
    ],
)
def test_the_verdict_says_how_a_run_goes(history, words):
    said = verdict(history, warmup=100)
    assert said == words or (":" in words and said.startswith(words))


def test_an_all_zero_map_has_the_loss_that_verdicts_compare_with(uneven):
    module = BeliefModule(TrainConfig(**RECIPE))
    torch.nn.init.zeros_(module.network.head.weight)
    torch.nn.init.zeros_(module.network.head.bias)
    assert module.empty_loss(module.wanted(uneven)) == pytest.approx(module(uneven)["belief"].item())


def test_figures_of_poses_count_the_missed_ones():
    poses = summed_up(np.array([[0.01, 0.1], [0.03, 0.2], [np.inf, np.inf], [0.02, 0.3]]))
    assert poses[:3] == pytest.approx((4, 0.75, 0.02))
    assert poses.rotation == pytest.approx(np.rad2deg(0.2))
    assert summed_up(np.zeros((0, 2))).recall == 0


def test_pictures_for_poses_are_held_out_ones_of_all_stores(data):
    pictures = chosen([data, data], 0.2, 6)
    assert len(pictures) == len({(k, p) for k, p in enumerate(pictures)}) == 6
    assert {index for _, index in pictures} <= {16, 17, 18, 19}
    assert len(chosen([data], 0.2, 100)) == 4


def test_lines_are_those_that_log_scrapers_of_published_code_read():
    line = train_line(DataPosition(2, 512), 8000, {"loss": 0.0123, "belief": 0.01}, 41.26, 3725.4)
    assert line.startswith("Train Epoch: 3 [512/8000 (6%)]\tLoss: 0.012300000000000")
    found = re.match(TRAIN_LINE, line).groupdict()
    assert found | {"loss": float(found["loss"])} == {
        "epoch": "3", "seen": "512", "length": "8000", "percent": "6", "loss": 0.0123,
    }  # fmt: skip
    assert line.endswith("\t41.3 images/s\t1:02:05 left")
    documented = (Path(__file__).resolve().parents[3] / "docs" / "train.md").read_text().splitlines()
    assert {f"    {pattern}" for pattern in (TRAIN_LINE, VALIDATION_LINE, VERDICT_LINE)} <= set(documented)


def test_a_table_is_cut_where_a_run_goes_on(tmp_path):
    table = Table(tmp_path / "t.csv", 0)
    for number in range(1, 6):
        table.add({"step": number, "loss": number / 10})
    with (tmp_path / "t.csv").open("a") as file:
        file.write("6")  # a row that a kill cut
    Table(tmp_path / "t.csv", 3).add({"step": 4, "loss": 9})
    assert (tmp_path / "t.csv").read_text().split() == ["step,loss", "1,0.1", "2,0.2", "3,0.3", "4,9"]


@pytest.mark.parametrize("text", ["", "8", "8:45", "0:00:00", "1:60:00", "eight"])
def test_a_time_is_hours_minutes_and_seconds(text):
    assert parse_duration("8:45:00") == timedelta(hours=8, minutes=45)
    with pytest.raises(UserError, match="HH:MM:SS"):
        parse_duration(text)


def test_training_is_called_from_a_notebook(tmp_path, data, capsys):
    recipe = TrainConfig(**RECIPE | {"steps": 4, "validate_every": 4, "validation_poses": 2, "learning_rate": 1e-9})
    weights = train(recipe, RunOptions(data=[TrainingStore(data)], out=tmp_path / "run", workers=0))
    assert load(weights)[1].training["steps"] == 4
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if re.match(TRAIN_LINE, line)]) == 4
    [validation] = [match for line in lines if (match := re.match(VALIDATION_LINE, line))]
    assert validation["steps"] == "4"
    assert "\tRecall: " in validation.string
    assert [re.match(VERDICT_LINE, line)["verdict"] for line in lines if line.startswith("Verdict")]
    [row] = rows(tmp_path / "run", "validation")
    assert {"loss", "belief", "affinity", "empty", "recall", "translation", "rotation", "verdict"} <= row.keys()


def test_without_tensorboard_there_is_a_hint_and_with_it_there_are_logs(tmp_path, data, capsys, monkeypatch):
    recipe = TrainConfig(**RECIPE | {"steps": 2, "validate_every": 2})
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    train(recipe, RunOptions(data=[TrainingStore(data)], out=tmp_path / "without", workers=0))
    assert "TensorBoard is not installed (pip install tensorboard)" in capsys.readouterr().err
    monkeypatch.undo()
    train(recipe, RunOptions(data=[TrainingStore(data)], out=tmp_path / "with", workers=0))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "with" / "tensorboard")).Reload()
    tags = events.Tags()
    assert {"train/loss", "train/learning_rate", "train/belief", "validation/loss"} <= set(tags["scalars"])
    assert tags["images"] == ["beliefs"]


@pytest.mark.slow
def test_several_devices_are_started_from_one_call(tmp_path, data):
    recipe = TrainConfig(**RECIPE | {"architecture": "dope-lite", "steps": 3, "validate_every": 3})
    options = RunOptions(data=[TrainingStore(data)], out=tmp_path / "run", devices=2, workers=0)
    weights = train(recipe, options)
    assert len(rows(tmp_path / "run")) == 3
    assert load(weights)[1].training["steps_done"] == 3


@pytest.mark.slow
def test_a_mistake_that_a_process_finds_is_that_of_the_call_that_started_it(tmp_path, data):
    recipe = TrainConfig(**RECIPE | {"architecture": "dope-lite", "batch_size": 24})
    options = RunOptions(data=[TrainingStore(data)], out=tmp_path / "run", workers=0)
    with pytest.raises(UserError, match="16 images are fewer than a step's 24"):
        run_together(recipe, options.with_models(recipe))


def test_a_batch_that_the_devices_cannot_share_is_refused_before_they_are_started(tmp_path, data):
    options = RunOptions(data=[TrainingStore(data)], out=tmp_path / "run", devices=3)
    with pytest.raises(UserError, match="cannot be shared by 3 devices"):  # others would not know this architecture
        train(TrainConfig(**RECIPE), options)
