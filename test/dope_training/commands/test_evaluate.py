"""`dope evaluate`: what it counts, with an estimator that knows the answers; and its command line."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dope_datagen.dataset import store
from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Sample
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import save
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import load_objects
from dope_training.commands.evaluate import evaluate, main

CARTON = load_objects()["carton"]
CAMERA = CameraModel.from_focal(150, 160, 120)
VISIBILITY = (1.0, 1.0, 1.0, 0.3)


def picture(number):
    """A carton in the middle, less visible in the last image; the number is written into the first pixel."""
    pose = Pose.random(np.random.default_rng(number), (0, 0, 0.8))
    rgb = np.full((120, 160, 3), 40 * number, np.uint8)
    keypoints = CAMERA.project(pose.apply(CARTON.keypoints))
    label = Label("carton", CARTON.class_id, pose, keypoints, VISIBILITY[number], 0.0, (50, 40, 60, 40), 2400, 2400)
    return Sample(rgb, CAMERA, [label], np.zeros((120, 160), np.uint8))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "store"
    store.create(path, 4, 0, {"width": 160, "height": 120, "depth": False}, [CARTON])
    store.write_shard(path, 0, [picture(n) for n in range(4)], 95)
    return path


class Knowing:
    """Answers with the true pose, changed as `change` says for each image; None finds nothing."""

    models = (CARTON,)

    def __init__(self, *changes):
        self.changes = changes

    def __call__(self, image, camera, settings):
        number = round(float(image.mean()) / 40)
        change = self.changes[number]
        if change is None:
            return []
        truth = picture(number).objects[0].pose
        pose = Pose(truth.rotation @ change.rotation, truth.translation + change.translation)
        return [Detection(CARTON, 0.9, pose, np.eye(6), np.zeros((9, 2)), 0.0)]


def turned(degrees, further=0.0):
    return Pose(Rotation.from_euler("z", degrees, degrees=True).as_matrix(), np.array([0, 0, further]))


def test_right_missed_and_wrong_poses_are_counted(data):
    report = evaluate(Knowing(turned(4, 0.008), None, turned(60), None), data, range(4), Settings(), 0.6)["carton"]
    assert report.instances == 3  # the hidden one is not asked for
    assert report.recall == pytest.approx(1 / 3)
    assert report.precision == pytest.approx(1 / 2)
    assert report.translation == pytest.approx(0.01, rel=0.01)
    assert report.rotation == pytest.approx(4, abs=0.01)


def test_finding_a_hidden_object_is_no_false_detection(data):
    report = evaluate(Knowing(turned(0), turned(0), turned(0), turned(0)), data, range(4), Settings(), 0.6)["carton"]
    assert (report.instances, report.recall, report.precision) == (3, 1.0, 1.0)


def test_nothing_found_has_no_errors(data):
    report = evaluate(Knowing(None, None, None, None), data, range(4), Settings(), 0.6)["carton"]
    assert (report.recall, report.precision) == (0, 0)
    assert np.isnan([report.translation, report.rotation]).all()


def test_the_command_prints_a_line_of_json_per_object(tmp_path, data, capsys):
    entry = TrainedObject(name="carton", size=CARTON.size)
    save(tmp_path / "w.safetensors", make_network("dope-lite", 1), Metadata(architecture="dope-lite", objects=(entry,)))
    assert main(["--data", str(data), "--weights", str(tmp_path / "w.safetensors"), "--images", "2"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["object"] == "carton"
    assert json.loads(line)["instances"] == 1


def test_a_store_that_is_none_is_one_line(tmp_path, capsys):
    assert main(["--data", str(tmp_path)]) == 2
    assert "not a dataset" in capsys.readouterr().err
