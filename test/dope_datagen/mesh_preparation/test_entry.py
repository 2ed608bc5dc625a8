"""Entries are added to objects.yaml without losing anything in it; the real meshes pass."""

import os
from pathlib import Path

import numpy as np
import pytest

from dope_datagen.assets.library import object_mesh
from dope_datagen.commands.assets import main
from dope_datagen.mesh_preparation.entry import Entry
from dope_datagen.mesh_preparation.mesh_file import read
from dope_datagen.mesh_preparation.surface import agreement
from dope_ros2.objects.object_model import load_objects
from helpers.mesh_files import as_rendered, box, save

YCB = Path(os.environ.get("DOPE_DATA", "")) / "models" / "ycb"
OLD = """# A head
objects:
    first:   # one
        class_id: 3
        size: [0.1, 0.2, 0.3]   # measured

    second: {class_id: 7, size: [0.1, 0.1, 0.1]}
    # about second

# A tail
other: 1
"""


@pytest.fixture
def prepared(tmp_path):
    """Runs `dope assets prepare` on a textured box."""
    path = save(tmp_path / "box.obj", *box(centre=(0, 0, 0.03)))
    return lambda *more: main(["prepare", str(path), "--out", str(tmp_path / "out"), "--overwrite", *more])


def test_an_entry_is_added_and_all_else_stays(tmp_path, prepared):
    file = tmp_path / "objects.yaml"
    file.write_text(OLD)
    file.chmod(0o640)
    assert prepared("--objects-file", str(file)) == 0
    new = file.read_text()
    head, tail = OLD.split("\n# A tail")
    assert new.startswith(head)
    assert new.endswith("# A tail" + tail)
    assert file.stat().st_mode & 0o777 == 0o640
    objects = load_objects(file)
    assert list(objects) == ["first", "second", "box"]
    assert objects["box"].class_id == 8
    assert objects["box"].centre == (0, 0, 0.03)
    object_mesh(objects["box"])
    assert prepared("--objects-file", str(file), "--name", "again", "--class-id", "20", "--mesh-unit", "mm") == 0
    assert load_objects(file)["again"].mesh_unit == "mm"
    object_mesh(load_objects(file)["again"])
    assert sorted(p.name for p in tmp_path.iterdir() if "partial" in p.name) == []


def test_a_name_or_number_that_is_taken_is_refused_before_anything_is_written(tmp_path, prepared, capsys):
    file = tmp_path / "objects.yaml"
    file.write_text(OLD)
    assert prepared("--objects-file", str(file), "--name", "first") == 2
    assert "there is an object 'first' already; choose another --name" in capsys.readouterr().err
    assert prepared("--objects-file", str(file), "--class-id", "7") == 2
    assert "class_id 7 is that of second; leave --class-id out to get 8" in capsys.readouterr().err
    assert prepared("--name", "a b") == 2
    assert "a name has letters, digits" in capsys.readouterr().err
    assert file.read_text() == OLD
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "old",
    ["objects:\n  a:\n    class_id: 1\n    size: [1, 1, 1]", "objects:\r\n  a: {class_id: 1, size: [1, 1, 1]}\r\n"],
    ids=["no newline at the end", "windows"],
)
def test_other_line_ends_are_kept(tmp_path, prepared, old):
    file = tmp_path / "objects.yaml"
    file.write_bytes(old.encode())
    assert prepared("--objects-file", str(file)) == 0
    assert list(load_objects(file)) == ["a", "box"]
    assert file.read_bytes().startswith(old.encode())
    assert (b"\r\n" in file.read_bytes()) == ("\r\n" in old)


def test_objects_in_braces_are_left_alone_and_the_entry_is_shown(tmp_path, prepared, capsys):
    file = tmp_path / "objects.yaml"
    file.write_text("objects: {a: {class_id: 1, size: [1, 1, 1]}}\n")
    assert prepared("--objects-file", str(file)) == 2
    error = capsys.readouterr().err
    assert "written in braces" in error
    assert "class_id: 2" in error
    assert file.read_text().count("\n") == 1


def test_an_entry_that_is_printed_can_be_pasted(tmp_path, prepared, capsys):
    assert prepared() == 0
    printed = capsys.readouterr().out.split("add to `objects:` in your objects.yaml:\n\n")[1]
    (tmp_path / "pasted.yaml").write_text("objects:\n" + printed)
    model = load_objects(tmp_path / "pasted.yaml")["box"]
    assert model.class_id == max(m.class_id for m in load_objects().values()) + 1
    object_mesh(model)


def test_all_of_an_entry_comes_back(tmp_path):
    flip = np.diag([1, -1, -1, 1.0]).ravel().tolist()
    around = {"axis": [0.0, 0.0, 1.0], "offset": [0.01, 0.0, 0.0]}
    entry = Entry("yes", 4, (0.1, 0.2, 0.3), (0, -0.0, 0.1), "a: b.obj", "cm", (1, 2, 3), [flip], [around])
    (tmp_path / "o.yaml").write_text("objects:\n" + entry.text())
    model = load_objects(tmp_path / "o.yaml")["yes"]
    assert model.symmetries_discrete == (tuple(flip),)
    assert model.symmetries_continuous == (around,)
    assert (model.mesh, model.mesh_unit, model.color) == ("a: b.obj", "cm", (1, 2, 3))


def test_files_are_not_replaced_unasked_and_a_folder_that_cannot_be_written_is_named(tmp_path, prepared, capsys):
    assert prepared() == 0
    arguments = ["prepare", str(tmp_path / "box.obj"), "--out"]
    assert main([*arguments, str(tmp_path / "out")]) == 2
    assert "is there already; choose another --out or --name, or replace it with --overwrite" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "box.obj" / "x")]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.skipif(
    not (os.environ.get("DOPE_DATA") and YCB.is_dir()), reason="needs models/ycb in the folder $DOPE_DATA"
)
@pytest.mark.parametrize("name", ["003_cracker_box", "006_mustard_bottle"])
def test_a_scanned_object_is_ready_to_use(tmp_path, name):
    file, mesh = tmp_path / "objects.yaml", YCB / name / "textured.obj"
    assert main(["prepare", str(mesh), "--out", str(tmp_path / "out"), "--objects-file", str(file)]) == 0
    model = load_objects(file)[name]
    assert not model.symmetries_discrete
    assert len(object_mesh(model).triangles) <= 15_000
    off = agreement(read(mesh).surface, as_rendered(model.mesh_path), np.random.default_rng(0))
    assert off.mean() < 2
