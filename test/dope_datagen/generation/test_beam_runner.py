"""Shards shared out by Apache Beam: the same files as without, and the user's mistakes in one line."""

import gzip
import importlib
import os
import pickle
import sys

import pytest

import dope_datagen.generation
from dope_datagen.commands.generate import main
from dope_datagen.generation.job import Job, Order
from dope_datagen.scenes.config import load_config
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import load_objects
from helpers.handmade_stores import all_files

IMAGES = 260  # two shards, the last one of four images
LAST = ["--shards", "1:2"]
HERE = ["--", "--runner=DirectRunner"]
PROCESSES = [*HERE, "--direct_running_mode=multi_processing", "--direct_num_workers=2"]


@pytest.fixture
def beam(monkeypatch):
    """The module, where Beam is installed."""
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed: pip install 'apache-beam>=2.71'")
    monkeypatch.setenv("LP_NUM_THREADS", "1")  # as Beam's workers set it: put back afterwards
    return importlib.import_module("dope_datagen.generation.beam_runner")


@pytest.fixture
def generate(small_config):
    """Call it with a folder and more arguments, as on the command line; returns the exit status."""

    def run(out, *arguments):
        return main([str(small_config), "--out", str(out), "--images", str(IMAGES), "--seed", "3", *arguments])

    return run


def scenes(folder):
    """What a folder of scenes holds."""
    packed = {file.name: file.read_bytes() for file in folder.iterdir()}
    return {name: gzip.decompress(content) if name.endswith(".gz") else content for name, content in packed.items()}


def error(capfd):
    """The one line that the user saw, apart from Beam's warnings and the bar."""
    text = capfd.readouterr().err
    assert "Traceback" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("dope generate: error: ")]
    return line


def test_scenes_drawn_by_beam_are_those_drawn_without_and_are_completed(beam, generate, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert generate(one, "--scenes-only", "--workers", "1") == 0
    assert generate(two, "--scenes-only", *LAST, "--runner", "beam", *HERE) == 0
    assert set(scenes(two)) == {"scenes.json", "000001.jsonl.gz"}
    stamp = (two / "000001.jsonl.gz").stat().st_mtime_ns
    assert generate(two, "--scenes-only", "--runner", "beam", *HERE) == 0
    assert (two / "000001.jsonl.gz").stat().st_mtime_ns == stamp
    assert scenes(two) == scenes(one)


@pytest.mark.render
def test_pictures_of_beam_are_the_same(beam, raster, generate, tmp_path):
    assert generate(tmp_path / "one", *LAST, "--workers", "1") == 0
    assert generate(tmp_path / "two", *LAST, "--runner", "beam", *HERE) == 0
    assert "labels/c/1/0" in all_files(tmp_path / "two")
    assert all_files(tmp_path / "two") == all_files(tmp_path / "one")


@pytest.mark.render
@pytest.mark.slow
def test_two_processes_of_beam_make_the_same_dataset_from_scenes_too(beam, raster, generate, tmp_path, capfd):
    drawn = tmp_path / "scenes"
    assert generate(tmp_path / "one", "--workers", "1") == 0
    assert generate(drawn, "--scenes-only", "--runner", "beam", *PROCESSES) == 0
    assert generate(tmp_path / "two", "--from-scenes", str(drawn), "--runner", "beam", "--workers", "2") == 0
    assert all_files(tmp_path / "two") == all_files(tmp_path / "one")
    capfd.readouterr()
    (drawn / "000001.jsonl.gz").unlink()
    assert generate(tmp_path / "three", *LAST, "--from-scenes", str(drawn), "--runner", "beam", *PROCESSES) == 2
    assert error(capfd).endswith("000001.jsonl.gz: no such file; draw these scenes first, with --scenes-only")


@pytest.mark.render
def test_a_mistake_of_the_user_comes_out_of_beam_as_one_line(beam, raster, generate, tmp_path, capfd):
    drawn = tmp_path / "scenes"
    assert generate(drawn, "--scenes-only", *LAST, "--workers", "1") == 0
    (drawn / "000001.jsonl.gz").rename(tmp_path / "away")
    arguments = [tmp_path / "data", "--from-scenes", str(drawn), *LAST, "--runner", "beam", *HERE]
    assert generate(*arguments) == 2
    assert error(capfd).endswith("000001.jsonl.gz: no such file; draw these scenes first, with --scenes-only")
    (tmp_path / "away").rename(drawn / "000001.jsonl.gz")
    assert generate(*arguments) == 0  # the mistake is forgotten


def test_shards_that_workers_wrote_elsewhere_are_noticed(beam, generate, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(beam, "_shard", lambda name, job, shard: 256)
    assert generate(tmp_path / "scenes", "--scenes-only", "--runner", "beam", *HERE) == 2
    assert "shard 0 is not there (2 of 2 are missing)" in error(capfd)


def test_a_worker_without_the_folder_says_so_before_it_renders_and_does_no_more(beam, small_config, tmp_path):
    config = load_config(small_config)
    process = beam._Process("one", Job(Order(config, {}, IMAGES), tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere: no such folder for the worker"):
        process.shard(0)
    assert process.shard(1) == 0
    assert not (tmp_path / "nowhere").exists()


def test_options_reach_beam_as_they_are_and_nothing_is_fetched(beam, generate, tmp_path, monkeypatch):
    from apache_beam.options.pipeline_options import DirectOptions
    from apache_beam.runners.portability.prism_runner import PrismRunner

    options = ["--runner=DirectRunner", "--direct_num_workers=3", "--direct_running_mode=multi_threading"]
    seen = beam._pipeline(options)._options.view_as(DirectOptions)
    assert (seen.direct_num_workers, seen.direct_running_mode) == (3, "multi_threading")
    assert beam._pipeline(["--runner=PortableRunner", "--of_its_server=3"])  # which may know it
    tried = []
    monkeypatch.setattr(PrismRunner, "run_pipeline", lambda *args: tried.append(args))
    assert generate(tmp_path / "scenes", "--scenes-only", "--runner", "beam", *HERE) == 0
    assert not tried


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--direct_num_worker=2"], "Beam has no option --direct_num_worker=2 for DirectRunner"),
        (["--direct_running_mode=threads"], "argument --direct_running_mode: invalid choice: 'threads'"),
        (["--runner=Nobody"], "Unexpected pipeline runner: Nobody"),
        (["2"], "Beam has no option 2"),
    ],
)
def test_options_that_beam_does_not_know_are_refused(beam, generate, tmp_path, capfd, options, message):
    assert generate(tmp_path / "data", "--runner", "beam", "--", *options) == 2
    assert message in error(capfd)
    assert not (tmp_path / "data").exists()


def test_workers_are_counted_in_one_place(beam, generate, tmp_path, capfd):
    assert generate(tmp_path / "data", "--runner", "beam", "--workers", "2", *HERE) == 2
    assert "--workers is not for a runner with options of its own" in error(capfd)


def test_without_beam_its_options_are_refused(generate, tmp_path, capfd):
    assert generate(tmp_path / "data", "--", "--direct_num_workers=2") == 2
    assert "'--direct_num_workers=2' is one argument too many; only --runner beam takes options" in error(capfd)


def test_a_missing_package_is_named_with_its_remedy(generate, tmp_path, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "dope_datagen.generation.beam_runner", raising=False)
    monkeypatch.delattr(dope_datagen.generation, "beam_runner", raising=False)
    assert generate(tmp_path / "data", "--runner", "beam") == 2
    assert "'apache_beam'; pip install \"apache-beam>=2.71\"" in error(capfd)
    assert not (tmp_path / "data").exists()


def test_a_job_takes_the_folder_of_meshes_along(small_config, tmp_path, monkeypatch):
    monkeypatch.setenv("DOPE_MODELS", str(tmp_path))
    job = pickle.dumps(Job(Order(load_config(small_config), load_objects(), 5), tmp_path, scenes_only=True))
    monkeypatch.delenv("DOPE_MODELS")  # on another machine
    pickle.loads(job).begin()
    assert os.environ["DOPE_MODELS"] == str(tmp_path)
