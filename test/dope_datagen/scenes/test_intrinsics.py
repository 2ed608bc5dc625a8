"""The camera of generated images: taken from a calibration file, or drawn, without disturbing what else is drawn."""

import json

import numpy as np
import pytest

from dope_datagen.commands import check, generate
from dope_datagen.dataset.store import Dataset
from dope_datagen.scenes.appearance import log_uniform
from dope_datagen.scenes.config import load_config, parse_config
from dope_datagen.scenes.intrinsics import draw_camera
from dope_datagen.scenes.sampler import Sampler
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel

CALIBRATION = """
image_width: 128
image_height: 96
camera_matrix: {rows: 3, cols: 3, data: [120, 0, 60, 0, 121, 50, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}
"""
P = "projection_matrix: {rows: 3, cols: 4, data: [110.5, 0, 61.25, 0, 0, 111, 49, 0, 0, 0, 1, 0]}\n"
SMALL = {"objects": {"carton": 1}, "size_px": [20, 60], "variety": 2, "pybullet_meshes": False}
COUNTS = {"nb_objects": [1, 3], "nb_distractors": [0, 3], "nb_frames": 1, "modes": {"float": 1}}
NEWER = {"camera", "aspect", "principal_point_shift"}


def config(**changes):
    return parse_config({**SMALL, **COUNTS, **changes}, "my.yaml")


@pytest.fixture
def calibration(tmp_path):
    path = tmp_path / "camera_info.yaml"
    path.write_text(CALIBRATION + P)
    return path


def test_a_calibration_gives_size_and_the_camera_of_the_rectified_picture(calibration, assets):
    chosen = config(camera=str(calibration))
    assert (chosen.width, chosen.height) == (128, 96)
    for number in range(3):
        scene = Sampler(chosen, assets).scene(1, number)
        assert scene.K == (110.5, 0, 61.25, 0, 111, 49, 0, 0, 1)
        assert (scene.width, scene.height) == (128, 96)


def test_a_calibration_without_projection_matrix_gives_the_camera_matrix(calibration):
    calibration.write_text(CALIBRATION)
    assert config(camera=str(calibration)).camera.camera.K.tolist() == [[120, 0, 60], [0, 121, 50], [0, 0, 1]]


def test_the_path_of_a_calibration_may_have_variables(calibration, monkeypatch):
    monkeypatch.setenv("CAMERAS", str(calibration.parent))
    assert config(camera="$CAMERAS/camera_info.yaml").width == 128


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 640}, "my.yaml: width: 640 contradicts camera, which has 128; remove one of the two"),
        ({"height": 100}, "height: 100 contradicts camera, which has 96"),
        ({"focal": [450, 1150]}, r"focal: \[450, 1150\] contradicts camera, which has \[110.5, 110.5\]"),
        ({"principal_point_shift": 0.1}, "principal_point_shift contradict camera"),
        ({"aspect": [0.9, 1.1]}, "contradict camera"),
    ],
)
def test_keys_that_contradict_the_calibration_are_named(calibration, changes, message):
    with pytest.raises(UserError, match=message):
        config(camera=str(calibration), **changes)


def test_keys_that_agree_with_the_calibration_are_allowed(calibration):
    assert config(camera=str(calibration), width=128, focal=(110.5, 110.5)).width == 128


@pytest.mark.parametrize(
    ("camera", "message"),
    [
        ("none.yaml", "none.yaml: cannot be read"),
        ({"width": 64, "height": 64, "fx": -1, "fy": 1, "cx": 1, "cy": 1}, "camera: fx: .* greater than 0"),
        ({"width": 64, "height": 64, "fx": 1}, "camera: fy: "),
        ({"fx": 1}, "camera: width: "),
        (5, "camera: "),
    ],
)
def test_a_camera_that_is_none_is_one_line(camera, message):
    with pytest.raises(UserError, match=message) as caught:
        config(camera=camera)
    assert "\n" not in str(caught.value)


def test_a_configuration_is_stored_with_the_numbers_of_its_camera_and_read_again(calibration):
    chosen = config(camera=str(calibration))
    stored = json.loads(json.dumps(chosen.model_dump(mode="json")))
    assert stored["camera"] == {"width": 128, "height": 96, "fx": 110.5, "fy": 111, "cx": 61.25, "cy": 49}
    calibration.unlink()
    assert parse_config(stored, "zarr.json") == chosen


def test_without_aspect_and_shift_a_camera_is_drawn_as_it_was_before_they_were_there():
    one, two = np.random.default_rng(5), np.random.default_rng(5)
    for _ in range(50):
        old = CameraModel.from_focal(log_uniform(one, 450, 1150), 640, 481)
        assert draw_camera(two, (640, 481), (450, 1150), (1, 1), 0).K.tolist() == old.K.tolist()
    assert one.random() == two.random()


def test_aspect_and_shift_leave_all_other_draws_as_they_are():
    one, two = np.random.default_rng(5), np.random.default_rng(5)
    plain = draw_camera(one, (640, 480), (450, 1150), (1, 1), 0)
    other = draw_camera(two, (640, 480), (450, 1150), (0.9, 1.1), 0.1)
    assert other.K[0, 0] == plain.K[0, 0]
    assert other.K[1, 1] != plain.K[1, 1]
    assert one.random() == two.random()


def test_principal_point_and_aspect_fill_their_ranges(assets):
    sampler = Sampler(config(width=100, height=80, aspect=[0.9, 1.2], principal_point_shift=0.2), assets)
    K = np.array([sampler.scene(2, number).K for number in range(60)]).reshape(-1, 3, 3)
    aspect, shift = K[:, 0, 0] / K[:, 1, 1], K[:, :2, 2] - [49.5, 39.5]
    assert 0.9 <= aspect.min() < 0.95 < 1.15 < aspect.max() <= 1.2
    for axis, most in enumerate((20, 16)):
        assert -most <= shift[:, axis].min() < -0.7 * most < 0.7 * most < shift[:, axis].max() <= most


@pytest.mark.parametrize("changes", [{"principal_point_shift": 0.5}, {"aspect": [0, 1]}, {"aspect": [1.1, 0.9]}])
def test_ranges_that_make_no_camera_are_refused(changes):
    with pytest.raises(UserError, match=next(iter(changes))):
        config(**changes)


def written(path, calibration):
    text = "\n".join(f"{key}: {json.dumps(value)}" for key, value in {**SMALL, **COUNTS, "modes": {"stand": 1}}.items())
    path.write_text(f"{text}\ncamera: {calibration}\n")
    return path


@pytest.mark.render
def test_labels_of_a_calibrated_camera_fit_their_pixels_and_a_changed_calibration_is_noticed(
    raster, calibration, tmp_path, capsys
):
    file, out = written(tmp_path / "my.yaml", calibration), tmp_path / "data"
    arguments = [str(file), "--out", str(out), "--images", "4", "--workers", "1"]
    assert generate.main(arguments) == 0
    assert check.main([str(out), "--repair"]) == 0, capsys.readouterr().out
    data = Dataset.open(out)
    assert data[0].rgb.shape == (96, 128, 3)
    np.testing.assert_array_equal(data.camera(3).K, load_config(file).camera.camera.K)
    calibration.write_text((CALIBRATION + P).replace("61.25", "61.5"))
    assert generate.main(arguments) == 2
    assert "another config (camera: cx: 61.25 there, 61.5 here)" in capsys.readouterr().err


@pytest.mark.render
def test_labels_of_a_drawn_principal_point_fit_their_pixels(raster, tmp_path, capsys):
    file = tmp_path / "my.yaml"
    entries = {**SMALL, **COUNTS, "width": 96, "height": 64, "focal": [80, 120], "depth": True}
    entries |= {"aspect": [0.8, 1.2], "principal_point_shift": 0.3}
    file.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in entries.items()))
    assert generate.main([str(file), "--out", str(tmp_path / "data"), "--images", "6", "--workers", "1"]) == 0
    assert check.main([str(tmp_path / "data")]) == 0, capsys.readouterr().out
