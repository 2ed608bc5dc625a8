from dataclasses import replace

import numpy as np
import pytest
import zarr

from dope_datagen.commands import generate, preview
from dope_datagen.dataset import store
from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Dataset, Sample
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import load_objects

CONFIG = {"width": 48, "height": 32, "depth": True}
CARTON = load_objects()["carton"]


def sample(seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    camera = CameraModel.from_focal(rng.uniform(50, 100), 48, 32)
    pose = Pose.random(rng, (0.1, -0.2, 1.3))
    entry = Label("carton", 101, pose, rng.uniform(-50, 100, (9, 2)), 0.75, 0.1, (3, 4, 5, 6), 21, 28)
    smooth = np.linspace(0, 255, 48)[None, :, None] * rng.uniform(0.5, 1, 3) * np.ones((32, 1, 1))
    mask = rng.integers(0, 2, (32, 48), np.uint8)
    return Sample(smooth.astype(np.uint8), camera, [entry], mask, rng.uniform(0.5, 2, (32, 48)).astype(np.float32))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "data"
    store.create(path, 300, 0, CONFIG, [CARTON])
    return path


def test_what_is_written_is_read_back(folder):
    store.write_shard(folder, 1, [sample(n) for n in range(44)], 95)
    data = Dataset.open(folder)
    assert len(data) == 44
    for n in (0, 17, 43):
        read, written = data[n], sample(n)
        np.testing.assert_array_equal(read.mask, written.mask)
        np.testing.assert_allclose(read.depth, written.depth, atol=1e-3)
        np.testing.assert_allclose(read.camera.K, written.camera.K)
        assert np.abs(read.rgb.astype(int) - written.rgb).mean() < 4
        (a,), (b,) = read.objects, written.objects
        np.testing.assert_allclose(a.keypoints, b.keypoints, atol=1e-3)
        np.testing.assert_allclose(a.pose.matrix, b.pose.matrix, atol=1e-6)
        assert (a.name, a.class_id, a.visibility, a.truncation, a.bbox) == (b.name, 101, 0.75, 0.1, (3, 4, 5, 6))
        assert (a.px_visible, a.px_all) == (21, 28)


def test_a_shard_of_pictures_that_show_no_target_is_written_and_read(folder):
    empty = [replace(sample(n), objects=[], mask=np.zeros((32, 48), np.uint8)) for n in range(44)]
    store.write_shard(folder, 1, empty, 95)
    data = Dataset.open(folder)
    assert len(data) == 44
    assert data[43].objects == []
    assert not data[43].mask.any()


def test_zarr_itself_reads_the_same_bytes(folder):
    store.write_shard(folder, 0, [sample(n) for n in range(256)], 95)
    group = zarr.open_group(str(folder), mode="r")
    np.testing.assert_array_equal(group["mask"][200].reshape(32, 48), Dataset.open(folder)[200].mask)
    assert group["rgb"].shards[0] == 256
    assert group["rgb"].chunks[0] == 1
    assert group.attrs["objects"][0]["name"] == "carton"
    assert {"seed", "config", "code_version", "objects"} <= set(group.attrs)


def test_a_shard_that_was_broken_off_is_not_there(folder):
    broken = [sample(n) for n in range(255)] + [None]
    with pytest.raises(AttributeError):
        store.write_shard(folder, 0, broken, 95)
    assert store.finished(folder) == []
    with pytest.raises(UserError, match="no finished shard"):
        Dataset.open(folder)


def test_a_shard_without_labels_counts_as_unfinished(folder):
    store.write_shard(folder, 1, [sample(n) for n in range(44)], 95)
    (folder / "labels" / "c" / "1" / "0").unlink()  # as if the machine had stopped between two renames
    assert store.finished(folder) == []
    store.write_shard(folder, 1, [sample(n) for n in range(44)], 95)
    assert len(Dataset.open(folder)) == 44


@pytest.mark.parametrize(
    ("images", "seed", "config", "message"),
    [
        (300, 1, CONFIG, "begun with seed 0"),
        (300, 0, CONFIG | {"width": 64}, "begun with another config"),
        (100, 0, CONFIG, "has 300 images already"),
    ],
)
def test_a_dataset_is_not_continued_as_another_one(folder, images, seed, config, message):
    with pytest.raises(UserError, match=message):
        store.create(folder, images, seed, config, [CARTON])


def test_a_folder_that_is_no_dataset_is_named(tmp_path):
    with pytest.raises(UserError, match="not a dataset"):
        Dataset.open(tmp_path)


@pytest.mark.render
def test_generate_renders_only_what_is_missing(raster, small_config, tmp_path):
    out = tmp_path / "data"
    arguments = [str(small_config), "--out", str(out), "--workers", "1", "--seed", "4"]
    assert generate.main([*arguments, "--images", "5"]) == 0
    first = Dataset.open(out)
    assert (len(first), first[0].rgb.shape) == (5, (64, 96, 3))
    stamp = (out / "labels" / "c" / "0" / "0").stat().st_mtime_ns
    assert generate.main([*arguments, "--images", "5"]) == 0
    assert (out / "labels" / "c" / "0" / "0").stat().st_mtime_ns == stamp
    assert generate.main([*arguments, "--images", "7"]) == 0
    more = Dataset.open(out)
    assert len(more) == 7
    for n in range(5):
        np.testing.assert_array_equal(more[n].mask, first[n].mask)
    sheet = tmp_path / "sheet.png"
    assert preview.main([str(out), "--out", str(sheet), "--count", "6"]) == 0
    assert sheet.stat().st_size > 1000
    assert not list(tmp_path.rglob("*partial*"))


@pytest.mark.render
@pytest.mark.slow
def test_several_processes_and_one_make_the_same_dataset(raster, small_config, tmp_path):
    both, first, last = (tmp_path / name for name in ("both", "first", "last"))
    for out, images, *more in ((both, 258, "2"), (first, 3, "1"), (last, 258, "1", "--shards", "1:2")):
        arguments = [str(small_config), "--out", str(out), "--images", str(images), "--workers", *more]
        assert generate.main(arguments) == 0
    together, begin, end = map(Dataset.open, (both, first, last))
    assert (len(together), len(begin), len(end)) == (258, 3, 2)
    pairs = [(together[n], begin[n]) for n in range(3)] + [(together[256 + n], end[n]) for n in range(2)]
    for sample, same in pairs:
        np.testing.assert_array_equal(sample.rgb, same.rgb)
        np.testing.assert_array_equal(sample.mask, same.mask)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("objects: {carton: 1}\nwidht: 640\n", "unknown key 'widht'; did you mean 'width'"),
        ("objects: {carton: 1}\nfocal: [900, 400]\n", "focal: .*lowest, highest"),
        ("objects: {}\n", "objects: give at least one"),
        ("objects: {cartoon: 1}\n", "no object 'cartoon'; did you mean 'carton'"),
        ("objects: {carton: 1}\nhdri_folders: [/nowhere/at/all]\n", "/nowhere/at/all does not exist"),
        ("objects: [\n", "not valid YAML"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_line_that_names_it(tmp_path, capsys, text, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    assert generate.main([str(path), "--out", str(tmp_path / "data"), "--images", "1"]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(error)
    assert not (tmp_path / "data").exists()
