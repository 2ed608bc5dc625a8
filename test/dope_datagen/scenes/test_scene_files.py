"""Scenes drawn on one machine and rendered on another: the same images as if drawn where they are rendered."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest

from dope_datagen.assets.library import Assets
from dope_datagen.commands.generate import main
from dope_datagen.dataset.store import Dataset
from dope_datagen.generation.generate import arrange, generate
from dope_datagen.scenes import scene_files
from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.sampler import Sampler
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import load_objects

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0.2\nf 1 2 3\n"


def config(folder, **changes):
    """A small configuration with one mesh of the user's in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "thing.obj").write_text(TRIANGLE)
    small = {"width": 96, "height": 64, "focal": (80, 120), "size_px": (20, 60), "variety": 2, "nb_objects": (1, 2)}
    rest = {"modes": {"float": 1}, "nb_frames": 1, "nb_distractors": (3, 5), "pybullet_meshes": False}
    return DatagenConfig(objects={"carton": 1}, distractor_folders=(folder,), **{**small, **rest, **changes})


@pytest.fixture
def drawn(tmp_path):
    """A folder with five scenes, and what they were drawn with."""
    recipe = config(tmp_path / "here")
    arrange(recipe, tmp_path / "scenes", images=5, seed=3)
    return tmp_path / "scenes", recipe


def test_scenes_come_back_as_they_were_drawn(drawn):
    folder, recipe = drawn
    sampler = Sampler(recipe, Assets(load_objects()))
    assert scene_files.read(folder, 0, recipe) == [sampler.scene(3, number) for number in range(5)]


def test_paths_follow_the_folders_of_the_machine_that_renders(drawn, tmp_path):
    folder, _ = drawn
    text = gzip.decompress((folder / "000000.jsonl.gz").read_bytes()).decode()
    assert str(tmp_path) not in text
    assert "${distractor_folders[0]}/thing.obj" in text
    there = config(tmp_path / "there")
    keys = {body.mesh for scene in scene_files.read(folder, 0, there) for body in scene.bodies}
    assert f"file:{tmp_path / 'there' / 'thing.obj'}" in keys


def test_paths_follow_single_files(tmp_path):
    here, there = (config(tmp_path / name) for name in ("here", "there"))
    here, there = (
        one.model_copy(update={"distractor_folders": (one.distractor_folders[0] / "thing.obj",)})
        for one in (here, there)
    )
    arrange(here, tmp_path / "scenes", images=5, seed=3)
    text = gzip.decompress((tmp_path / "scenes" / "000000.jsonl.gz").read_bytes()).decode()
    assert str(tmp_path) not in text
    keys = {body.mesh for scene in scene_files.read(tmp_path / "scenes", 0, there) for body in scene.bodies}
    assert f"file:{tmp_path / 'there' / 'thing.obj'}" in keys


@pytest.mark.render
def test_rendered_scenes_equal_those_drawn_on_the_spot(drawn, tmp_path, raster):
    folder, recipe = drawn
    generate(recipe, tmp_path / "one", images=5, seed=3)
    generate(recipe, tmp_path / "two", images=5, seed=3, scenes=folder)
    one, two = (Dataset.open(tmp_path / name) for name in ("one", "two"))
    for index in range(5):
        np.testing.assert_array_equal(one[index].rgb, two[index].rgb)
        np.testing.assert_array_equal(one[index].mask, two[index].mask)
        assert [o.to_dict() for o in one[index].objects] == [o.to_dict() for o in two[index].objects]


def test_drawing_again_changes_nothing(drawn):
    folder, recipe = drawn
    before = {file: file.read_bytes() for file in sorted(folder.iterdir())}
    arrange(recipe, folder, images=5, seed=3)
    assert {file: file.read_bytes() for file in sorted(folder.iterdir())} == before
    (folder / "000000.jsonl.gz").unlink()
    arrange(recipe, folder, images=5, seed=3)
    assert {file: file.read_bytes() for file in sorted(folder.iterdir())} == before


def test_other_scenes_in_the_folder_are_not_mixed_with_these(drawn):
    folder, recipe = drawn
    with pytest.raises(UserError, match="holds scenes of another configuration, seed or number; give another --out"):
        arrange(recipe, folder, images=5, seed=4)


@pytest.mark.parametrize(
    ("changes", "seed", "images", "message"),
    [
        ({}, 4, 5, "has scenes of seed 3 for 5 images; give --seed 3 and at most --images 5"),
        ({}, 3, 6, "has scenes of seed 3 for 5 images"),
        ({"empty": 0.5}, 3, 5, "drawn with another empty; give the configuration they are of"),
    ],
)
def test_scenes_of_something_else_are_refused(drawn, tmp_path, changes, seed, images, message):
    with pytest.raises(UserError, match=message):
        generate(config(tmp_path / "here", **changes), tmp_path / "out", images, seed, scenes=drawn[0])
    assert not (tmp_path / "out").exists()


def test_scenes_of_a_key_that_is_absent_now_are_refused(tmp_path):
    arrange(config(tmp_path / "here", principal_point_shift=0.1), tmp_path / "scenes", images=1, seed=3)
    with pytest.raises(UserError, match="drawn with another principal_point_shift"):
        scene_files.check(tmp_path / "scenes", config(tmp_path / "here"), 3, 1)


def test_the_renderer_may_be_another_one(drawn, tmp_path):
    scene_files.check(drawn[0], config(tmp_path / "here", renderer="path", spp=4, depth=True), 3, 5)


def test_missing_and_damaged_scenes_are_named(drawn):
    folder, recipe = drawn
    with pytest.raises(UserError, match=r"000001\.jsonl\.gz: no such file; draw these scenes first"):
        scene_files.read(folder, 1, recipe)
    file = folder / "000000.jsonl.gz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=r"000000\.jsonl\.gz: not readable"):
        scene_files.read(folder, 0, recipe)
    with pytest.raises(UserError, match="no folder of scenes; give one that --scenes-only has written"):
        scene_files.check(Path("nowhere"), recipe, 3, 5)


def test_drawing_and_rendering_at_once_is_refused(small_config, tmp_path, capsys):
    command = [str(small_config), "--out", str(tmp_path / "x"), "--images", "2", "--scenes-only", "--from-scenes", "y"]
    assert main(command) == 2
    assert "give one of the two" in capsys.readouterr().err
    shutil.rmtree(tmp_path)
