import numpy as np
import pytest

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel, load_camera
from dope_ros2.objects.object_model import load_objects, pick

BOX = "objects:\n  box:\n    class_id: 1\n    size: [0.1, 0.2, 0.3]\n"


def written(tmp_path, text):
    path = tmp_path / "objects.yaml"
    path.write_text(text)
    return path


def test_the_packages_own_objects_load():
    assert {"carton", "cracker", "mustard"} <= load_objects().keys()


def test_keypoints_lie_around_the_boxs_centre(tmp_path):
    box = load_objects(written(tmp_path, BOX + "    centre: [1, 2, 3]\n"))["box"]
    np.testing.assert_allclose(box.keypoints[8], [1, 2, 3])
    np.testing.assert_allclose(np.ptp(box.keypoints, axis=0), [0.1, 0.2, 0.3])
    np.testing.assert_allclose(box.keypoints[0] - box.keypoints[8], [0.05, -0.1, 0.15])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            BOX.replace("[0.1, 0.2, 0.3]", "[16.0, 11.0, 6.0]"),
            r"box: size .* centimetres, write \[0\.16, 0\.11, 0\.06\]",
        ),
        (BOX.replace("[0.1, 0.2, 0.3]", "[0.1, 0.2]"), "has not three numbers"),
        (BOX.replace("[0.1, 0.2, 0.3]", "big"), "objects.yaml: box: "),
        (BOX + "    colour: [1, 2, 3]\n", "unknown key 'colour'; did you mean 'color'"),
        (BOX + "    mesh_unit: inch\n", "mesh_unit 'inch' is not one of m, cm, mm"),
        (BOX.replace("class_id: 1", "class_id: one"), "class_id 'one' is not a positive integer"),
        (BOX.replace("    class_id: 1\n", ""), "the key 'class_id' is missing"),
        (BOX + "  tin:\n    class_id: 1\n    size: [0.1, 0.1, 0.1]\n", "box and tin share class_id 1"),
        ("objects: [", "not valid YAML"),
        ("things: {}", "needs a mapping `objects:`"),
        (BOX + "    symmetries_discrete: [[1, 0]]\n", "16 numbers"),
    ],
)
def test_a_mistake_in_objects_yaml_is_one_line_that_names_it(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        load_objects(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_missing_mesh_names_the_path_and_the_mend(tmp_path):
    box = load_objects(written(tmp_path, BOX + "    mesh: box.obj\n"))["box"]
    with pytest.raises(UserError, match=r"mesh box\.obj of box is not a file .*DOPE_MODELS"):
        _ = box.mesh_path


def test_a_mesh_is_found_in_a_folder_of_dope_models(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "box.obj").touch()
    monkeypatch.setenv("DOPE_MODELS", str(tmp_path / "models"))
    box = load_objects(written(tmp_path, BOX + "    mesh: box.obj\n"))["box"]
    assert box.mesh_path == tmp_path / "models" / "box.obj"


def test_an_unknown_name_gets_the_closest_one(tmp_path):
    with pytest.raises(UserError, match="no object 'bx'; did you mean 'box'"):
        pick(load_objects(written(tmp_path, BOX)), ["bx"])


CAMERA = (
    "image_width: 640\nimage_height: 480\n"
    "camera_matrix: {rows: 3, cols: 3, data: [600, 0, 320, 0, 610, 240, 0, 0, 1]}\n"
    "distortion_model: plumb_bob\ndistortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}\n"
)


def test_a_ros_calibration_loads(tmp_path):
    (tmp_path / "c.yaml").write_text(CAMERA)
    camera = load_camera(tmp_path / "c.yaml")
    assert (camera.width, camera.height, camera.K[1, 1], len(camera.distortion)) == (640, 480, 610, 5)


@pytest.mark.parametrize(("matrix", "focal"), [("", 610), ("[590, 0, 321, 0, 0, 591, 239, 0, 0, 0, 1, 0]", 591)])
def test_the_rectified_picture_of_a_ros_calibration_has_the_projection_matrix_if_there_is_one(tmp_path, matrix, focal):
    (tmp_path / "c.yaml").write_text(CAMERA + (f"projection_matrix: {{data: {matrix}}}\n" if matrix else ""))
    camera = load_camera(tmp_path / "c.yaml", rectified=True)
    assert (camera.K.shape, camera.K[1, 1], len(camera.distortion)) == ((3, 3), focal, 0)
    assert load_camera(tmp_path / "c.yaml").K[1, 1] == 610


def test_a_rectified_picture_does_not_depend_on_how_it_was_distorted(tmp_path):
    (tmp_path / "c.yaml").write_text(CAMERA.replace("plumb_bob", "equidistant"))
    assert load_camera(tmp_path / "c.yaml", rectified=True).K[1, 1] == 610


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CAMERA.replace("600, 0, 320, 0, 610", "0, 0, 0, 0, 0"), "focal lengths"),
        (CAMERA.replace("plumb_bob", "equidistant"), "distortion_model 'equidistant'"),
        ("[1, 2]", "not a camera_info YAML"),
        ("image_width: 3", "not a camera_info YAML"),
    ],
)
def test_a_wrong_calibration_is_named(tmp_path, text, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        load_camera(tmp_path / "c.yaml")


def test_a_camera_of_zeros_is_refused():
    with pytest.raises(UserError, match="focal lengths"):
        CameraModel(np.zeros((3, 3)), 640, 480)
