"""Files that somebody wrote or that a disk has damaged: they are read, or refused in one line; nothing else happens."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin
from safetensors import safe_open
from safetensors.torch import save_file

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.geometry.camera import CameraModel, load_camera
from dope_ros2.io.rosbag import Bag
from dope_ros2.network import metadata, weights
from dope_ros2.objects import symmetry
from dope_ros2.objects.object_model import load_objects
from helpers.fuzzing import damaged, fuzz, replaced, rewritten, trees, tried, words
from helpers.handmade_bags import compressed, image, info, make
from helpers.tiny_training import Tiny

HEADER = 3000  # bytes of a weights file, about
ROOT = Path(__file__).resolve().parents[3]
OBJECTS = """
objects:
  carton: {class_id: 101, size: [0.16, 0.11, 0.06], mesh: carton.obj, mesh_unit: cm, color: [40, 170, 240]}
  can:
    class_id: 4
    size: [0.07, 0.07, 0.1]
    centre: [0, 0, 0.05]
    symmetries_discrete: [[1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]]
    symmetries_continuous: [{axis: [0, 0, 1], offset: [0, 0, 0]}]
"""


def files(*texts):
    """Bytes of YAML files: good ones changed as text, as bytes, or as what they mean; and anything."""
    meant = st.one_of(*(replaced(yaml.safe_load(text)) for text in texts), trees)
    return st.one_of(
        *(rewritten(text).map(str.encode) for text in texts),
        *(damaged(text.encode()) for text in texts),
        meant.map(lambda tree: yaml.safe_dump(tree, allow_unicode=True).encode()),
    )


def recipes(*names):
    return files(*((ROOT / "config" / name).read_text() for name in names))


@fuzz("objects")
@given(files(OBJECTS, (ROOT / "config/objects.yaml").read_text()))
def test_objects_are_usable_or_refused(tmp_path, data):
    path = tmp_path / "objects.yaml"
    path.write_bytes(data)
    for model in (tried(load_objects, path) or {}).values():
        assert np.isfinite(model.keypoints).all()
        assert np.isfinite(symmetry.group(model)).all()
        tried(lambda model=model: model.mesh_path)


@fuzz("datagen")
@given(recipes("datagen/quick.yaml", "datagen/dope-lite.yaml", "datagen/bin.yaml"))
def test_recipes_of_data_are_usable_or_refused(tmp_path, data):
    config = pytest.importorskip("dope_datagen.scenes.config")
    path = tmp_path / "recipe.yaml"
    path.write_bytes(data)
    recipe = tried(config.load_config, path)
    if recipe is not None:
        assert np.isfinite(recipe.draw_camera(np.random.default_rng(0)).K).all()


@fuzz("training")
@given(recipes("train/dope-lite.yaml", "train/paper.yaml"), st.dictionaries(words, trees, max_size=1))
def test_recipes_of_training_are_usable_or_refused(tmp_path, data, changes):
    config = pytest.importorskip("dope_training.config")
    path = tmp_path / "recipe.yaml"
    path.write_bytes(data)
    tried(config.load_config, path, changes)


@fuzz("camera")
@given(recipes("camera.yaml"), st.booleans())
def test_calibrations_are_usable_or_refused(tmp_path, data, rectified):
    path = tmp_path / "camera.yaml"
    path.write_bytes(data)
    camera = tried(load_camera, path, rectified=rectified)
    if camera is not None:
        assert np.isfinite(np.linalg.inv(camera.K)).all()
        camera.rectify(np.zeros((48, 64, 3), np.uint8))


@pytest.fixture(scope="module")
def good_weights(tmp_path_factory):
    """A little weights file's bytes, its tensors, and what it says of itself."""
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    carton = load_objects()["carton"]
    trained = metadata.TrainedObject(name="carton", size=carton.size, centre=carton.centre)
    weights.save(path, Tiny(1), metadata.Metadata(architecture="tiny", objects=(trained,), crop=64))
    with safe_open(path, "pt") as file:
        entry = json.loads(file.metadata()["dope"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    return path.read_bytes(), tensors, entry


def used(path):
    """Load weights as the node does and look at an image with them."""
    estimator = Estimator.load(path, load_objects(), "cpu")
    return estimator(np.zeros((64, 64, 3), np.uint8), CameraModel.from_focal(60, 64, 64))


@fuzz("weights")
@given(data=st.data())
def test_weights_are_usable_or_refused(tmp_path, good_weights, data):
    whole, tensors, entry = good_weights
    path = tmp_path / "w.safetensors"
    kind = data.draw(st.sampled_from(["bytes", "header", "metadata", "text"]))
    if kind == "bytes":
        path.write_bytes(data.draw(damaged(whole)))
    elif kind == "header":
        path.write_bytes(data.draw(damaged(whole[:HEADER])) + whole[HEADER:])
    else:
        tree = replaced(entry).map(lambda tree: json.dumps(tree, default=str, skipkeys=True))
        text = data.draw(tree if kind == "metadata" else rewritten(json.dumps(entry)))
        save_file(tensors, path, {"dope": text})
    tried(used, path)


@pytest.fixture(scope="module")
def good_bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    topics = {"/cam/camera_info": info, "/cam/image_rect": image, "/cam/image/compressed": compressed}
    return [make(folder / storage.name, topics, storage) for storage in (StoragePlugin.SQLITE3, StoragePlugin.MCAP)]


@fuzz("bags")
@given(data=st.data())
def test_bags_are_read_or_refused(tmp_path, good_bags, data):
    path = tmp_path / "bag"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(data.draw(st.sampled_from(good_bags)), path)
    file = data.draw(st.sampled_from(sorted(path.iterdir())))
    file.write_bytes(data.draw(damaged(file.read_bytes())))
    for place in (path, *path.glob("*.mcap")):
        tried(lambda place=place: [shot.rgb.shape for shot in Bag(place)])
