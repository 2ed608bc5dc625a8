"""Appearances come from the weights, else from meshes; what is wrong with one is a line, and never an end."""

from dataclasses import replace

import numpy as np
import pytest

from dope_datagen.commands.assets import main
from dope_ros2.common.errors import UserError
from dope_ros2.meshes.mesh import facets
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import load, read_appearances, save, write_appearances
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.refinement.drawing import mesh_appearance
from dope_ros2.refinement.drawing.appearance import VERSION
from dope_ros2.refinement.drawing.appearances import load_appearances, print_contrast, put_appearances, summary_of
from dope_ros2.refinement.drawing.mesh_appearance import of_mesh
from helpers.mesh_files import SIZE, box, cylinder, picture
from helpers.mesh_files import save as save_mesh

BOX = ObjectModel(name="box", class_id=1, size=tuple(SIZE))
CAN = ObjectModel(name="can", class_id=2, size=(0.068, 0.068, 0.102), centre=(0, 0, 0.051))


@pytest.fixture(autouse=True)
def few_elements(monkeypatch):
    """A tenth of the elements, so that a test takes a tenth of the time."""
    monkeypatch.setattr(mesh_appearance, "ELEMENTS", 3000)


@pytest.fixture
def weights(tmp_path):
    """Of a box and a can, without appearances."""
    trained = tuple(TrainedObject(name=m.name, size=m.size, centre=m.centre) for m in (BOX, CAN))
    save(tmp_path / "w.safetensors", make_network("dope-lite", 2), Metadata(architecture="dope-lite", objects=trained))
    return tmp_path / "w.safetensors"


@pytest.fixture
def with_mesh(tmp_path):
    return replace(BOX, mesh=str(save_mesh(tmp_path / "box.obj", *box())))


@pytest.fixture
def stored(weights, with_mesh):
    """The same weights with the box's appearance, while its mesh is not there any more."""
    put_appearances(weights, [with_mesh])
    return weights


def only_note(appearances):
    [note] = appearances.notes
    assert "\n" not in note
    return note


def test_what_was_put_into_weights_is_what_they_give_without_any_mesh(stored, with_mesh):
    found = load_appearances(stored, [BOX])
    assert found.notes == []
    assert [*found] == ["box"]
    for key, array in mesh_appearance.of_object(with_mesh).arrays().items():
        np.testing.assert_array_equal(found["box"].arrays()[key], array, err_msg=key)


def test_an_object_that_the_weights_have_none_of_has_that_of_its_mesh(weights, with_mesh):
    found = load_appearances(weights, [with_mesh, CAN])
    assert [*found] == ["box"]
    assert only_note(found).startswith(f"appearance of can: none in {weights}; ")
    assert "can has no mesh" in found.notes[0]


def test_a_mesh_that_cannot_be_read_is_a_line(tmp_path, weights):
    (tmp_path / "box.obj").write_text("v 1 2\nf 1 2 3\n")
    found = load_appearances(weights, [replace(BOX, mesh=str(tmp_path / "box.obj"))])
    assert not found
    assert "not a readable mesh" in only_note(found)


@pytest.mark.parametrize("wrong", [{"size": (0.16, 0.11, 0.064)}, {"centre": (0.0, 0.01, 0.0)}])
def test_a_size_that_contradicts_the_appearance_is_a_line(stored, with_mesh, wrong):
    for model in (replace(BOX, **wrong), replace(with_mesh, **wrong)):  # the mesh contradicts it, too
        found = load_appearances(stored, [model])
        assert not found
        note = only_note(found)
        assert note.startswith(f"appearance of box: {stored}: box: has size [0.16, 0.11, 0.06] and centre [0.0, 0.0")
        assert note.endswith("correct these, or make the appearance again with `dope assets appearance`")


def test_another_version_and_damaged_arrays_are_a_line_and_their_mesh_stands_in(stored, with_mesh):
    good = read_appearances(stored)["box"]
    for bad, said in (({"version": np.array([VERSION + 1])}, "version 2"), ({"points": good["points"][:9]}, "damaged")):
        write_appearances(stored, {"box": good | bad})
        assert said in only_note(without := load_appearances(stored, [BOX]))
        assert not without
        instead = load_appearances(stored, [with_mesh])
        assert only_note(instead).endswith("; made from its mesh")
        assert [*instead] == ["box"]


def test_weights_that_are_damaged_or_gone_leave_the_meshes(tmp_path, stored, with_mesh):
    stored.write_bytes(stored.read_bytes()[:1000])
    for path in (stored, tmp_path / "gone.safetensors"):
        assert [*load_appearances(path, [with_mesh])] == ["box"]
        assert "can has no mesh" in only_note(load_appearances(path, [CAN]))


def test_an_exported_network_has_them_in_a_file_beside_it(tmp_path, with_mesh):
    put_appearances(tmp_path / "w.onnx", [with_mesh])
    assert [path.name for path in tmp_path.glob("w.*")] == ["w.onnx.appearance.safetensors"]
    assert load_appearances(tmp_path / "w.onnx", [BOX]).notes == []
    assert not load_appearances(tmp_path / "w.xml", [BOX])


def test_appearances_of_weights_to_start_from_are_taken_over_where_there_is_no_mesh(tmp_path, stored, with_mesh):
    new = tmp_path / "new.safetensors"
    new.write_bytes(stored.read_bytes())
    write_appearances(new, {})
    for start in (stored, str(stored)):
        assert only_note(put_appearances(new, [BOX], start)).endswith("; an older one stays")
        assert [*read_appearances(new)] == ["box"]
    for start in ("imagenet", tmp_path / "gone.ckpt", None):
        put_appearances(new, [CAN], start)
        assert [*read_appearances(new)] == ["box"]


def test_the_contrast_of_print_tells_pictures_from_plain_surfaces_and_does_not_depend_on_scale(tmp_path):
    def contrast(image, size=1.0):
        path = save_mesh(tmp_path / "box.obj", *box(SIZE * size), image=image)
        return print_contrast(mesh_appearance.of_object(replace(BOX, size=tuple(SIZE * size), mesh=str(path))))

    rng = np.random.default_rng(0)
    printed = np.repeat(np.repeat(rng.choice([20, 230], (64, 96)), 2, 0), 2, 1).astype(np.uint8)[..., None].repeat(3, 2)
    plain = np.full((128, 192, 3), (200, 120, 40), np.uint8)
    assert contrast(plain) < 0.1
    assert contrast(printed) > 50
    assert contrast(printed, 0.5) == pytest.approx(contrast(printed), rel=0.01)
    assert contrast(printed // 4) == pytest.approx(contrast(printed) / 4, rel=0.05)
    assert summary_of(of_mesh(facets(cylinder(0.03, 0.1)), "can.obj")).endswith("print: none (plain surface)")


def test_dope_assets_appearance_writes_them_into_weights_and_leaves_the_rest(tmp_path, weights, capsys):
    save_mesh(tmp_path / "box.obj", *box(), image=picture())
    objects = tmp_path / "objects.yaml"
    objects.write_text(
        "objects:\n  box: {class_id: 1, size: [0.16, 0.11, 0.06], mesh: box.obj}\n"
        "  can: {class_id: 2, size: [0.068, 0.068, 0.102], centre: [0, 0, 0.051], mesh: can.obj}\n"
    )
    call = ["appearance", "--weights", str(weights), "--objects-file", str(objects)]
    network, metadata = load(weights)
    assert main(call) == 0
    missing, made, file = capsys.readouterr().out.splitlines()
    assert missing.startswith("appearance of can: ")
    assert "can.obj of can is not a file" in missing
    assert made.startswith("box: 3,000 elements, 35 KiB, 4.7 mm apart, print: ")
    assert file.startswith(f"{weights}: ")
    assert [*read_appearances(weights)] == ["box"]
    assert load(weights)[1] == metadata
    for one, other in zip(network.state_dict().values(), load(weights)[0].state_dict().values(), strict=True):
        assert one.equal(other)
    assert main([*call, "--objects", "box"]) == 0
    for names, said in (("bax", "was not trained on the object 'bax'; did you mean 'box'?"), ("can", "no appearance")):
        capsys.readouterr()
        assert main([*call, "--objects", names]) == 2
        assert said in capsys.readouterr().err
    assert [*read_appearances(weights)] == ["box"]


def test_weights_that_cannot_be_read_are_not_overwritten(tmp_path, with_mesh):
    (tmp_path / "w.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="not a complete safetensors file"):
        put_appearances(tmp_path / "w.safetensors", [with_mesh])
    assert (tmp_path / "w.safetensors").read_bytes() == b"no weights"
