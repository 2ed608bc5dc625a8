from dataclasses import replace

import cv2
import numpy as np
import pytest

from dope_datagen.assets import environments, primitives
from dope_datagen.assets.distractors import distractor_keys
from dope_datagen.assets.library import Assets, object_mesh
from dope_ros2.common.errors import UserError
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.objects.object_model import load_objects

CARTON = load_objects()["carton"]


def test_a_missing_mesh_is_named_with_the_mend():
    with pytest.raises(UserError, match="DOPE_MODELS") as caught:
        object_mesh(replace(CARTON, mesh="nowhere/carton.obj"))
    assert "\n" not in str(caught.value)


def test_a_size_that_is_not_the_meshs_is_refused():
    object_mesh(replace(CARTON, size=(0.161, 0.11, 0.06)))  # within 2 %
    with pytest.raises(UserError, match=r"not that of its mesh.*0\.16, 0\.11, 0\.06"):
        object_mesh(replace(CARTON, size=(0.165, 0.11, 0.06)))


def test_a_mesh_in_millimetres_that_is_said_to_be_in_metres_is_refused(tmp_path):
    mesh = tmp_path / "box.obj"
    mesh.write_text("v -80 -55 -30\nv 80 55 30\nv 80 -55 30\nv 0 0 0\nf 1 2 3\n")
    with pytest.raises(UserError, match="mesh_unit"):
        object_mesh(replace(CARTON, mesh=str(mesh)))
    object_mesh(replace(CARTON, mesh=str(mesh), mesh_unit="mm"))


@pytest.mark.parametrize("text", ["", "v 0 0 0\nv 1 0 0\n", "v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "v a b c\n"])
def test_a_broken_mesh_is_one_line(tmp_path, text):
    path = tmp_path / "broken.obj"
    path.write_text(text)
    with pytest.raises(UserError, match=r"broken\.obj"):
        read_mesh(path)


def test_an_obj_with_polygons_and_negative_indices_is_read(tmp_path):
    path = tmp_path / "quad.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf -4 -3 -2 -1\n")
    mesh = read_mesh(path)
    assert len(mesh.triangles) == 2
    np.testing.assert_allclose(mesh.normals, np.tile([0, 0, 1], (6, 1)))


@pytest.mark.parametrize("name", primitives.DISTRACTORS)
def test_every_shape_has_unit_diameter_and_finite_corners(name):
    mesh = Assets({}).mesh(name)
    assert np.linalg.norm(mesh.box.size) == pytest.approx(1, abs=1e-4)
    assert np.isfinite(mesh.positions).all()
    assert mesh.triangles.max() < len(mesh.positions)


def test_a_folder_without_meshes_is_named(tmp_path):
    with pytest.raises(UserError, match="no mesh"):
        distractor_keys(False, (tmp_path,))


def test_a_uniform_sky_lights_every_side_equally():
    light = environments.build(np.full((64, 128, 3), 7.0))
    directions = environments.directions(8, 16)
    np.testing.assert_allclose(environments.basis(directions) @ light.harmonics, 1, atol=0.02)
    assert light.sun_color.max() < 1e-6


def test_a_lamp_in_the_panorama_becomes_the_sun():
    panorama = np.full((64, 128, 3), 0.1)
    panorama[20, 40] = 500
    light = environments.build(panorama)
    assert light.sun_direction @ environments.directions(64, 128)[20, 40] > 0.999
    assert light.panorama.max() < 4


def test_panoramas_of_both_formats_give_the_same_light(tmp_path):
    OpenEXR = pytest.importorskip("OpenEXR")
    rng = np.random.default_rng(0)
    image = np.float32(cv2.resize(rng.uniform(0, 4, (8, 16, 3)), (128, 64)))  # RGB
    cv2.imwrite(str(tmp_path / "room.hdr"), image[..., ::-1])
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    alpha = np.ones((64, 128, 1), np.float32)
    for name, pixels in (("RGB", image), ("RGBA", np.concatenate([image, alpha], -1))):
        with OpenEXR.File(header, {name: pixels}) as file:
            file.write(str(tmp_path / f"{name}.exr"))
    lights = [environments.read(tmp_path / name) for name in ("room.hdr", "RGB.exr", "RGBA.exr")]
    np.testing.assert_allclose(lights[1].panorama, lights[0].panorama, rtol=0.03, atol=0.02)
    np.testing.assert_array_equal(lights[1].panorama, lights[2].panorama)
    assert lights[1].panorama.std(axis=(0, 1)).min() > 0.1


@pytest.mark.parametrize("name", ["room.hdr", "room.exr"])
def test_a_broken_panorama_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"not light")
    with pytest.raises(UserError, match=rf"{name}: not a readable panorama; give Radiance .hdr or OpenEXR .exr"):
        environments.read(tmp_path / name)
