"""`dope check` on datasets that `dope convert` has made: they can be checked and marked, but not rendered again."""

import shutil

import pytest

from dope_datagen.commands import check, convert
from dope_datagen.dataset import shard_state
from dope_datagen.dataset.store import Dataset
from dope_ros2.common.errors import UserError
from helpers.handmade_images import OBJECTS_YAML, sample, write_store
from helpers.handmade_stores import all_files, relabel


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Our store, written as NDDS and read back."""
    folder = tmp_path_factory.mktemp("converted")
    (folder / "objects.yaml").write_text(OBJECTS_YAML)
    write_store(folder / "ours", [sample(n) for n in range(3)])
    for source, to, out in (("ours", "ndds", "ndds"), ("ndds", "store", "back")):
        arguments = [str(folder / source), "--to", to, "--out", str(folder / out)]
        assert convert.main([*arguments, "--objects-file", str(folder / "objects.yaml")]) == 0
    return folder / "back"


@pytest.fixture
def data(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "data")


def broken(entry):
    entry["objects"][0]["visibility"] = 1.5


def test_a_converted_dataset_is_sound_and_says_that_it_is_converted(data, capsys):
    assert check.main([str(data)]) == 0, capsys.readouterr().out
    assert shard_state.converted(data)
    assert "faults: none" in capsys.readouterr().out


def test_a_dataset_of_ours_is_not_converted(tmp_path):
    assert not shard_state.converted(write_store(tmp_path / "ours", [sample(0)]))


def test_repair_says_what_to_do_instead_and_changes_nothing(data, capsys):
    relabel(data, 1, broken)
    before = all_files(data)
    assert check.main([str(data), "--repair"]) == 2
    error = capsys.readouterr().err.strip()
    assert "was made by `dope convert`, so --repair cannot render it again; convert the source again" in error
    assert "\n" not in error
    assert all_files(data) == before


def test_faults_are_named_with_what_can_be_done_about_them(data, capsys):
    relabel(data, 1, broken)
    assert check.main([str(data)]) == 1
    printed = capsys.readouterr().out
    assert "visibility 1.5 is outside [0, 1]" in printed
    assert "--mark leaves them out; to have them back, convert the source again, into another --out" in printed
    assert "dope generate" not in printed


def test_marked_shards_are_left_out_and_never_promised_from_generate(data, capsys):
    relabel(data, 1, broken)
    assert check.main([str(data), "--mark"]) == 1
    assert "left out: 0; to have them back, convert the source again" in capsys.readouterr().out
    assert shard_state.finished(data) == []
    with pytest.raises(UserError, match="no finished shard in this dataset; convert the source again"):
        Dataset.open(data)
    assert check.main([str(data)]) == 2
    error = capsys.readouterr().err
    assert "no finished shard in this dataset; convert the source again" in error
    assert "dope generate" not in error
