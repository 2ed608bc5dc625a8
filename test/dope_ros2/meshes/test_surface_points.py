"""Surfaces as points: of meshes, or of boxes where there is no usable mesh."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.bounding_box import BoundingBox
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.read_mesh import read_mesh, read_triangles
from dope_ros2.meshes.surface_points import SurfacePoints, box, sample_surface
from dope_ros2.objects.object_model import ObjectModel, load_objects
from dope_ros2.refinement.depth_correction import visible
from helpers.mesh_files import FORMATS, save
from helpers.mesh_files import box as cuboid_mesh

CARTON = load_objects()["carton"]
PLAIN = ObjectModel(name="plain", class_id=9, size=(0.2, 0.1, 0.1), centre=(0.1, 0.0, 0.0))
CORNERS = [(x, y, z) for x in (0, 0.2) for y in (-0.05, 0.05) for z in (-0.05, 0.05)]
QUADS = ((1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4))


def obj(path, scale=1.0, faces=QUADS, name=str):
    lines = ["# a box", *(f"v {x * scale} {y * scale} {z * scale}" for x, y, z in CORNERS), "vt 0 0"]
    path.write_text("\n".join([*lines, *("f " + " ".join(str(name(k)) for k in face) for face in faces)]))
    return replace(PLAIN, mesh=str(path))


def unmerged(triangles):
    return triangles.reshape(-1, 3), np.arange(3 * len(triangles)).reshape(-1, 3)


def is_of_plain_box(shape):
    ends = shape.points.min(0), shape.points.max(0)
    np.testing.assert_allclose(ends, (PLAIN.keypoints.min(0), PLAIN.keypoints.max(0)), atol=0.002)
    outward = ((shape.points - PLAIN.centre) * shape.normals).sum(1)
    np.testing.assert_allclose(np.linalg.norm(shape.normals, axis=1), 1)
    return bool((outward > 0.04).all())


def test_points_lie_on_the_faces_of_a_box_as_many_as_its_area_asks_for():
    points, normals = sample_surface(box(CARTON), 3000)
    half = np.array(CARTON.size) / 2
    reach = np.abs(points - CARTON.centre) / half
    assert reach.max() < 1 + 1e-9
    np.testing.assert_allclose((reach * np.abs(normals)).sum(1), 1)
    areas = np.array([half[1] * half[2], half[0] * half[2], half[0] * half[1]])
    shares = [(np.abs(normals[:, k]) > 0.5).mean() for k in range(3)]
    np.testing.assert_allclose(shares, areas / areas.sum(), atol=0.01)
    np.testing.assert_allclose(points.mean(0), CARTON.centre, atol=0.002)


@pytest.mark.parametrize("name", [str, lambda k: f"{k}/1", lambda k: f"{k}//3", lambda k: k - 9])
def test_faces_of_an_obj_may_name_their_corners_as_the_format_allows(tmp_path, name):
    shape = SurfacePoints.of(obj(tmp_path / "box.obj", name=name))
    assert shape.why == ""
    assert is_of_plain_box(shape)


def with_weights(text):
    """As many numbers more as there are vertices, but not one on each."""
    rest = iter((1, 0, 2, 1, 1, 1, 1, 1))
    return re.sub(r"(?m)^v .*$", lambda line: line[0] + next(rest) * " 1", text)


WRITINGS = {  # in an order in which each leaves what those before it wrote
    "rows of several lengths": with_weights,
    "vertex colours": lambda text: re.sub(r"(?m)^v .*$", r"\g<0> 0.5 0.25 1", text),
    "a comment behind the numbers": lambda text: re.sub(r"(?m)^(v|f) .*$", r"\g<0> # \g<1>", text),
    "lines continued by a backslash": lambda text: re.sub(r"(?m)^([vf] \S+) ", "\\1 \\\\\n", text),
    "tabs after the keyword": lambda text: re.sub(r"(?m)^([vf]) ", "\\1\t", text),
    "tabs between the numbers": lambda text: text.replace(" ", "\t"),
    "blanks before the keyword": lambda text: re.sub(r"(?m)^(?=[vf])", "  ", text),
    "comments that end in a backslash": lambda text: re.sub(r"(?m)^(?=\s*[vf])", "# C:\\\\models\\\\\n", text),
    "Windows line ends": lambda text: text.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("writing", WRITINGS)
def test_an_obj_may_be_written_as_the_format_allows(tmp_path, writing):
    model = obj(tmp_path / "box.obj")
    model.mesh_path.write_text(WRITINGS[writing](model.mesh_path.read_text()), newline="")
    shape = SurfacePoints.of(model)
    assert shape.why == ""
    assert is_of_plain_box(shape)


@given(st.sets(st.sampled_from(sorted(WRITINGS))), st.sampled_from([str, lambda k: f"{k}/1", lambda k: k - 9]))
def test_however_an_obj_is_written_its_triangles_are_those_that_are_rendered(writings, name):
    with TemporaryDirectory() as folder:
        path = obj(Path(folder) / "box.obj", name=name).mesh_path
        text = path.read_text()
        for writing in filter(writings.__contains__, WRITINGS):
            text = WRITINGS[writing](text)
        path.write_text(text, newline="")
        triangles, mesh = read_triangles(path), read_mesh(path)
    np.testing.assert_allclose(triangles, mesh.positions[mesh.triangles], atol=1e-7)
    np.testing.assert_allclose(BoundingBox.of(triangles), BoundingBox.of(PLAIN.keypoints), atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.floats(0.01, 300), min_size=3, max_size=3),
    st.lists(st.floats(-1, 1), min_size=3, max_size=3),
    st.permutations(range(12)),
)
def test_the_triangles_are_those_that_are_rendered_in_every_format(suffix, size, centre, order):
    vertices, uvs, faces = cuboid_mesh(np.array(size), np.array(centre) * max(size))
    with TemporaryDirectory() as folder:
        path = save(Path(folder) / f"box.{suffix}", vertices, uvs, faces[order])
        triangles, mesh = read_triangles(path), read_mesh(path)
    np.testing.assert_allclose(triangles, mesh.positions[mesh.triangles], atol=1e-6 * max(size))
    np.testing.assert_allclose(triangles, vertices[faces[order]], atol=1e-6 * max(size))


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_shape_needs_no_textures_and_no_materials(tmp_path, suffix):
    path = save(tmp_path / f"box.{suffix}", *cuboid_mesh(np.array(PLAIN.size), np.array(PLAIN.centre)))
    for file in set(tmp_path.iterdir()) - {path}:
        file.unlink()
    shape = SurfacePoints.of(replace(PLAIN, mesh=str(path)))
    assert shape.why == ""
    assert is_of_plain_box(shape)


OPTIONAL = ("trimesh", "PIL", "xatlas", "fast_simplification")
WITHOUT = f"""
import sys
from pathlib import Path
for name in {OPTIONAL}:
    sys.modules[name] = None
from dope_ros2.meshes.read_mesh import read_mesh, read_triangles
from dope_ros2.common.errors import UserError
for path in map(Path, sys.argv[1:]):
    try:
        print(len(read_triangles(path)), len(read_mesh(path).triangles))
    except UserError as error:
        print(error)
"""


def test_obj_and_collada_are_read_without_optional_packages_and_others_say_what_to_install(tmp_path):
    paths = [save(tmp_path / f"box.{suffix}", *cuboid_mesh()) for suffix in ("obj", "dae", "ply")]
    run = subprocess.run([sys.executable, "-c", WITHOUT, *paths], capture_output=True, text=True, check=True)
    obj_line, dae_line, ply_line = run.stdout.splitlines()
    assert (obj_line, dae_line) == ("12 12", "12 12")
    assert "box.ply" in ply_line
    assert "pip install trimesh" in ply_line


def test_too_many_triangles_say_what_to_install_where_nothing_can_decimate_them(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fast_simplification", None)
    path = save(tmp_path / "box.obj", *cuboid_mesh())
    assert len(read_mesh(path, 12).triangles) == 12
    with pytest.raises(UserError, match="pip install fast-simplification"):
        read_mesh(path, 11)


def test_a_mesh_turned_inside_out_has_its_normals_outward_nevertheless(tmp_path):
    assert is_of_plain_box(SurfacePoints.of(obj(tmp_path / "box.obj", faces=[face[::-1] for face in QUADS])))


def test_other_formats_are_read_by_trimesh_where_it_is_installed(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    path = tmp_path / "box.ply"
    trimesh.Trimesh(*unmerged(box(PLAIN)), process=False).export(path)
    shape = SurfacePoints.of(replace(PLAIN, mesh=str(path)))
    assert shape.why == ""
    assert is_of_plain_box(shape)
    path.write_bytes(path.read_bytes()[:150])
    assert "not a readable mesh" in SurfacePoints.of(replace(PLAIN, mesh=str(path))).why


def test_a_mesh_is_read_in_its_unit(tmp_path):
    model = obj(tmp_path / "box.obj", scale=1000.0)
    assert is_of_plain_box(SurfacePoints.of(replace(model, mesh_unit="mm")))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "is not a file"),
        ("v 1 2", "not a readable mesh"),
        ("v 1 2 x\nf 1 1 1", "not a readable mesh"),
        ("v 0 0 0\nf 1 2 3", "not a readable mesh"),
        ("v 0 0 0", "has no triangles"),
        ("", "has no triangles"),
        ("v nan 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3", "not finite"),
        ("v 0 -.05 -.05\nv .2 .05 .05\nf 1 2 1", "triangles have zero area"),
        ("v 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3", "correct size, centre or mesh_unit"),
    ],
)
def test_a_mesh_that_cannot_be_used_leaves_the_box_which_is_trusted_less(tmp_path, content, why):
    path = tmp_path / "box.obj"
    if content is not None:
        path.write_text(content)
    shape = SurfacePoints.of(replace(PLAIN, mesh=str(path)))
    assert why in shape.why
    assert "\n" not in shape.why
    assert is_of_plain_box(shape)
    assert shape.error > 5 * SurfacePoints.of(obj(tmp_path / "good.obj")).error


def test_next_to_nothing_is_seen_of_what_is_behind_a_part_of_the_object_itself():
    front, back = (
        box(replace(PLAIN, size=(side, side, 0.01), centre=(0, 0, z))) for side, z in ((0.1, -0.1), (0.2, 0))
    )
    shape = SurfacePoints(*sample_surface(np.concatenate([front, back])), 0.001, 0.3)
    camera = CameraModel.from_focal(600, 640, 480)
    seen = shape.points[visible(shape, Pose(np.eye(3), np.array([0, 0, 1.0])), camera)]
    hidden = (seen[:, 2] > -0.05) & (np.abs(seen[:, :2]).max(1) < 0.045)
    assert (seen[:, 2] < -0.1).sum() > 100
    assert (seen[:, 2] > -0.05).sum() > 100
    assert hidden.sum() < 10  # of 216


def test_a_side_that_is_seen_at_a_flat_angle_says_nothing():
    shape, camera = SurfacePoints.of(PLAIN), CameraModel.from_focal(600, 640, 480)
    for angle, sides in ((0.25, 1), (0.6, 2)):
        pose = Pose.from_rotvec([angle, 0, 0], [-0.1, 0, 1.0])
        normals = shape.normals[visible(shape, pose, camera)]
        assert len(np.unique(normals.round(3), axis=0)) == sides
