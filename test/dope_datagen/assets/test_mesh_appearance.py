"""Distractors keep their look whatever the format: in the mesh, and in the images of both renderers."""

import shutil

import cv2
import numpy as np
import pytest
import trimesh
from PIL import Image

from dope_datagen.assets.library import HEAVIEST
from dope_datagen.mesh_preparation.mesh_file import read
from dope_datagen.mesh_preparation.surface import agreement
from dope_datagen.renderers.texture_images import load, own_texture
from dope_datagen.scenes.scene import Body, Material, Scene
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.mtl import find_file
from dope_ros2.meshes.read_mesh import read_mesh
from helpers.mesh_files import as_surface, box, bumpy, picture, save

RED, GREEN, BLUE = (200, 30, 30), (30, 180, 30), (30, 40, 190)
CAMERA = CameraModel.from_focal(120, 96, 72)


def plain(color, size=16):
    return np.full((size, size, 3), color, np.uint8)


def halves(path, first, second):
    """A glTF file of two cubes, side by side along x."""
    scene = trimesh.Scene()
    for x, visual in ((-0.05, first), (0.05, second)):
        vertices, uvs, faces = box((0.09, 0.09, 0.09), (x, 0, 0))
        made = visual(uvs, len(vertices))
        scene.add_geometry(trimesh.Trimesh(vertices, faces, visual=made, process=False))
    scene.export(path)
    return path


def textured(image):
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(image))
    return lambda uvs, count: trimesh.visual.TextureVisuals(uv=uvs, material=material)


def factor(color):
    material = trimesh.visual.material.PBRMaterial(baseColorFactor=[*color, 255])
    return lambda uvs, count: trimesh.visual.TextureVisuals(uv=uvs, material=material)


def per_vertex(color):
    return lambda uvs, count: trimesh.visual.ColorVisuals(vertex_colors=np.tile([*color, 255], (count, 1)))


def two_materials(path):
    """An OBJ file of two cubes, the left one with a red image, the right one with a green."""
    rows, faces_of = [], []
    for x in (-0.05, 0.05):
        vertices, uvs, faces = box((0.09, 0.09, 0.09), (x, 0, 0))
        faces_of.append("".join("f {0}/{0} {1}/{1} {2}/{2}\n".format(*row) for row in faces + 1 + 24 * (x > 0)))
        rows += ["v {} {} {}\n".format(*v) + "vt {} {}\n".format(*t) for v, t in zip(vertices, uvs, strict=True)]
    for name, color in (("red", RED), ("the green", GREEN)):
        cv2.imwrite(str(path.parent / f"{name}.png"), plain(color)[..., ::-1])
    library = "newmtl a\nKd 0 0 0\nmap_Kd red.png\nnewmtl b\nKd 0.8 0.8 0.8\nmap_Kd -s 1 1 1 -clamp on the green.png\n"
    path.with_suffix(".mtl").write_text(library)
    path.write_text(f"mtllib {path.stem}.mtl\n{''.join(rows)}usemtl a\n{faces_of[0]}usemtl b\n{faces_of[1]}")
    return path


def google(folder, vertices, uvs, faces, image):
    """A folder as in the Google Scanned Objects: the image is not beside the library that names it."""
    (folder / "meshes").mkdir(parents=True)
    (folder / "materials" / "textures").mkdir(parents=True)
    save(folder / "meshes" / "texture.obj", vertices, uvs, faces, image)
    (folder / "meshes" / "texture.obj").rename(folder / "meshes" / "model.obj")
    (folder / "meshes" / "texture.png").rename(folder / "materials" / "textures" / "texture.png")
    (folder / "thumbnails").mkdir()
    cv2.imwrite(str(folder / "thumbnails" / "0.jpg"), image)
    (folder / "model.sdf").write_text("<sdf/>")
    return folder / "meshes" / "model.obj"


def colored(mesh):
    """A mesh with its texture as a surface to look colours up in."""
    return as_surface(mesh, load(own_texture(mesh)))


def shown(mesh, turn=0.0):
    """A thing of 0.3 m seen from 0.6 m away, under an even sky, with nothing else in view."""
    R = Pose.from_rotvec([0, turn, 0], np.zeros(3)).rotation @ np.diag([1.0, -1.0, -1.0])
    thing = Body(mesh, tuple(R.ravel()), (0, 0, 0.6), (0.3,) * 3, Material(specular=0, roughness=1))
    return Scene(tuple(CAMERA.K.ravel()), CAMERA.width, CAMERA.height, (thing,))


@pytest.fixture(scope="session")
def tracer(assets):
    pytest.importorskip("mitsuba")
    from dope_datagen.renderers.path.path_tracer import PathTracer as PathTracer

    return PathTracer(assets, samples=4)


def hue(rgb):
    """The strongest of R, G, B where one clearly is; -1 elsewhere."""
    ordered = np.sort(rgb.astype(int), axis=-1)
    return np.where(ordered[..., 2] > ordered[..., 1] + 25, rgb.argmax(-1), -1)


def columns(rgb):
    """The hue to the left and to the right of the image's middle, in its central rows."""
    rows = slice(CAMERA.height // 2 - 4, CAMERA.height // 2 + 5)
    middle = CAMERA.width // 2
    return [
        int(np.median(hue(rgb[rows, at]))) for at in (slice(middle - 18, middle - 8), slice(middle + 9, middle + 19))
    ]


TWO = {
    "two_pictures.glb": lambda path: halves(path, textured(plain(RED)), textured(plain(GREEN))),
    "picture_and_colour.gltf": lambda path: halves(path, textured(plain(RED)), factor(GREEN)),
    "two_colours.glb": lambda path: halves(path, factor(RED), factor(GREEN)),
    "vertices.glb": lambda path: halves(path, per_vertex(RED), per_vertex(GREEN)),
    "vertices_and_picture.glb": lambda path: halves(path, per_vertex(RED), textured(plain(GREEN))),
    "two_materials.obj": two_materials,
}


@pytest.mark.render
@pytest.mark.parametrize("kind", ["raster", "tracer"])
@pytest.mark.parametrize("name", TWO)
def test_parts_of_two_colours_show_both(tmp_path, request, kind, name):
    renderer = request.getfixturevalue(kind)
    path = TWO[name](tmp_path / name)
    assert columns(renderer.render(shown(f"file:{path}")).rgb) == [0, 1]


@pytest.mark.render
@pytest.mark.parametrize("kind", ["raster", "tracer"])
@pytest.mark.parametrize("suffix", ["glb", "ply", "dae", "obj"])
def test_a_picture_arrives_the_right_way_round(tmp_path, request, kind, suffix):
    image = np.vstack([np.hstack([plain(RED), plain(GREEN)]), np.hstack([plain(BLUE), plain((210, 210, 210))])])
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    path = save(tmp_path / f"sheet.{suffix}", vertices, vertices[:, :2], np.array([[0, 1, 2], [0, 2, 3]]), image)
    rgb = request.getfixturevalue(kind).render(shown(f"file:{path}")).rgb
    y, x = CAMERA.height // 2, CAMERA.width // 2
    assert [int(hue(rgb[y + dy, x + dx])) for dy, dx in ((-9, -9), (-9, 9), (9, -9), (9, 9))] == [0, 1, 2, -1]


@pytest.mark.render
@pytest.mark.parametrize("kind", ["raster", "tracer"])
def test_the_google_scanned_objects_find_their_picture(tmp_path, request, kind):
    path = google(tmp_path / "Mug", *box(), plain(BLUE))
    mesh = read_mesh(path)
    assert mesh.texture.name == "texture.png"
    assert len(read(path).surface.images) == 1
    rgb = request.getfixturevalue(kind).render(shown(f"file:{path}", turn=0.4)).rgb
    assert columns(rgb) == [2, 2]


@pytest.mark.parametrize(
    "name", ["a b.png", "-s 1 1 1 a b.png", "-o 0.5 -clamp on a b.png", "C:\\x\\a b.png", '"a b.png"']
)
def test_a_picture_is_found_behind_options_and_foreign_folders(tmp_path, name):
    path = save(tmp_path / "box.obj", *box())
    shutil.move(path.with_suffix(".png"), tmp_path / "a b.png")
    path.with_suffix(".mtl").write_text(f"newmtl a\nmap_Kd {name}\n")
    assert read_mesh(path).texture == tmp_path / "a b.png"


def test_the_folder_of_the_library_comes_first(tmp_path):
    for folder in ("lib", "mesh", "mesh/textures"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.png").touch()
    places = (tmp_path / "lib" / "x.mtl", tmp_path / "mesh" / "x.obj")
    for expected in ("lib", "mesh", "mesh/textures"):
        assert find_file("t.png", *places) == tmp_path / expected / "t.png"
        (tmp_path / expected / "t.png").unlink()
    assert find_file("t.png", *places) is None


def test_many_materials_each_keep_their_pattern(tmp_path):
    images = [picture(64, 48, seed) for seed in range(2)]
    path = halves(tmp_path / "two.glb", textured(images[0]), textured(images[1]))
    off = agreement(colored(read_mesh(path)), read(path).surface, np.random.default_rng(0), 4000)
    assert off.mean() < 2
    assert np.percentile(off, 99) < 5


def test_a_picture_that_repeats_beside_another_still_repeats(tmp_path):
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, 8:] = 255
    scene = trimesh.Scene()
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    for z, image, times in ((0, stripes, 2), (1, plain(RED), 1)):
        visual = textured(image)(corners[:, :2] * times - 5, 4)
        scene.add_geometry(
            trimesh.Trimesh(corners + np.array([0, 0, z]), [[0, 1, 2], [0, 2, 3]], visual=visual, process=False)
        )
    scene.export(tmp_path / "sheets.glb")
    mesh = colored(read_mesh(tmp_path / "sheets.glb"))
    low = np.flatnonzero(mesh.corners[..., 2].max(1) < 0.5)
    at = np.array([[0.875, 0.0625], [0.625, 0.0625], [0.375, 0.0625], [0.125, 0.0625]])  # below y = x
    below = low[[np.allclose(sorted(map(tuple, mesh.corners[k, :, :2])), [[0, 0], [1, 0], [1, 1]]) for k in low]]
    order = [np.flatnonzero((mesh.corners[below[0], :, :2] == c).all(1))[0] for c in ([0, 0], [1, 0], [1, 1])]
    weights = np.empty((4, 3))
    weights[:, order] = np.column_stack([1 - at[:, 0], at[:, 0] - at[:, 1], at[:, 1]])
    levels = mesh.colors(np.repeat(below[0], 4), weights).mean(1)
    assert (levels > 128).tolist() == [True, False, True, False]


@pytest.mark.parametrize("suffix", ["ply", "glb", "obj"])
def test_smooth_normals_of_the_file_are_kept(tmp_path, suffix):
    vertices, _, faces = bumpy(12)
    normals = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    mesh = trimesh.Trimesh(vertices, faces, vertex_normals=normals, process=False)
    mesh.export(tmp_path / f"ball.{suffix}", **{"ply": {"vertex_normal": True}}.get(suffix, {"include_normals": True}))
    found = read_mesh(tmp_path / f"ball.{suffix}")
    radius = np.linalg.norm(found.positions, axis=1)  # the shape has bumps, its normals do not
    np.testing.assert_allclose((found.normals * found.positions).sum(1), radius, rtol=1e-3)


def test_colours_of_vertices_are_interpolated(tmp_path):
    vertices, _, faces = box()
    levels = np.uint8(np.clip(255 * (vertices / vertices.max(0) * 0.4 + 0.5), 0, 255))
    mesh = trimesh.Trimesh(vertices, faces, vertex_colors=np.c_[levels, np.full(24, 255)], process=False)
    mesh.export(tmp_path / "box.ply")
    one, two = colored(read_mesh(tmp_path / "box.ply")), read(tmp_path / "box.ply").surface
    off = agreement(one, two, np.random.default_rng(0), 2000)
    assert np.percentile(off, 99) < 2


@pytest.mark.render
def test_colours_of_many_small_triangles_do_not_mix_with_their_neighbours_in_the_picture(tmp_path, raster):
    vertices, _, faces = bumpy(60)
    levels = np.uint8(128 + 2000 * vertices)
    mesh = trimesh.Trimesh(vertices, faces, vertex_colors=np.c_[levels, np.full(len(levels), 255)], process=False)
    mesh.export(tmp_path / "ball.ply")
    rgb = raster.render(shown(f"file:{tmp_path / 'ball.ply'}")).rgb
    inside = (
        slice(CAMERA.height // 2 - 12, CAMERA.height // 2 + 12),
        slice(CAMERA.width // 2 - 12, CAMERA.width // 2 + 12),
    )
    assert np.abs(rgb.astype(int) - cv2.medianBlur(rgb, 3))[inside].max() < 15


def test_one_colour_all_over_is_the_colour_of_the_mesh(tmp_path):
    vertices, uvs, faces = box()
    trimesh.Trimesh(vertices, faces, visual=factor((128, 64, 255))(uvs, 24), process=False).export(tmp_path / "a.glb")
    mesh = read_mesh(tmp_path / "a.glb")
    assert mesh.texture is None
    np.testing.assert_allclose(mesh.color, np.array([128, 64, 255]) / 255, atol=0.005)


def test_a_heavy_scan_becomes_light_and_looks_the_same(tmp_path):
    vertices, uvs, faces = bumpy(130)
    path = google(tmp_path / "Ball", vertices, uvs, faces, picture())
    assert len(read_mesh(path).triangles) > 60_000
    light = read_mesh(path, HEAVIEST)
    assert 0.8 * HEAVIEST < len(light.triangles) <= HEAVIEST
    assert light.texture == read_mesh(path).texture
    off = agreement(colored(light), colored(read_mesh(path)), np.random.default_rng(0), 4000)
    assert off.mean() < 1.5
    assert np.percentile(off, 99) < 12
