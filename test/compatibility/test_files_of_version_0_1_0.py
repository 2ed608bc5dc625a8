"""What a user of version 0.1.0 has still works: weights, checkpoint, store, objects, parameters, recording, verbs.

The files in version_0_1_0/ were written by that version, before modules, types and constants got their present names.
"""

import csv
import json
import re
import shutil
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from dope_datagen.commands.check import main as check
from dope_datagen.dataset.store import Dataset
from dope_ros2 import cli
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.network.weights import load
from dope_ros2.objects.object_model import load_objects
from dope_ros2.pipeline.recording import read as read_recording
from dope_ros2.pipeline.recording_player import play
from dope_training.commands.train import main as train
from helpers.node_recording import Shaky
from helpers.tiny_training import RECIPE

OLD = Path(__file__).parent / "version_0_1_0"
WEIGHTS = Path(__file__).resolve().parents[2] / "weights" / "dope-lite.safetensors"
OPTIONS = json.loads((OLD / "options.json").read_text())


def losses(path):
    with path.open() as file:
        return {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file)}


def test_the_shipped_weights_say_of_a_picture_what_they_said():
    expected = json.loads((OLD / "scene" / "expected.json").read_text())
    image = np.ascontiguousarray(cv2.imread(str(OLD / "scene" / "cartons.jpg"))[..., ::-1])
    camera = CameraModel(np.array(expected["K"]), expected["width"], expected["height"])
    found = Estimator.load(WEIGHTS, load_objects(), "cpu", "torch")(image, camera, Settings(refine=False))
    assert [d.model.name for d in found] == [d["name"] for d in expected["detections"]]
    for now, before in zip(found, expected["detections"], strict=True):
        assert now.score == pytest.approx(before["score"], abs=0.01)
        np.testing.assert_allclose(now.pose.translation, before["translation"], atol=5e-4)  # [m]
        np.testing.assert_allclose(now.pose.quaternion, before["quaternion"], atol=2e-3)
        np.testing.assert_allclose(np.sqrt(np.diag(now.covariance)), before["sigma"], rtol=0.02)


def test_a_run_goes_on_from_its_checkpoint_as_it_would_have_gone_on(tmp_path, denormals):
    assert "tiny" in RECIPE["architecture"]  # registers the network of the recipe
    run = shutil.copytree(OLD / "run", tmp_path / "run")
    arguments = [OLD / "recipe.json", "--data", OLD / "store", "--out", run, "--workers", 0, "--no-tensorboard"]
    assert train([*map(str, arguments), "--resume"]) == 0
    now, before = losses(run / "train.csv"), losses(OLD / "expected-train.csv")
    assert now.keys() == before.keys()
    assert [now[step] for step in sorted(now)] == pytest.approx([before[step] for step in sorted(now)], rel=1e-4)


def test_weights_of_an_earlier_run_are_read_with_their_metadata():
    _, metadata = load(OLD / "run" / "weights.safetensors")
    assert (metadata.architecture, [o.name for o in metadata.objects]) == ("tiny", ["carton"])


def test_a_store_is_whole_and_read(tmp_path):
    store = shutil.copytree(OLD / "store", tmp_path / "store")
    assert check([str(store), "--workers", "1"]) == 0
    data = Dataset.open(store)
    assert len(data) == 20
    assert {label.name for label in data[0].objects} <= {"carton"}


def test_objects_and_parameters_of_a_node_keep_their_keys():
    objects = load_objects(OLD / "objects.yaml")
    assert objects.keys() == load_objects().keys()
    now = yaml.safe_load((WEIGHTS.parents[1] / "config" / "dope.yaml").read_text())
    for node, content in yaml.safe_load((OLD / "dope.yaml").read_text()).items():
        assert content["ros__parameters"].keys() <= now[node]["ros__parameters"].keys()


@pytest.mark.ros
def test_a_node_has_all_its_parameters_with_their_defaults(tmp_path):
    rclpy = pytest.importorskip("rclpy")
    from dope_ros2.nodes.dope_node import DopeNode
    from helpers.fake_dope_node import load as fake

    context = rclpy.Context()
    context.init(args=["--ros-args", "--params-file", str(OLD / "dope.yaml")])
    node = DopeNode(fake, context=context)
    values = {name: parameter.value for name, parameter in node.get_parameters_by_prefix("").items()}
    node.destroy_node()
    context.try_shutdown()
    for name, before in json.loads((OLD / "dope_node_parameters.json").read_text()).items():
        assert (list(values[name]) if isinstance(before, list) else values[name]) == before


def test_a_recording_is_replayed_to_the_same_answers():
    recording = read_recording(OLD / "recording")
    replayed = list(play(OLD / "recording", recording, Shaky()))
    assert len(replayed) == 6
    for image in replayed:
        recorded = {d.id: d.results[0].hypothesis.score for d in image.recorded.detections}
        assert {d.track: d.score for d in image.found} == pytest.approx(recorded)


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_option_of_a_verb_is_still_there(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    with suppress(SystemExit):  # which is argparse's way to end
        cli.main([*verb.split(), "--help"])
    now = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", capsys.readouterr().out))
    assert set(OPTIONS[verb]) <= now
