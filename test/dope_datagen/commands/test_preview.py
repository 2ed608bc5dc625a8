"""`dope preview` and `dope view`: what is drawn, and a page that needs nothing but itself."""

import base64
import sys
from html.parser import HTMLParser
from itertools import pairwise

import cv2
import numpy as np
import pytest

from dope_datagen.commands import preview, view
from dope_datagen.dataset import store
from dope_datagen.inspection import contact_sheet, html_page
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel
from helpers.handmade_stores import CARTON, CONFIG, HEIGHT, WIDTH, empty, make, picture

MODELS = {"carton": CARTON}


class Page(HTMLParser):
    """Gathers what a page refers to, its images and the cells of its tables."""

    def __init__(self, text):
        super().__init__()
        self.references, self.tags, self.cells, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [v for k, v in attributes if k in ("src", "href", "srcset", "data", "poster", "action")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open:
            self.cells[-1] += data


@pytest.fixture
def data(tmp_path):
    return make(tmp_path / "data")


def test_a_dataset_gives_a_sheet_and_a_page(data, tmp_path):
    assert (
        preview.main([str(data), "--out", str(tmp_path / "new" / "sheet.png"), "--count", "5", "--columns", "2"]) == 0
    )
    assert cv2.imread(str(tmp_path / "new" / "sheet.png")).shape == (3 * 320, 2 * 480, 3)
    content = Page((tmp_path / "new" / "sheet.html").read_text())
    assert content.tags.count("img") == 5
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["sheet.html", "sheet.png"]


def test_the_page_needs_nothing_but_itself(data, tmp_path):
    assert preview.main([str(data), "--out", str(tmp_path / "p.html"), "--count", "3"]) == 0
    assert (tmp_path / "p.jpg").is_file()
    text = (tmp_path / "p.html").read_text()
    content = Page(text)
    assert not content.open
    assert all(reference.startswith("data:image/jpeg;base64,") for reference in content.references)
    assert len(content.references) == 3
    for forbidden in ("http:", "https:", "@import", "url(", "<script", "<link", "<iframe", str(tmp_path)):
        assert forbidden not in text
    decoded = base64.b64decode(content.references[0].partition(",")[2])
    assert cv2.imdecode(np.frombuffer(decoded, np.uint8), cv2.IMREAD_COLOR).shape == (HEIGHT, WIDTH, 3)


def test_the_table_says_what_the_labels_say():
    sample = picture(4)
    content = Page(html_page.page("t", "f", [html_page.PageImage(4, sample, sample.rgb)]))
    [label] = sample.objects
    assert len(content.cells) == len(html_page.COLUMNS)
    assert content.cells[0].strip() == "0"
    assert content.cells[1] == "carton (101)"
    assert [float(v) for v in content.cells[2].split(",")] == label.pose.translation.round(4).tolist()
    assert [float(v) for v in content.cells[3].split(",")] == label.pose.quaternion.round(4).tolist()
    assert content.cells[4:6] == ["71.4%", "25.0%"]
    assert [int(v) for v in content.cells[6].split(",")] == list(label.bbox)
    assert content.cells[7] == "20 / 28"


def test_names_cannot_break_the_page():
    content = Page(html_page.page("<b>&", "<script>alert(1)</script>", []))
    assert "script" not in content.tags


def test_a_picture_without_objects_is_shown_without_a_table(tmp_path):
    store.create(tmp_path / "data", 1, 0, CONFIG, [CARTON])
    store.write_shard(tmp_path / "data", 0, [empty()], 90)
    assert preview.main([str(tmp_path / "data"), "--out", str(tmp_path / "p.jpg")]) == 0
    assert "table" not in Page((tmp_path / "p.html").read_text()).tags


def test_mask_cuboid_and_axes_are_drawn_where_the_labels_say():
    sample = picture(2)
    drawn = contact_sheet.annotated(sample, MODELS)
    changed = (drawn != sample.rgb).any(-1)
    assert changed[sample.mask > 0].mean() > 0.9
    for u, v in sample.camera.project(sample.objects[0].pose.apply(CARTON.keypoints)).round().astype(int):
        assert changed[np.clip(v, 0, HEIGHT - 1), np.clip(u, 0, WIDTH - 1)] or not (0 <= u < WIDTH and 0 <= v < HEIGHT)
    assert sample.rgb.shape == drawn.shape
    np.testing.assert_array_equal(sample.rgb, picture(2).rgb)


def test_a_label_of_an_unknown_class_is_drawn_by_its_corners():
    assert (contact_sheet.annotated(picture(2), {}) != picture(2).rgb).any()


def test_plain_pictures_are_the_stored_ones():
    [only] = preview.shown([(5, picture(5))], MODELS, plain=True)
    assert (only.number, only.image.tolist()) == (5, picture(5).rgb.tolist())


def test_instances_have_colours_of_their_own():
    colors = [contact_sheet.instance_color(k) for k in range(25)]
    assert len(set(colors)) == 25
    assert min(np.abs(np.subtract(a, b)).max() for a, b in pairwise(colors)) > 60


@pytest.mark.parametrize("name", ["sheet.gif", "sheet"])
def test_a_suffix_that_is_not_known_is_one_line(data, tmp_path, capsys, name):
    assert preview.main([str(data), "--out", str(tmp_path / name)]) == 2
    assert "is not one of .jpg, .jpeg, .png, .html" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_line(data, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert preview.main([str(data), "--out", str(tmp_path / "file" / "sheet.png")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_without_rerun_view_names_the_line_that_installs_it(data, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rerun", None)  # as if it were not installed
    assert view.main([str(data)]) == 2
    assert 'pip install "rerun-sdk>=0.41"' in capsys.readouterr().err


def test_view_has_arrays_in_metres_and_pixels():
    sample = picture(3)
    model = ObjectModel(name="carton", class_id=101, size=CARTON.size, centre=(0.0, 0.0, 0.03))
    content = view.arrays(sample, {"carton": model})
    np.testing.assert_allclose(content["half_sizes"], [np.array(CARTON.size) / 2])
    pose = Pose.from_quaternion(content["quaternions"][0], content["centers"][0])
    centre_of_mesh = pose.apply([0, 0, -0.03])
    np.testing.assert_allclose(centre_of_mesh, sample.objects[0].pose.translation, atol=1e-9)
    assert content["keypoints"].shape == (1, 9, 2)
    assert content["names"] == ["carton 71%"]
    assert content["depth"].shape == content["mask"].shape == (HEIGHT, WIDTH)


def test_view_of_an_empty_picture_has_empty_arrays():
    content = view.arrays(empty(), MODELS)
    assert content["keypoints"].shape == (0, 9, 2)
    assert content["centers"].shape == (0, 3)
