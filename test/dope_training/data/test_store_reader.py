"""Damaged stores, names and sizes that differ, weights of stores, and crops as a function of their number."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dope_datagen.dataset import shards
from dope_ros2.common.errors import UserError
from dope_training.config import TrainConfig
from dope_training.data.crops import crops_of, stack
from dope_training.data.object_names import spelled
from dope_training.data.sampler import WeightedSampler
from dope_training.data.split import TrainingStore
from dope_training.data.store_reader import ResilientReader, TooManyError, readable
from helpers import painted_store

CONFIG = TrainConfig(objects=["carton"], crop=64)


def spoil(path, number, name="rgb"):
    """Overwrite the stored bytes of one image."""
    file = shards.chunk_file(path / name, number // shards.SHARD)
    reader = shards.Reader(path / name)
    reader.row(number)
    offset, length = (int(v) for v in reader._indices[number // shards.SHARD][number % shards.SHARD])
    with open(file, "r+b") as handle:
        handle.seek(offset)
        handle.write(os.urandom(1) * length)


@pytest.fixture
def store(tmp_path):
    return painted_store.make(tmp_path / "store", 60)


def test_a_visit_has_its_crops_and_another_one_has_others(store):
    one, two = (crops_of([store], CONFIG, training=True) for _ in range(2))
    for field, same in zip(one[2, 7], two[2, 7], strict=True):
        assert torch.equal(field, same)
    for other in ((3, 7), (2, 7 + len(one)), (2, 8)):
        assert not torch.equal(one[2, 7].image, one[other].image)


def test_visits_lead_to_the_stores(store, tmp_path):
    second = painted_store.make(tmp_path / "second", 20)
    pictures = crops_of([store, second], CONFIG, training=True)
    assert pictures.lengths == [59, 19]
    second = pictures.datasets[1]
    for repeat in (0, 3):
        assert torch.equal(pictures[5, 59 + 4 + repeat * 78].image, second[5, 4 + repeat * 19].image)
    visits = [(0, visit) for visit in WeightedSampler(pictures.lengths, [1, 2], 0)]
    batches = list(DataLoader(pictures, 8, sampler=visits, collate_fn=stack))
    assert sum(len(batch.image) for batch in batches) == 59 + 2 * 19


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_picture_is_named_once_counted_and_replaced(store, capfd, workers):
    spoil(store, 11)
    pictures = crops_of([store], CONFIG, training=True)
    again = crops_of([store], CONFIG, training=True)
    loader = DataLoader(
        pictures, 1, sampler=[(0, 11), (0, 12), (1, 11), (2, 11)], collate_fn=stack, num_workers=workers
    )
    batches = list(loader)
    assert capfd.readouterr().out.count("image 11 cannot be read") == 1
    assert torch.equal(batches[0].image, again[0, 11].image)
    assert pictures.datasets[0].reading.counts[1] == 3
    assert "3 of 7 images could not be read (shard 0)" in pictures.unreadable()[0]


def test_a_shard_cut_short_is_named_with_its_number(tmp_path, capsys):
    path = painted_store.make(tmp_path / "store", 300, of=lambda number: painted_store.picture(number % 8))
    os.truncate(shards.chunk_file(path / "mask", 1), 100)
    reading = ResilientReader(path)
    rng = np.random.default_rng(0)
    for place in (10, 20, 30, 280):
        assert len(reading.one_of(range(300), place, rng).objects) == 1
    assert "shard 1: image 280 cannot be read" in capsys.readouterr().out
    assert sum(1 for _ in readable(reading.store, range(300))) == 256


def test_a_store_that_is_mostly_unreadable_stops_with_one_line(store):
    for number in range(0, 60, 3):
        spoil(store, number, "labels")
    visits = [(0, index) for index in range(59)]
    loader = DataLoader(crops_of([store], CONFIG, training=True), 1, sampler=visits, collate_fn=stack, num_workers=1)
    with pytest.raises(TooManyError, match=r"10 of the \d+ images drawn cannot be read, more than 10%") as caught:
        list(loader)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(store))


def test_a_label_that_is_not_finite_counts_as_unreadable(tmp_path):
    keypoints = np.full((9, 2), np.nan)
    path = painted_store.make(
        tmp_path / "store", 4, change=lambda n, s: painted_store.relabelled(s, keypoints=keypoints) if n == 2 else s
    )
    assert ResilientReader(path)(2) is None
    assert ResilientReader(path)(1) is not None


def test_case_does_not_count_unless_a_store_has_both():
    assert spelled(["Carton", "mug"], ["carton", "tin"]) == {"Carton": "carton"}
    assert spelled(["Carton", "carton"], ["carton"]) == {"carton": "carton"}


def test_a_store_that_writes_a_name_in_capitals_is_trained_on(tmp_path):
    other = replace(painted_store.CARTON, name="CARTON")
    path = painted_store.make(tmp_path / "store", 8, [other], of=lambda number: painted_store.picture(number, other))
    batch = crops_of([path], CONFIG, training=True)[0, 0]
    assert (batch.classes == 0).sum() == 1


def test_stores_of_different_objects_are_refused(store, tmp_path):
    large = replace(painted_store.CARTON, size=(0.2, 0.11, 0.06))
    second = painted_store.make(tmp_path / "second", 4, [large])
    with pytest.raises(UserError) as caught:
        crops_of([store, second], CONFIG, training=True)
    for part in (str(store), str(second), "carton", "[0.2, 0.11, 0.06]", "[0.16, 0.11, 0.06]"):
        assert part in str(caught.value)
    moved = replace(painted_store.CARTON, centre=(0.0, 0.0, 0.05))
    third = painted_store.make(tmp_path / "third", 4, [moved])
    with pytest.raises(UserError, match="its centre is"):
        crops_of([store, third], CONFIG, training=True)


def test_a_weight_stands_after_the_path(tmp_path):
    odd = tmp_path / "data=3"
    odd.mkdir()
    assert TrainingStore.parse("out/data") == TrainingStore(tmp_path.__class__("out/data"), 1)
    assert TrainingStore.parse("out/data=2.5").weight == 2.5
    assert TrainingStore.parse(str(odd)) == TrainingStore(odd, 1)
    assert TrainingStore.parse(f"{odd}=1") == TrainingStore(odd, 1)
    assert TrainingStore.parse("out/a=b").path.name == "a=b"
    for weight in ("0", "-1", "nan", "inf"):
        with pytest.raises(UserError, match="must be above 0"):
            TrainingStore.parse(f"out/data={weight}")
