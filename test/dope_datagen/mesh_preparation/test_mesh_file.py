"""Every format and unit is read and judged; what cannot be used is refused with its own line."""

import cv2
import numpy as np
import pytest
import trimesh

from dope_datagen.commands.assets import main
from dope_datagen.mesh_preparation.mesh_file import read
from dope_datagen.mesh_preparation.report import inspect
from dope_datagen.mesh_preparation.surface import agreement, bilinear
from dope_ros2.common.errors import UserError
from dope_ros2.meshes.parts import linear_to_levels
from dope_ros2.objects.object_model import UNITS
from helpers.mesh_files import FORMATS, SIZE, box, picture, save


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_size_and_unit_are_found_in_every_format(tmp_path, suffix, unit):
    vertices, uvs, faces = box(SIZE / UNITS[unit], centre=np.array([0.02, 0, 0.03]) / UNITS[unit])
    source = read(save(tmp_path / f"box.{suffix}", vertices, uvs, faces, meter=str(UNITS[unit])))
    report = inspect(source)
    assert report.unit.name == unit
    assert report.watertight
    assert report.pieces == 1
    np.testing.assert_allclose(report.size, SIZE, rtol=1e-5)
    np.testing.assert_allclose(report.centre, [0.02, 0, 0.03], atol=1e-6)
    assert report.diameter == pytest.approx(np.linalg.norm(SIZE), rel=1e-3)


def test_every_format_with_a_texture_looks_the_same(tmp_path):
    surfaces = [read(save(tmp_path / f"{s}.{s}", *box())).surface for s in FORMATS if s != "stl"]
    for other in surfaces[1:]:
        off = agreement(surfaces[0], other, np.random.default_rng(0), 2000)
        assert np.percentile(off, 99) < 0.1  # at an edge, the other side may be taken


def test_a_texture_is_looked_up_at_the_centres_of_its_pixels(tmp_path):
    image = np.zeros((2, 4, 3), np.uint8)
    image[0, 1], image[1, 3] = 80, 200
    surface = read(save(tmp_path / "box.obj", *box(), image=image)).surface
    levels = bilinear(
        surface.images[0], np.array([[1.5 / 4, 0.75], [3.5 / 4, 0.25], [0.5, 0.75], [1.5 / 4 + 3, -0.25]])
    )
    np.testing.assert_allclose(levels[:, 0], [80, 200, 40, 80], atol=1e-4)


def test_materials_and_vertex_colours_are_read(tmp_path):
    vertices, _, faces = box()
    mesh = trimesh.Trimesh(vertices, faces, process=False, vertex_colors=np.tile([200, 100, 50, 255], (24, 1)))
    for suffix in ("ply", "glb"):
        mesh.export(tmp_path / f"box.{suffix}")
    np.testing.assert_allclose(read(tmp_path / "box.ply").surface.corner_colors[0, 0], [200, 100, 50], atol=1)
    # A file of linear light stores 0.2 for a level of 124.
    assert linear_to_levels(np.array(0.2)) == pytest.approx(124, abs=0.5)
    path = tmp_path / "two.obj"
    path.with_suffix(".mtl").write_text("newmtl red\nKd 1 0 0\nnewmtl grey\nKd 0.2 0.2 0.2\n")
    rows = "".join("v {} {} {}\n".format(*row) for row in vertices)
    first, rest = ["".join("f {} {} {}\n".format(*row) for row in part) for part in (faces[:6] + 1, faces[6:] + 1)]
    path.write_text(f"mtllib two.mtl\n{rows}usemtl red\n{first}usemtl grey\n{rest}")
    source = read(path)
    assert source.materials == 2
    levels = {tuple(np.round(c).astype(int)) for c in source.surface.corner_colors[:, 0]}
    assert levels == {(255, 0, 0), (124, 124, 124)}


CUBE = "v 0 0 0\nv .1 0 0\nv 0 .1 0\nv 0 0 .1\n"
BAD = {
    "empty.obj": ("", "the mesh has no triangles (0 vertices)"),
    "points.obj": (CUBE, "the mesh has no triangles (4 vertices); a point cloud must be turned into a mesh first"),
    "nan.obj": (
        CUBE + "v nan 0 0\nf 1 2 3\nf 1 2 5\nf 1 3 4\n",
        "1 of 5 vertices are not finite (NaN or infinite), the first is number 5",
    ),
    "line.obj": ("v 0 0 0\nv .1 0 0\nv .2 0 0\nf 1 2 3\n", "all 1 triangles have zero area"),
    "flat.obj": ("v 0 0 0\nv .1 0 0\nv 0 .1 0\nf 1 2 3\n", "the mesh is flat"),
    "huge.obj": (
        "v 0 0 0\nv 300000 0 0\nv 0 300000 0\nv 0 0 300000\nf 1 2 3\nf 1 2 4\n",
        "the longest edge of its bounding box is 300000 units, 3e+05 m if m, 3e+03 m if cm, 300 m if mm; "
        "an object has 2 mm to 3 m; scale the mesh and export it again",
    ),
    "tiny.obj": ("v 0 0 0\nv .001 0 0\nv 0 .001 0\nv 0 0 .001\nf 1 2 3\nf 1 2 4\n", "an object has 2 mm to 3 m"),
    "library.obj": ("mtllib gone.mtl\n" + CUBE + "f 1 2 3\nf 1 2 4\n", "gone.mtl, which it names, is not in"),
    "noise.ply": ("nonsense", "not a readable mesh"),
    "noise.glb": ("nonsense", "not a readable mesh"),
    "noise.dae": ("<a", "not a readable mesh"),
    "mesh.fbx": ("", "the suffix '.fbx' is not one of .obj, .ply, .gltf, .glb, .dae, .stl"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mesh_is_refused_in_one_line_that_says_why(tmp_path, capsys, name):
    text, message = BAD[name]
    (tmp_path / name).write_text(text)
    assert main(["check", str(tmp_path / name)]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert name in error
    assert "\n" not in error


def test_a_300_m_box_is_refused_in_metres_and_taken_in_millimetres(tmp_path, capsys):
    path = save(tmp_path / "box.obj", *box(SIZE / SIZE.max() * 300))
    assert main(["check", str(path), "--unit", "m"]) == 2
    assert "with --unit m the longest edge of its bounding box is 300 m; an object has 2 mm to 3 m; 3 m if cm, 300 mm "\
        "if mm" in capsys.readouterr().err  # fmt: skip
    assert main(["check", str(path)]) == 0
    assert "unit:        mm (longest edge 300 mm; 300 m if m, 3 m if cm)" in capsys.readouterr().out
    assert main(["check", str(path), "--unit", "inch"]) == 2
    assert "--unit 'inch' is not one of m, cm, mm" in capsys.readouterr().err


def test_nan_is_named_in_every_format(tmp_path):
    vertices, uvs, faces = box()
    vertices[7, 1] = np.nan
    for suffix in FORMATS:
        with pytest.raises(UserError, match="not finite"):
            read(save(tmp_path / f"nan.{suffix}", vertices, uvs, faces))


def test_no_texture_is_a_warning_and_a_missing_or_broken_one_is_named(tmp_path, capsys):
    assert main(["check", str(save(tmp_path / "box.stl", *box()))]) == 0
    assert "no texture and no colours: it will be drawn in one grey" in capsys.readouterr().out
    for suffix in ("obj", "ply", "dae"):
        path = save(tmp_path / f"{suffix}.{suffix}", *box())
        path.with_suffix(".png").write_bytes(b"not an image")
        assert main(["check", str(path)]) == 2
        assert f"{suffix}.png is" in (error := capsys.readouterr().err)
        assert "not a readable image" in error
        path.with_suffix(".png").unlink()
        assert main(["check", str(path)]) == 2
        assert f"{suffix}.png" in capsys.readouterr().err
    bare = tmp_path / "bare.obj"
    cv2.imwrite(str(tmp_path / "bare.png"), picture())
    (tmp_path / "bare.mtl").write_text("newmtl a\nmap_Kd bare.png\n")
    bare.write_text("mtllib bare.mtl\nusemtl a\n" + CUBE + "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    assert main(["check", str(bare)]) == 0
    assert "a texture without texture coordinates cannot be drawn; unwrap the mesh" in capsys.readouterr().out


def test_loose_crumbs_that_make_the_box_larger_are_named(tmp_path):
    vertices, uvs, faces = box()
    dirt = np.array([[0.3, 0, 0], [0.301, 0, 0], [0.3, 0.001, 0]])
    path = save(
        tmp_path / "box.obj", np.vstack([vertices, dirt]), np.vstack([uvs, uvs[:3]]), np.vstack([faces, [24, 25, 26]])
    )
    warnings = inspect(read(path)).warnings
    assert any("1 triangle in small loose pieces" in warning for warning in warnings)


def test_an_unknown_command_and_a_missing_file_are_one_line(tmp_path, capsys):
    assert main(["check", str(tmp_path / "gone.obj")]) == 2
    assert "there is no such file" in capsys.readouterr().err
    assert main(["polish"]) == 2
    assert main(["check"]) == 2
