"""What is made of a mesh: points on it, outward normals, its colours, few edges; of any mesh that a user may have."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from dope_ros2.common.errors import UserError
from dope_ros2.meshes.mesh import Mesh, facets
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.refinement.drawing import mesh_appearance
from dope_ros2.refinement.drawing.appearance import MAX_TRIANGLES
from dope_ros2.refinement.drawing.mesh_appearance import of_mesh, of_object
from helpers.mesh_files import FORMATS, SIZE, box, bumpy, cylinder, picture, save

MODEL = ObjectModel(name="box", class_id=1, size=tuple(SIZE))
RED, BLUE = (200, 30, 40), (20, 40, 220)


@pytest.fixture(autouse=True)
def few_elements(monkeypatch):
    """A tenth of the elements, so that a test takes a tenth of the time."""
    monkeypatch.setattr(mesh_appearance, "ELEMENTS", 3000)


def box_mesh(centre=(0, 0, 0), inverted=False):
    vertices, uvs, faces = box(centre=centre)
    faces = faces[:, ::-1] if inverted else faces
    return facets(vertices[faces], uvs[faces])


def two_colors():
    """An atlas of `helpers.mesh_files.box`: +x, -x, +y red, the others blue."""
    image = np.zeros((128, 192, 3), np.uint8)
    image[64:], image[:64] = RED, BLUE
    return image


def test_points_lie_on_the_mesh_within_the_steps_in_which_they_are_kept():
    elements = of_mesh(box_mesh(), "box.obj").levels[0]
    off = abs(abs(elements.points) - SIZE / 2).min(1)  # from the nearest face of a box
    assert off.max() <= SIZE.max() / 65_535
    assert (abs(elements.points) <= SIZE / 2 + 1e-7).all()


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("centre", [(0, 0, 0), (1, -2, 0.5)])
def test_normals_are_outward_however_triangles_wind_and_wherever_the_mesh_lies(centre, inverted):
    mesh = box_mesh(centre, inverted)
    lid = (mesh.positions[mesh.triangles].mean(1) - centre)[:, 2] > 0.029
    for part in (mesh, replace(mesh, triangles=mesh.triangles[~lid])):  # closed, and without its lid
        appearance = of_mesh(part, "box.obj")
        elements, outline = appearance.levels[0], appearance.outline
        assert ((elements.points - centre) * elements.normals).sum(1).min() > 0
        assert ((outline.middles - centre) * outline.normals).sum(1).min() > 0


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != "stl"])
def test_elements_have_the_colours_of_the_texture(tmp_path, suffix):
    path = save(tmp_path / f"box.{suffix}", *box(), image=two_colors())
    elements = of_object(replace(MODEL, mesh=str(path))).levels[0]
    red = (elements.normals @ [1, 0, 0] > 0.5) | (elements.normals @ [-1, 0, 0] > 0.5) | (elements.normals[:, 1] > 0.5)
    np.testing.assert_allclose(elements.colors[red], np.tile(RED, (red.sum(), 1)), atol=6)  # some pictures are JPEGs
    np.testing.assert_allclose(elements.colors[~red], np.tile(BLUE, ((~red).sum(), 1)), atol=6)


def test_any_first_part_of_the_points_is_evenly_spread():
    appearance = of_mesh(box_mesh(), "box.obj")
    points = appearance.levels[0].points
    for count in (3000, 1000, 300, 100):
        spacing = np.sqrt(appearance.area / count)
        faces = np.abs(points[:count] / (SIZE / 2)).argmax(1)
        shares = np.bincount(faces, minlength=3) / count
        expected = 2 * np.array([SIZE[1] * SIZE[2], SIZE[0] * SIZE[2], SIZE[0] * SIZE[1]]) / appearance.area
        assert abs(shares - expected).max() < 3 * np.sqrt(0.25 / count)
        gaps, _ = cKDTree(points[:count]).query(points)
        assert gaps.max() < 3.5 * spacing


def test_a_mesh_without_texture_has_one_colour(tmp_path):
    path = save(tmp_path / "box.stl", *box())
    appearance = of_object(replace(MODEL, mesh=str(path)))
    assert np.ptp(appearance.colors, axis=0).max() == 0


def test_hundreds_of_thousands_of_triangles_are_few_edges_in_the_end():
    vertices, uvs, faces = bumpy(230)
    mesh = Mesh(np.float32(vertices), np.float32(vertices), np.float32(uvs), np.int32(faces))
    assert len(faces) > 200_000
    outline = of_mesh(mesh, "ball.obj").outline
    assert len(outline.triangles) <= MAX_TRIANGLES
    radii = np.linalg.norm(outline.vertices, axis=1)
    assert 0.045 < radii.min() < radii.max() < 0.055


def test_of_thousands_of_loose_pieces_the_largest_have_edges():
    rng = np.random.default_rng(0)
    corners = rng.uniform(-0.05, 0.05, (6000, 1, 3)) + rng.normal(0, 0.001, (6000, 3, 3))
    outline = of_mesh(facets(corners), "chips.stl").outline
    assert 0 < len(outline.triangles) <= MAX_TRIANGLES


def test_flat_reading_gives_the_same_surface(tmp_path):
    for suffix in FORMATS:
        path = save(tmp_path / f"box.{suffix}", *box())
        shared, flat = (of_mesh(read_mesh(path, flat=flat), path) for flat in (False, True))
        np.testing.assert_allclose(shared.levels[0].points, flat.levels[0].points, atol=1e-6)
        np.testing.assert_allclose(shared.colors, flat.colors, atol=1)


@pytest.mark.parametrize(("name", "options"), [("t.jpg", [cv2.IMWRITE_JPEG_QUALITY, 95]), ("t.png", [])])
def test_a_large_texture_is_shrunk_and_shows_the_same(tmp_path, monkeypatch, name, options):
    monkeypatch.setattr(mesh_appearance, "LARGEST_TEXTURE", 256)
    monkeypatch.setattr(mesh_appearance, "REDUCED", {256 * k: flag for k, flag in REDUCED_BY.items()})
    image = picture(1536, 1024)
    cv2.imwrite(str(tmp_path / name), image[..., ::-1], options)
    vertices, uvs, faces = box()
    mesh = replace(facets(vertices[faces], uvs[faces]), texture=tmp_path / name)
    small = of_mesh(mesh, "box.obj").colors.astype(int)
    monkeypatch.setattr(mesh_appearance, "LARGEST_TEXTURE", 4096)
    monkeypatch.setattr(mesh_appearance, "REDUCED", {})
    assert abs(small - of_mesh(mesh, "box.obj").colors).mean() < 2


REDUCED_BY = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}


def test_the_size_of_a_jpeg_is_read_from_its_header_whatever_stands_before_it(tmp_path):
    for name, side in (("wide.jpg", 300), ("picture.png", 0)):
        cv2.imwrite(str(tmp_path / name), np.zeros((200, 300, 3), np.uint8))
        data = (tmp_path / name).read_bytes()
        commented = data[:2] + b"\xff\xfe\x00\x07hello" + data[2:]
        for content in (data, commented):
            (tmp_path / name).write_bytes(content)
            with (tmp_path / name).open("rb") as file:
                assert mesh_appearance._jpeg_side(file) == side


def refused(mesh_or_model, match):
    with pytest.raises(UserError, match=match) as refusal:
        of_object(mesh_or_model) if isinstance(mesh_or_model, ObjectModel) else of_mesh(mesh_or_model, "box.obj")
    assert "\n" not in str(refusal.value)


def test_what_cannot_be_used_is_refused_in_a_line(tmp_path, monkeypatch):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    refused(replace(box_mesh(), texture=broken), r"box\.obj: its texture .*broken\.png is no readable PNG or JPEG")
    refused(replace(box_mesh(), texture=b"no picture"), "is no readable PNG or JPEG")
    refused(replace(box_mesh(), texture=tmp_path / "gone.png"), r"cannot be read \(.*gone\.png")
    refused(facets(np.zeros((4, 3, 3))), "all 4 triangles have zero area")
    path = save(tmp_path / "box.obj", *box())
    refused(replace(MODEL, mesh=str(path), size=(0.3, 0.3, 0.3)), "correct size, centre or mesh_unit")

    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr(mesh_appearance, "read_mesh", exhausted)
    refused(replace(MODEL, mesh=str(path)), "too large for this machine's memory")


def test_triangles_without_area_and_texture_coordinates_that_are_none_do_no_harm():
    mesh = facets(np.concatenate([cylinder(0.03, 0.1), np.zeros((5, 3, 3))]))
    mesh.uvs[::7] = np.nan
    for each in (mesh, replace(mesh, texture=cv2.imencode(".png", picture())[1].tobytes())):
        appearance = of_mesh(each, "can.obj")
        assert (np.linalg.norm(appearance.normals.astype(float), axis=1) > 120).all()
