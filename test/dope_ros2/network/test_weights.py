import json
import os
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dope_ros2.common.errors import UserError
from dope_ros2.legacy.checkpoints import import_paper, read_checkpoint
from dope_ros2.network.calibration import PeakCalibration, ScoreModel
from dope_ros2.network.dope_lite import DopeLite
from dope_ros2.network.dope_paper import Paper
from dope_ros2.network.metadata import FILE_KEYS, Metadata, TrainedObject
from dope_ros2.network.weights import load, match_objects, read_appearances, save, write_appearances
from dope_ros2.objects.object_model import ObjectModel

BOX = ObjectModel(name="box", class_id=1, size=(0.1, 0.2, 0.3))
SHY = PeakCalibration(shrinkage=0.5, sigma_sure=0.1)
TRAINED = TrainedObject(name="box", size=(0.1, 0.2, 0.3))


@pytest.fixture(scope="module")
def paper():
    torch.manual_seed(0)
    return Paper().state_dict()


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_published_style_checkpoint_loads(tmp_path, paper, prefix, zipped):
    path = tmp_path / "net.pth"
    torch.save({prefix + k: v for k, v in paper.items()}, path, _use_new_zipfile_serialization=zipped)
    network, metadata = import_paper(path, BOX, "nvlabs-2018")
    assert torch.equal(network.state_dict()["m6_1.12.weight"], paper["m6_1.12.weight"])
    assert metadata.mean == (0.5, 0.5, 0.5)


class Payload:
    def __reduce__(self):
        return os.system, ("echo code ran > ran.txt",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save({"vgg.0.weight": Payload()}, "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"evil\.pth: refused"):
        read_checkpoint("evil.pth")
    assert not (tmp_path / "ran.txt").exists()


def test_a_plain_pickle_is_refused(tmp_path):
    path = tmp_path / "plain.pth"
    path.write_bytes(pickle.dumps(Payload()))
    with pytest.raises(UserError, match="refused"):
        read_checkpoint(path)


def test_another_networks_checkpoint_is_refused_by_name(tmp_path):
    torch.save(DopeLite(1).state_dict(), tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other\.pth: its layers are not those of the DOPE network"):
        import_paper(tmp_path / "other.pth", BOX, "nvlabs-2024")


def test_saved_weights_come_back_with_their_metadata(tmp_path):
    torch.manual_seed(1)
    network, trained = DopeLite(1), replace(TRAINED, distance_bias=0.03)
    save(
        tmp_path / "w.safetensors",
        network,
        Metadata(architecture="dope-lite", objects=(trained,), training={"steps": 3}, calibration=SHY),
    )
    again, metadata = load(tmp_path / "w.safetensors")
    assert metadata.objects == (trained,)
    assert metadata.training == {"steps": 3}
    assert metadata.calibration == SHY
    for key, value in network.state_dict().items():
        np.testing.assert_allclose(again.state_dict()[key], value, atol=1e-3, rtol=1e-3)


LOOKS = {
    "box": {"points": np.array([[0, 40_000, 65_535]], np.uint16), "frame": np.array([1e-12, 3.0])},
    "tea-box_2": {"normals": np.array([[-128, 0, 127]], np.int8), "colors": np.zeros((0, 3), np.uint8)},
}
LOOKS["twin"] = LOOKS["box"]


def test_what_objects_look_like_comes_back_to_the_bit_and_the_network_does_not_mind(tmp_path):
    path, metadata = tmp_path / "w.safetensors", Metadata(architecture="dope-lite", objects=(TRAINED,))
    save(path, DopeLite(1), metadata)
    assert read_appearances(path) == {}
    write_appearances(path, LOOKS)
    assert load(path)[1] == metadata
    again = read_appearances(path)
    assert again.keys() == LOOKS.keys()
    for name, arrays in LOOKS.items():
        assert again[name].keys() == arrays.keys()
        for key, array in arrays.items():
            assert again[name][key].dtype == array.dtype
            np.testing.assert_array_equal(again[name][key], array)
    write_appearances(path, {})
    assert read_appearances(path) == {}
    save(path, load(path)[0], metadata, LOOKS)
    assert read_appearances(path).keys() == LOOKS.keys()


def test_every_type_in_which_looks_are_stored_can_be_read_by_the_oldest_pytorch(tmp_path):
    save(tmp_path / "w.safetensors", DopeLite(1), Metadata(architecture="dope-lite", objects=(TRAINED,)), LOOKS)
    with safe_open(tmp_path / "w.safetensors", "np") as file:
        types = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118, it is no mapping
    assert types <= {"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U8", "BOOL"}  # 2.1 has no U16


def test_missing_weights_are_named_and_where_others_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # as where only an installed package is
    with pytest.raises(UserError, match=r"none\.safetensors: no such weights file") as caught:
        load("none.safetensors")
    assert list(Path(str(caught.value).split()[-1]).glob("*.safetensors"))


@pytest.mark.parametrize("keep", [0, 4, 100, 5000])
def test_truncated_weights_are_refused(tmp_path, keep):
    path = tmp_path / "cut.safetensors"
    save(path, DopeLite(1), Metadata(architecture="dope-lite", objects=(TRAINED,)))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"cut\.safetensors: not a complete safetensors file"):
        load(path)


@pytest.mark.parametrize("text", [None, "{}", json.dumps({"architecture": "dope-lite", "objects": [{"name": "a"}]})])
def test_a_safetensors_file_of_something_else_is_refused(tmp_path, text):
    save_file({"a": torch.zeros(2)}, tmp_path / "x.safetensors", {"dope": text} if text else None)
    with pytest.raises(UserError, match=r"x\.safetensors"):
        load(tmp_path / "x.safetensors")


MEASURED = Metadata(
    architecture="dope-lite", objects=(TRAINED,), calibration=PeakCalibration(0.4, 0.1, 0.7),
    score_model=ScoreModel(-1.5, 4.0, 0.6, -0.8, -0.3, 2.5), training={"sure": 1, "score_model": 2},
)  # fmt: skip


def test_files_keep_their_keys_whatever_the_code_calls_them():
    entry = json.loads(MEASURED.to_json())
    assert entry["calibration"] == {"inward": 0.4, "sure": 0.1, "unsure": 0.7}
    assert entry["trust"] == {"bias": -1.5, "belief": 4.0, "cells": 0.6, "range": -0.8, "turn": -0.3, "spread": 2.5}
    assert not entry.keys() & FILE_KEYS.keys()
    assert entry["training"] == MEASURED.training
    assert Metadata.from_json(json.dumps(entry)) == MEASURED


def test_files_with_the_names_of_the_code_are_read_as_well():
    assert Metadata.from_json(json.dumps(asdict(MEASURED))) == MEASURED


def test_a_figure_that_stands_under_both_of_its_names_is_refused():
    entry = json.loads(MEASURED.to_json())
    for wrong in ({"score_model": {}}, {"calibration": {"sure": 0.1, "sigma_sure": 0.2}}):
        with pytest.raises(ValueError, match="stands twice"):
            Metadata.from_json(json.dumps(entry | wrong))


def test_weights_from_before_distances_were_measured_have_no_bias():
    entry = json.loads(Metadata(architecture="dope-lite", objects=(TRAINED,)).to_json())
    del entry["objects"][0]["distance_bias"]
    assert Metadata.from_json(json.dumps(entry)).objects == (TRAINED,)


@pytest.mark.parametrize("bias", [0.6, -0.6, float("nan"), "0.1"])
def test_a_bias_that_no_measurement_gives_is_refused(bias):
    with pytest.raises(ValueError, match=r"distance_bias is at most 0\.5|a number is none"):
        Metadata(architecture="dope-lite", objects=(replace(TRAINED, distance_bias=bias),))


def test_an_object_that_objects_yaml_lacks_is_named():
    metadata = Metadata(architecture="dope-lite", objects=(TrainedObject(name="bax", size=(0.1, 0.2, 0.3)),))
    with pytest.raises(UserError, match=r"knows the object 'bax'.*did you mean 'box'"):
        match_objects("w.safetensors", metadata, {"box": BOX})


def test_a_size_that_differs_from_the_training_is_refused():
    other = ObjectModel(name="box", class_id=1, size=(0.1, 0.2, 0.33))
    metadata = Metadata(architecture="dope-lite", objects=(TRAINED,))
    with pytest.raises(UserError, match="was trained with"):
        match_objects("w.safetensors", metadata, {"box": other})
