"""Files that have broken something once, each with what is said of it now."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dope_datagen.scenes import config as datagen
from dope_ros2.common.errors import UserError
from dope_ros2.common.resources import resolve
from dope_ros2.estimation import object_crops
from dope_ros2.estimation.estimator import Estimator, pick_device
from dope_ros2.estimation.map_decoder import MAX_PEAKS, decode
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel, load_camera
from dope_ros2.io.rosbag import Bag
from dope_ros2.network import metadata, weights
from dope_ros2.network.belief_maps import MapSpec
from dope_ros2.objects.object_model import load_objects
from dope_training import config as training
from helpers.handmade_bags import image, make
from helpers.tiny_training import Tiny

BOMB = "a: &a [1, 1]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
CAN = "objects: {can: {class_id: 1, size: [0.1, 0.1, 0.2], %s}}"
CALIBRATION = "image_width: 640\nimage_height: 480\ncamera_matrix: {data: [600, 0, 320, 0, 600, 240, 0, 0, 1]}\n%s"

FILES = {
    "not UTF-8": (load_objects, b"objects: \xff", "not valid YAML: 'utf-8' codec"),
    "no date": (load_objects, b"objects: !!timestamp x", "not valid YAML"),
    "too deep": (load_objects, b"- " * 3000, "not valid YAML: maximum recursion"),
    "a tree of aliases": (load_objects, BOMB.encode(), "means more than 100000 values"),
    "a tree in itself": (load_objects, b"objects: {a: &a [*a]}", "means more than 100000 values"),
    "no class_id": (load_objects, b"objects: {can: {class_id: null, size: [1, 1, 1]}}", "'class_id' is missing"),
    "size of nan": (load_objects, b"objects: {can: {class_id: 1, size: [1, .nan, 1]}}", "is not three edges in metres"),
    "huge size": (load_objects, b"objects: {can: {class_id: 1, size: [1, 1, 1" + b"0" * 400 + b"]}}", "too large"),
    "name of two lines": (load_objects, b'objects: {"a\\nb": 1}', "a name has letters"),
    "name no TF frame can have": (load_objects, "objects: {日本: 1}".encode(), "a name has letters"),
    "no axis": (load_objects, CAN % "symmetries_continuous: [{offset: [0, 0, 0]}]", "has an axis and may have"),
    "zero axis": (load_objects, CAN % "symmetries_continuous: [{axis: [0, 0, 0]}]", "has no direction"),
    "a mirror": (load_objects, CAN % "symmetries_discrete: [[-1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1]]", "a rotation and"),
    "far colours": (load_objects, CAN % "color: [0, 0, 256]", "from 0 to 255"),
    "a mesh that is a tree": (load_objects, CAN % "mesh: [a]", "is not text"),
    "YAML of many lines": (load_camera, b"[\n\n:", "not valid YAML"),
    "three coefficients": (load_camera, CALIBRATION % "distortion_coefficients: {data: [0, 0, 1]}", "0, 4, 5 or 8"),
    "an unsized camera": (load_camera, CALIBRATION.replace("640", "1" + "0" * 400) % "", "is not from 1 to 65535 px"),
    "a turned camera": (load_camera, CALIBRATION.replace("0, 0, 1]", "0, 1, 1]") % "", "camera matrix"),
    "a number of folders": (datagen.load_config, "objects: {carton: 1}\nhdri_folders: 5", "hdri_folders: Input"),
    "a long folder": (datagen.load_config, "objects: {carton: 1}\nhdri_folders: [" + "x" * 300 + "]", "folders: xxx"),
    "no focal length": (datagen.load_config, "objects: {carton: 1}\nfocal: [1.0e-300, 1]", "between 1 and 1e"),
    "an endless length": (datagen.load_config, "objects: {carton: 1}\nfar: [1, .inf]", "should be a finite number"),
    "an object of nan": (datagen.load_config, "objects: {carton: .nan}", "should be a finite number"),
    "bytes in a recipe": (training.load_config, b"objects: [carton]\nseed: \x80", "not valid YAML"),
    "an endless rate": (training.load_config, "objects: [carton]\nlearning_rate: .inf", "should be a finite number"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_refused_in_one_line(tmp_path, name):
    read, content, text = FILES[name]
    path = tmp_path / "file.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as told:
        read(path, {}) if read is training.load_config else read(path)
    assert text in str(told.value)
    assert len(str(told.value).splitlines()) == 1
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize("mesh", ["x" * 300, "~no-such-user/mesh.obj", "a\0b"])
def test_a_path_that_cannot_be_is_no_file(tmp_path, mesh):
    (tmp_path / "objects.yaml").write_text(
        json.dumps({"objects": {"can": {"class_id": 1, "size": [1, 1, 1], "mesh": mesh}}})
    )
    with pytest.raises(UserError, match="is not a file"):
        _ = load_objects(tmp_path / "objects.yaml")["can"].mesh_path
    with pytest.raises(UserError, match="no such weights file"):
        weights.load(resolve(mesh, tmp_path))


METADATA = {
    "no mapping": lambda entry: [],
    "no stride": lambda entry: entry | {"stride": 0},
    "half a mean": lambda entry: entry | {"mean": [0.5]},
    "no spread": lambda entry: entry | {"std": [0, 1, 1]},
    "a flat object": lambda entry: entry | {"objects": [entry["objects"][0] | {"size": [0.1, 0.1]}]},
    "an object of a list": lambda entry: entry | {"objects": [entry["objects"][0] | {"name": ["carton"]}]},
    "a hundred thousand objects": lambda entry: entry | {"objects": entry["objects"] * 100_000},
    "a huge number": lambda entry: entry | {"sigma": 10**400},
    "a height in words": lambda entry: entry | {"input_height": "tall"},
    "a belief in words": lambda entry: entry | {"trust": {"belief": "yes"}},
}


@pytest.mark.parametrize("name", METADATA)
def test_weights_that_say_nonsense_are_refused(tmp_path, name):
    carton = load_objects()["carton"]
    facts = {"architecture": "tiny", "objects": [{"name": "carton", "size": carton.size, "centre": carton.centre}]}
    tensors = Tiny(1).state_dict()
    save_file(tensors, tmp_path / "w.safetensors", {"dope": json.dumps(METADATA[name](facts))})
    with pytest.raises(UserError, match="its tensors or metadata do not fit"):
        weights.load(tmp_path / "w.safetensors")


def test_weights_with_numbers_that_are_none_are_refused(tmp_path):
    tensors = Tiny(1).state_dict()
    tensors["head.bias"][0] = torch.nan
    save_file(tensors, tmp_path / "w.safetensors", {"dope": "{}"})
    with pytest.raises(UserError, match="some of its numbers are none"):
        weights.load(tmp_path / "w.safetensors")


def test_a_device_without_numbers_is_refused():
    with pytest.raises(UserError, match="use auto, cpu or cuda"):
        pick_device("meta")


def test_a_bag_that_says_it_is_larger_than_memory_is_refused(tmp_path):
    from rosbags.rosbag2 import StoragePlugin

    bag = make(tmp_path / "bag", {"/image": image}, StoragePlugin.MCAP)
    file = next(bag.glob("*.mcap"))
    data = file.read_bytes()
    file.write_bytes(data[:9] + b"\xff" * 7 + data[16:])  # the length of the first record
    for path in (bag, file):
        with pytest.raises(UserError, match="not a readable bag"):
            list(Bag(path))


def test_a_map_of_noise_has_a_bounded_number_of_peaks():
    rng = np.random.default_rng(0)
    belief, affinity = rng.random((1, 9, 60, 80)), rng.normal(size=(1, 16, 60, 80))
    instances = decode(belief, affinity, MapSpec(affinity="unit"), 0.1)
    assert len(instances) == MAX_PEAKS


def test_an_image_one_pixel_high_can_be_looked_at_closely():
    region = object_crops.ObjectRegion("carton", 49.0, 0.0, 90.0)
    picture, camera = object_crops.crop_and_scale(
        np.zeros((1, 98, 3), np.uint8), CameraModel.from_focal(60, 98, 1), region, 32
    )
    assert picture.shape == (32, 32, 3)
    assert (camera.width, camera.height) == (32, 32)


def test_an_image_that_would_be_scaled_to_gigabytes_is_refused():
    carton = load_objects()["carton"]
    trained = metadata.TrainedObject(name="carton", size=carton.size)
    estimate = Estimator.of_network(
        Tiny(1), metadata.Metadata(architecture="tiny", objects=(trained,)), [carton], "cpu"
    )
    wide = np.zeros((1, 60_000, 3), np.uint8), CameraModel.from_focal(600, 60_000, 1)
    with pytest.raises(UserError, match="would be looked at as 28800000x480"):
        estimate(*wide)
    assert estimate(*wide, Settings(input_height=1)) == []
