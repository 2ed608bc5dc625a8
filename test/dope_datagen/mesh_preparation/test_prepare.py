"""A prepared mesh is read by the renderers' reader and looks like the original."""

import cv2
import numpy as np
import pytest
import trimesh

from dope_datagen.assets.library import object_mesh
from dope_datagen.commands.assets import main
from dope_datagen.mesh_preparation.bake import rasterise
from dope_datagen.mesh_preparation.mesh_file import read
from dope_datagen.mesh_preparation.prepare import prepare
from dope_datagen.mesh_preparation.surface import Nearest, agreement
from dope_ros2.meshes.normals import corner_normals
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.objects.object_model import load_objects
from helpers.mesh_files import FORMATS, SIZE, as_rendered, box, bumpy, picture, save


def difference(source, obj, count=4000):
    """Mean difference in levels between a source in metres and a prepared OBJ."""
    return agreement(read(source).surface, as_rendered(obj), np.random.default_rng(1), count).mean()


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_small_mesh_keeps_its_texture_and_its_coordinates(tmp_path, suffix):
    vertices, uvs, faces = box(SIZE * 1000)
    path = save(tmp_path / f"my box.{suffix}", vertices, uvs, faces)
    objects = tmp_path / "objects.yaml"
    assert main(["prepare", str(path), "--out", str(tmp_path / "out"), "--objects-file", str(objects)]) == 0
    model = load_objects(objects)["my_box"]
    assert model.mesh == "out/my_box.obj"
    mesh = object_mesh(model)
    np.testing.assert_allclose(mesh.box.size, SIZE, rtol=1e-5)
    assert len(mesh.triangles) == 12
    image = cv2.imread(str(mesh.texture))[..., ::-1]
    if suffix == "stl":
        assert (image == 204).all()
        assert len(model.symmetries_discrete) == 3
        return
    np.testing.assert_array_equal(image, picture())
    assert not model.symmetries_discrete
    save(tmp_path / "metres.obj", vertices / 1000, uvs, faces)
    assert difference(tmp_path / "metres.obj", model.mesh_path) < 0.5


def test_a_large_texture_is_made_smaller(tmp_path):
    path = save(tmp_path / "box.obj", *box(), image=picture(1200, 800))
    main(["prepare", str(path), "--out", str(tmp_path / "out"), "--texture-size", "300"])
    assert cv2.imread(str(tmp_path / "out" / "box.png")).shape == (200, 300, 3)
    assert difference(path, tmp_path / "out" / "box.obj") < 2


def test_a_mesh_of_60000_triangles_is_thinned_out_and_still_looks_the_same(tmp_path):
    path = save(tmp_path / "ball.obj", *bumpy(123), image=picture(768, 512))
    assert len(read(path).surface.triangles) > 60_000
    out = tmp_path / "out"
    assert main(["prepare", str(path), "--out", str(out), "--triangles", "1500", "--texture-size", "768"]) == 0
    mesh = read_mesh(out / "ball.obj")
    assert len(mesh.triangles) <= 1500
    before = read(path).surface
    np.testing.assert_allclose(mesh.box.size, before.box.size, rtol=0.01)
    assert Nearest(before, np.random.default_rng(0), 20_000)(mesh.positions)[2].max() < 0.01 * before.box.size.max()
    assert difference(path, out / "ball.obj") < 2


def test_several_materials_are_baked_into_one_texture(tmp_path):
    vertices, uvs, faces = box()
    path = save(tmp_path / "box.obj", vertices, uvs, faces)
    cv2.imwrite(str(tmp_path / "second.png"), picture(seed=5))
    with path.with_suffix(".mtl").open("a") as library:
        library.write("newmtl b\nmap_Kd second.png\nnewmtl c\nKd 0.1 0.8 0.1\n")
    lines = path.read_text().splitlines()
    lines.insert(-4, "usemtl b")
    lines.insert(-2, "usemtl c")
    path.write_text("\n".join(lines))
    assert main(["prepare", str(path), "--out", str(tmp_path / "out")]) == 0
    assert len(read_mesh(tmp_path / "out" / "box.obj").triangles) == 12
    assert difference(path, tmp_path / "out" / "box.obj") < 3


def test_vertex_colours_are_baked(tmp_path):
    vertices, _, faces = bumpy(20)
    colors = np.uint8(np.clip(128 + 1500 * vertices, 0, 255))
    trimesh.Trimesh(vertices, faces, vertex_colors=colors, process=False).export(tmp_path / "ball.ply")
    assert main(["prepare", str(tmp_path / "ball.ply"), "--out", str(tmp_path / "out")]) == 0
    assert difference(tmp_path / "ball.ply", tmp_path / "out" / "ball.obj") < 2


def test_no_texel_that_a_triangle_touches_is_left_out():
    uvs = np.array([[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]], float)
    covered = rasterise(uvs, 16, 8)
    assert (covered >= 0).all()
    assert covered[7, 15] == 0  # below the diagonal, v up
    assert covered[0, 0] == 1


def test_the_texture_has_no_gaps_between_its_charts(tmp_path):
    image = np.full((128, 192, 3), 250, np.uint8)
    image[:2] = 249  # not plain, so that it is baked
    path = save(tmp_path / "ball.obj", *bumpy(30), image=image)
    ready = prepare(read(path).surface, triangles=500, texture_size=256)
    assert ready.images[0].min() >= 248


def test_edges_of_a_box_are_sharp_and_a_ball_is_round(tmp_path):
    surface = read(save(tmp_path / "box.stl", *box())).surface
    normals = corner_normals(surface.positions, surface.triangles)
    np.testing.assert_allclose(np.abs(normals).max(-1), 1)
    ball = trimesh.creation.icosphere(3, radius=0.05)
    ball.export(tmp_path / "ball.stl")
    surface = read(tmp_path / "ball.stl").surface
    assert (corner_normals(surface.positions, surface.triangles) * surface.corners).sum(-1).min() > 0.0499


def test_triangles_that_face_inward_are_turned_round(tmp_path):
    vertices, uvs, faces = box()
    path = save(tmp_path / "box.obj", vertices, uvs, faces[:, ::-1])
    main(["prepare", str(path), "--out", str(tmp_path / "out")])
    mesh = read_mesh(tmp_path / "out" / "box.obj")
    assert ((mesh.positions[mesh.triangles].mean(1)) * mesh.normals[mesh.triangles[:, 0]]).sum(-1).min() > 0
    assert difference(path, tmp_path / "out" / "box.obj") < 0.5


def test_the_same_mesh_gives_the_same_files(tmp_path):
    path = save(tmp_path / "ball.obj", *bumpy(12))
    for out in ("a", "b"):
        main(["prepare", str(path), "--out", str(tmp_path / out), "--triangles", "200"])
    for name in ("ball.obj", "ball.mtl", "ball.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
