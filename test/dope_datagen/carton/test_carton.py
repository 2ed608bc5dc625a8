import itertools
import shutil
import subprocess

import cv2
import numpy as np
import pytest

from dope_datagen import carton
from dope_datagen.assets.library import object_mesh
from dope_datagen.carton import mesh, sheets
from dope_datagen.carton.faces import FACES, SIZE, draw
from dope_ros2.common.resources import share
from dope_ros2.objects.object_model import load_objects

PX_PER_MM = 4
COMMITTED = share() / "config" / "objects" / "carton"


@pytest.fixture(scope="module")
def prints():
    return {name: mesh.rasterise(draw(name), PX_PER_MM).astype(float) for name in FACES}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    if not shutil.which("pdftoppm"):
        pytest.skip("pdftoppm (poppler-utils) is not installed")
    folder = tmp_path_factory.mktemp("pages")

    def rasterised(paper):
        resolution = str(25.4 * PX_PER_MM)
        command = ["pdftoppm", "-r", resolution, "-png", COMMITTED / f"carton_{paper}.pdf", folder / paper]
        subprocess.run(command, check=True)
        return [cv2.imread(str(folder / f"{paper}-{n}.png"))[..., ::-1] for n in (1, 2)]

    return {paper: rasterised(paper) for paper in sheets.PAPERS}


def test_the_committed_mesh_and_texture_are_what_the_code_draws(tmp_path):
    assert carton.main(["--out", str(tmp_path)]) == 0
    for name in ("carton.obj", "carton.mtl"):
        assert (tmp_path / name).read_bytes() == (COMMITTED / name).read_bytes()
    drawn, committed = (cv2.imread(str(folder / "carton.png")).astype(int) for folder in (tmp_path, COMMITTED))
    assert np.abs(drawn - committed).max() <= 2


def test_the_mesh_has_the_size_in_objects_yaml():
    model = load_objects()["carton"]
    box = object_mesh(model).box
    np.testing.assert_allclose(box.size, model.size, atol=1e-6)
    np.testing.assert_allclose(np.array(SIZE) / 1000, model.size)


def test_no_face_is_printed_as_in_a_mirror():
    for face in FACES.values():
        # Seen from outside, right x down points away from the viewer.
        np.testing.assert_array_equal(np.cross(face.right, face.down), -np.array(face.normal))


def test_texture_coordinates_run_along_right_and_down_of_every_face():
    box = object_mesh(load_objects()["carton"])
    for corners in box.triangles:
        face = next(f for f in FACES.values() if np.allclose(f.normal, box.normals[corners[0]]))
        off, off_uv = np.ptp(box.positions[corners], axis=0).max(), np.diff(box.uvs[corners], axis=0)
        moved = np.diff(box.positions[corners], axis=0)
        assert off > 0
        atlas = off_uv * [1, -1] * np.array(mesh.ATLAS) / 1000  # [m] on the print, v down
        np.testing.assert_allclose(moved @ np.array([face.right, face.down]).T, atlas, atol=1e-6)


@pytest.mark.parametrize("name", FACES)
def test_a_face_turned_by_180_degrees_looks_different_even_at_ten_pixels(prints, name):
    small = cv2.resize(prints[name], (10, 10), interpolation=cv2.INTER_AREA)
    assert np.abs(small - small[::-1, ::-1]).mean() > 30


def test_no_two_faces_look_alike_even_at_ten_pixels(prints):
    small = {name: cv2.resize(image, (10, 10), interpolation=cv2.INTER_AREA) for name, image in prints.items()}
    for a, b in itertools.combinations(FACES, 2):
        assert min(np.abs(small[a] - np.rot90(small[b], k)).mean() for k in range(4)) > 30, (a, b)


@pytest.mark.parametrize("paper", sheets.PAPERS)
def test_each_face_lies_on_paper_at_true_scale_with_the_print_of_the_mesh(pages, prints, paper):
    seen = set()
    for page, half in zip(pages[paper], sheets.HALVES, strict=True):
        left, top = sheets.origin(paper, half)
        for name, u, v, turned in half.faces:
            expected = prints[name][::-1, ::-1] if turned else prints[name]
            row, column = round((top + v) * PX_PER_MM), round((left + u) * PX_PER_MM)
            found = page[row : row + expected.shape[0], column : column + expected.shape[1]]
            inner = np.s_[6:-6, 6:-6]  # without cut and fold lines
            assert np.abs(found[inner] - expected[inner]).mean() < 6, name
            seen.add(name)
    assert seen == set(FACES)


@pytest.mark.parametrize("paper", sheets.PAPERS)
def test_the_ruler_is_100_mm_long_and_everything_keeps_off_the_margin(pages, paper):
    for page, half in zip(pages[paper], sheets.HALVES, strict=True):
        assert page.shape[:2] == tuple(pytest.approx(edge * PX_PER_MM, abs=1.5) for edge in sheets.PAPERS[paper][::-1])
        rows, columns = np.nonzero(page.min(-1) < 200)
        margin = (sheets.MARGIN - 0.5) * PX_PER_MM
        assert min(rows.min(), columns.min()) > margin
        assert rows.max() < page.shape[0] - margin
        assert columns.max() < page.shape[1] - margin
        line = round((sheets.origin(paper, half)[0] + half.high[0] + 6) * PX_PER_MM)
        dark = np.nonzero(page[:, line - 1 : line + 2].min((1, 2)) < 200)[0]
        ruler = max(np.split(dark, np.nonzero(np.diff(dark) > 1)[0] + 1), key=len)
        assert len(ruler) == pytest.approx(100 * PX_PER_MM, abs=3)


def test_an_unwritable_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert carton.main(["--out", str(tmp_path / "file" / "x")]) == 2
    assert "cannot be written" in capsys.readouterr().err
