"""The carton, found by its mesh alone: by the estimator, and by `dope predict --mesh`."""

import json
import shutil

import cv2
import numpy as np
import pytest

from dope_ros2.commands.predict import main
from dope_ros2.common.errors import UserError
from dope_ros2.estimation.mesh_estimator import MeshEstimator
from dope_ros2.estimation.settings import Settings
from dope_ros2.feature_matching import mesh_features
from dope_ros2.feature_matching.mesh_drawings import DenseSurface
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.objects.object_model import load_objects
from helpers.mesh_files import box, save

CARTON = load_objects()["carton"].mesh_path
CAMERA = CameraModel.from_focal(500.0, 256, 256)
POSE = Pose.from_rotvec([0.5, -2.2, 0.4], (0.02, -0.01, 0.7))


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    surface = DenseSurface.of(read_mesh(CARTON), CARTON)
    view = surface.view(POSE, CAMERA)
    drawing = view.drawn(view.elements.colors[view.seen])
    wall = 90 + 3 * np.random.default_rng(0).normal(size=drawing.image.shape)
    image = np.uint8(np.clip(np.where(drawing.mask[..., None], drawing.image, wall), 0, 255))
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    cv2.imwrite(str(path), image[..., ::-1])
    return path


@pytest.fixture(autouse=True, scope="module")
def few_drawings():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh_features, "VIEWS", 12)
        yield


@pytest.fixture(scope="module")
def estimator():
    return MeshEstimator.load([CARTON])


def test_a_mesh_alone_gives_an_exact_pose(estimator, photo):
    image = cv2.imread(str(photo))[..., ::-1].copy()
    [found] = estimator(image, CAMERA)
    assert found.model.name == "carton"
    assert np.degrees(found.pose.angle_to(POSE)) < 1
    assert found.pose.distance_to(POSE) < 0.005
    assert np.linalg.eigvalsh(found.covariance).min() > 0
    assert estimator(image, CAMERA, Settings(objects=("mug",))) == []
    assert "its print carries it" in estimator.notes[0]


def test_predict_finds_an_object_by_its_mesh_and_says_so(photo, tmp_path, capsys):
    options = ["--mesh", str(CARTON), "--focal", "500", "--out", str(tmp_path)]
    assert main([str(photo), *options]) == 0
    printed = capsys.readouterr().out
    assert "carton: 160 mm x 110 mm x 60 mm (unit m)" in printed
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert content["weights"] is None
    assert content["images"][0]["detections"][0]["class"] == "carton"


def test_an_object_that_its_print_does_not_carry_is_named(tmp_path):
    plain = save(tmp_path / "brick.obj", *box((0.1, 0.06, 0.04)), np.full((64, 96, 3), 150, np.uint8))
    [note] = MeshEstimator.load([plain]).notes
    assert note.startswith("brick: 100 mm x 60 mm x 40 mm (unit m); ")
    assert note.endswith("plain surfaces: train it with `dope learn`")


def test_meshes_that_cannot_be_used_are_refused_in_one_line(tmp_path):
    flat = tmp_path / "flat.obj"
    flat.write_text("v 0 0 0\nv .1 0 0\nv 0 .1 0\nf 1 2 3\n")
    for path, message in (
        (tmp_path / "gone.obj", "no such file"),
        (tmp_path / "photo.png", "suffix '.png' is not one of"),
        (flat, "is flat"),
    ):
        with pytest.raises(UserError, match=message) as error:
            MeshEstimator.load([path])
        assert "\n" not in str(error.value)


def test_two_meshes_of_one_name_are_refused_before_work_is_done(tmp_path):
    for folder in ("a", "b"):
        shutil.copytree(CARTON.parent, tmp_path / folder)
    with pytest.raises(UserError, match="another mesh is named 'carton'"):
        MeshEstimator.load([tmp_path / folder / "carton.obj" for folder in ("a", "b")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--weights", "x.safetensors"], "--mesh and --weights contradict each other"),
        (["--objects", "cartn"], "--mesh: none is of the object 'cartn'; did you mean 'carton'"),
    ],
)
def test_options_that_contradict_meshes_are_refused(photo, tmp_path, capsys, options, message):
    assert main([str(photo), "--mesh", str(CARTON), "--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err
