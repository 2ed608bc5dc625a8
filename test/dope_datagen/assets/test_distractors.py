"""Folders of distractors: which files are taken, and what becomes of broken ones."""

import json
import re

import numpy as np
import pytest

from dope_datagen.assets import primitives
from dope_datagen.assets.distractors import distractor_keys, meshes_of
from dope_datagen.assets.library import Assets
from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.sampler import Sampler
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import load_objects
from helpers.mesh_files import box, picture, save

SMALL = {"width": 96, "height": 64, "focal": (80, 120), "size_px": (20, 60), "variety": 2, "nb_objects": (1, 2)}


def config(*folders, **changes):
    rest = {"modes": {"float": 1}, "nb_frames": 1, "nb_distractors": (6, 9), "pybullet_meshes": False}
    return DatagenConfig(objects={"carton": 1}, distractor_folders=folders, **{**SMALL, **rest, **changes})


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("v 0 0 0\nv 1 0 0\nv 0 1 0.2\nf 1 2 3\n")


def names(folder):
    return {str(path.relative_to(folder)) for path in meshes_of(folder)}


def test_every_suffix_is_taken_however_it_is_written(tmp_path):
    wanted = {"a.OBJ", "b.ply", "c.STL", "d.glb", "e.GLTF", "sub/f.dae"}
    touch(tmp_path, *wanted, "a.mtl", "texture.png", "._a.obj")
    (tmp_path / "folder.obj").mkdir()
    assert names(tmp_path) == wanted


def test_collision_meshes_are_left_out_where_there_are_others(tmp_path):
    wanted = {"mug/mug.obj", "can/visual/can.dae", "collar.obj", "only/only_vhacd.obj", "pan/collision/pan.stl"}
    touch(tmp_path / "all", *wanted, "mug/mug_vhacd.obj", "mug/mug_coll.obj", "can/collision/can.stl")
    touch(tmp_path / "all", "mug/model_collision_3.obj", "mug/Coll/mug.stl")
    assert names(tmp_path / "all") == wanted


@pytest.fixture
def folder(tmp_path):
    """A folder with two whole meshes and four broken ones."""
    save(tmp_path / "whole.obj", *box())
    save(tmp_path / "whole.glb", *box())
    save(tmp_path / "blank.obj", *box())
    (tmp_path / "blank.png").write_bytes(b"")
    (tmp_path / "cut.glb").write_bytes((tmp_path / "whole.glb").read_bytes()[:500])
    (tmp_path / "empty.dae").touch()
    (tmp_path / "far.obj").write_text("v 0 0 0\nv 1 0 0\nv nan 1 0\nf 1 2 3\n")
    (tmp_path / "point.obj").write_text("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n")
    (tmp_path / "text.ply").write_text("<html>404</html>")
    return tmp_path


BROKEN = ("cut.glb", "empty.dae", "far.obj", "point.obj", "text.ply")


@pytest.mark.parametrize("name", BROKEN)
def test_a_shape_takes_the_place_of_a_broken_file_and_the_user_is_told(folder, capsys, name):
    key = f"file:{folder / name}"
    mesh = Assets({}).mesh(key)
    assert any(np.array_equal(mesh.positions, Assets({}).mesh(s).positions) for s in primitives.DISTRACTORS)
    told = capsys.readouterr().err
    assert told.startswith(f"warning: {folder / name}: ")
    assert "takes its place" in told
    assert told.count("\n") == 1


def test_a_picture_that_cannot_be_read_is_left_out(folder, capsys):
    mesh = Assets({}).mesh(f"file:{folder / 'blank.obj'}")
    assert (mesh.texture, len(mesh.triangles)) == (None, 12)
    assert "blank.png is not a readable image and is left out" in capsys.readouterr().err


def test_a_mesh_that_is_not_there_is_refused(folder):
    with pytest.raises(UserError, match="there is no such file; put it there, or draw the scenes again"):
        Assets({}).mesh(f"file:{folder / 'none.obj'}")


def test_scenes_with_broken_files_are_the_same_in_any_order(folder):
    one, two = (Sampler(config(folder), Assets(load_objects())) for _ in range(2))
    scenes = [one.scene(5, number) for number in range(8)]
    assert [two.scene(5, number) for number in reversed(range(8))] == scenes[::-1]
    drawn = {body.mesh for scene in scenes for body in scene.bodies}
    assert drawn & {f"file:{folder / name}" for name in BROKEN}


@pytest.mark.render
@pytest.mark.parametrize("mode", ["float", "settle"])
def test_pictures_are_made_in_spite_of_broken_files(folder, assets, raster, mode):
    touch(folder, "flat.obj")
    sampler = Sampler(config(folder, modes={mode: 1}), assets)
    drawn = set()
    for number in range(6):
        scene = sampler.scene(1, number)
        drawn |= {body.mesh.rpartition("/")[2] for body in scene.bodies}
        assert raster.render(scene).rgb.std() > 0
    assert drawn > {"flat.obj"}
    assert drawn & set(BROKEN)


def test_a_folder_of_broken_files_alone_is_refused_with_the_mend(folder):
    for whole in ("whole.obj", "whole.glb", "blank.obj"):
        (folder / whole).unlink()
    message = r"none of its 5 meshes can be used, the first because of: .*empty\.dae.*take the folder out of"
    with pytest.raises(UserError, match=message) as caught:
        Sampler(config(folder), Assets(load_objects()))
    assert "\n" not in str(caught.value)


def test_one_broken_folder_does_not_hide_behind_a_whole_one(folder, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.stl").write_bytes(b"solid")
    (tmp_path / "good").mkdir()
    save(tmp_path / "good" / "box.ply", *box(), picture())
    with pytest.raises(UserError, match="bad: none of its 1 meshes"):
        Sampler(config(tmp_path / "good", tmp_path / "bad"), Assets(load_objects()))


def test_the_users_meshes_are_drawn_as_often_as_all_others(folder):
    keys = distractor_keys(True, (folder,))
    own = sum(str(folder) in key for key in keys)
    assert own == pytest.approx(len(keys) / 2, rel=0.05)


def test_a_single_file_may_be_named_instead_of_a_folder(tmp_path):
    touch(tmp_path, "a.obj", "b.obj")
    assert distractor_keys(False, (tmp_path / "b.obj",)) == [f"file:{tmp_path / 'b.obj'}"]
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"notes\.txt: no mesh"):
        meshes_of(tmp_path / "notes.txt")


def test_held_out_pictures_have_looks_that_training_has_not():
    def looks(**changes):
        sampler = Sampler(config(variety=4, **changes), Assets(load_objects()))
        scenes = [sampler.scene(3, index) for index in range(12)]
        return set(re.findall(r"procedural:[a-z_:]*\d+", json.dumps([scene.to_dict() for scene in scenes])))

    seen, held_out = looks(), looks(variety_from=4)
    assert len(seen) > 6
    assert {int(key.rpartition(":")[2]) for key in held_out} <= set(range(4, 8))
    assert not seen & held_out
