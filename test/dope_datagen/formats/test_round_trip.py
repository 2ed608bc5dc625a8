"""What is exported and read back equals the source; readers written here, from the formats' descriptions."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from dope_datagen.commands import convert
from dope_datagen.dataset import store
from dope_datagen.dataset.store import Dataset
from dope_ros2.io import bop
from helpers.handmade_images import CARTON, HEIGHT, MUG, OBJECTS_YAML, WIDTH, assert_same_label, sample, write_store

SAMPLES = [sample(0), sample(1), sample(2), sample(3, models=())]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("formats")
    (path / "objects.yaml").write_text(OBJECTS_YAML)
    write_store(path / "store", SAMPLES)
    return path


def run(folder, source, to, out, *more):
    arguments = [str(folder / source), "--to", to, "--out", str(folder / out), *more]
    assert convert.main([*arguments, "--objects-file", str(folder / "objects.yaml")]) == 0
    assert not list(folder.glob(".*"))
    return folder / out


@pytest.fixture(scope="module")
def ndds(folder):
    return run(folder, "store", "ndds", "ndds")


@pytest.fixture(scope="module")
def bop_dataset(folder):
    return run(folder, "store", "bop", "bop")


@pytest.fixture(scope="module")
def coco(folder):
    return run(folder, "store", "coco", "coco")


@pytest.fixture
def source(folder):
    return Dataset.open(folder / "store")


def assert_same_pictures(got, source, truncation=True, camera=1e-6):
    assert len(got) == len(source)
    for n in range(len(source)):
        a, b = got[n], source[n]
        np.testing.assert_allclose(a.camera.K, b.camera.K, atol=camera)
        np.testing.assert_array_equal(a.mask, b.mask)
        np.testing.assert_allclose(a.depth, b.depth, atol=1e-3)
        assert np.abs(a.rgb.astype(int) - b.rgb).mean() < 2  # a store keeps JPEG
        assert len(a.objects) == len(b.objects)
        for x, y in zip(a.objects, b.objects, strict=True):
            assert_same_label(x if truncation else replace(x, truncation=y.truncation), y)


def test_ndds_and_back_is_the_same(folder, ndds, source):
    back = run(folder, "ndds", "store", "from_ndds", "--jpeg-quality", "100")
    assert_same_pictures(Dataset.open(back), source)


def test_bop_and_back_is_the_same(folder, bop_dataset, source):
    back = run(folder, "bop", "store", "from_bop", "--jpeg-quality", "100")
    assert_same_pictures(Dataset.open(back), source, truncation=False)  # BOP has no truncation


def test_the_line_says_what_was_detected(folder, ndds, bop_dataset, capsys):
    run(folder, "ndds", "store", "said_ndds")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("3 images: centimetres, OpenCV camera, DOPE's corner order; reprojection within 0.0")
    assert lines[1] == "1 images: no known object in them"
    assert lines[-1] == f"{folder / 'said_ndds'}: 4 images"
    run(folder, "bop", "store", "said_bop")
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "4 images of BOP scenes: millimetres, OpenCV camera; bbox_obj agrees"


def test_a_foreign_format_becomes_another_without_a_store_between(folder, ndds):
    direct = run(folder, "ndds", "bop", "ndds_to_bop")
    a = json.loads((direct / "train_pbr" / "000000" / "scene_gt.json").read_text())
    np.testing.assert_allclose(a["1"][1]["cam_t_m2c"], SAMPLES[1].objects[1].pose.translation * 1000, atol=1e-3)


def test_upstreams_trainer_finds_what_it_needs_in_ndds(ndds):
    """An image is a .png with a .json of the same stem; the class, the visibility and nine points are read."""
    pictures = [p for p in sorted(ndds.rglob("*.png")) if p.with_name(p.name.replace("png", "json")).exists()]
    assert [p.name for p in pictures] == [f"{n:06d}.png" for n in range(4)]
    for picture, original in zip(pictures, SAMPLES, strict=True):
        assert cv2.imread(str(picture)).shape == (HEIGHT, WIDTH, 3)
        objects = json.loads(picture.with_suffix(".json").read_text())["objects"]
        for entry, wanted in zip(objects, original.objects, strict=True):
            assert entry["class"] == wanted.name
            assert 0 <= entry["visibility"] <= 1
            np.testing.assert_allclose(entry["projected_cuboid"], wanted.keypoints, atol=1e-3)
            np.testing.assert_allclose(entry["location"], wanted.pose.translation * 100, atol=1e-3)  # centimetres
            assert abs(entry["quaternion_xyzw"] @ wanted.pose.quaternion) == pytest.approx(1)


def test_ndds_has_its_two_settings_files(ndds):
    camera = json.loads((ndds / "_camera_settings.json").read_text())["camera_settings"][0]
    assert camera["captured_image_size"] == {"width": WIDTH, "height": HEIGHT}
    assert camera["intrinsic_settings"] == {
        "resX": WIDTH, "resY": HEIGHT, "fx": 150, "fy": 149, "cx": 81.5, "cy": 57.25, "s": 0
    }  # fmt: skip
    objects = json.loads((ndds / "_object_settings.json").read_text())
    assert objects["exported_object_classes"] == ["carton", "mug"]
    assert objects["exported_objects"][0]["cuboid_dimensions"] == [16, 11, 6]


def test_an_independent_reader_accepts_the_bop_export(bop_dataset, source):
    """Everything is in millimetres and image ids are keys; masks, boxes and counts agree with each other."""
    scene = bop_dataset / "train_pbr" / "000000"
    files = ("scene_camera", "scene_gt", "scene_gt_info")
    cameras, truths, infos = (json.loads((scene / f"{name}.json").read_text()) for name in files)
    models = json.loads((bop_dataset / "models" / "models_info.json").read_text())
    assert list(cameras) == list(truths) == list(infos) == ["0", "1", "2", "3"]
    for key in cameras:
        n, K = int(key), np.array(cameras[key]["cam_K"]).reshape(3, 3)
        assert cv2.imread(str(scene / "rgb" / f"{n:06d}.png"))[..., ::-1].tolist() == source.rgb(n).tolist()
        depth = cv2.imread(str(scene / "depth" / f"{n:06d}.png"), cv2.IMREAD_UNCHANGED) * cameras[key]["depth_scale"]
        np.testing.assert_allclose(depth, source[n].depth * 1000, atol=0.06)
        for k, (truth, info) in enumerate(zip(truths[key], infos[key], strict=True)):
            whole, visible = (
                cv2.imread(str(scene / name / f"{n:06d}_{k:06d}.png"), cv2.IMREAD_UNCHANGED)
                for name in ("mask", "mask_visib")
            )
            assert set(np.unique(whole)) <= {0, 255}
            assert not ((visible > 0) & (whole == 0)).any()
            assert (visible > 0).sum() == info["px_count_visib"]
            box = cv2.boundingRect(visible)
            assert (box if any(box) else (-1, -1, -1, -1)) == tuple(info["bbox_visib"])
            assert info["visib_fract"] == pytest.approx(info["px_count_visib"] / info["px_count_all"], abs=1e-4)
            assert info["px_count_valid"] <= info["px_count_all"]
            R, t = np.array(truth["cam_R_m2c"]).reshape(3, 3), np.array(truth["cam_t_m2c"])
            np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-6)
            model = models[str(truth["obj_id"])]
            low = np.array([model[f"min_{axis}"] for axis in "xyz"])
            size = np.array([model[f"size_{axis}"] for axis in "xyz"])
            corners = low + size * np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
            u = (corners @ R.T + t) @ K.T
            u = u[:, :2] / u[:, 2:]
            left, top, width, height = info["bbox_obj"]
            np.testing.assert_allclose([left, top], u.min(0), atol=1.5)
            np.testing.assert_allclose([left + width, top + height], u.max(0), atol=1.5)


def test_bops_models_info_is_in_millimetres(bop_dataset):
    models = json.loads((bop_dataset / "models" / "models_info.json").read_text())
    carton, mug = models["101"], models["201"]
    assert [carton[f"size_{axis}"] for axis in "xyz"] == [160, 110, 60]
    assert carton["diameter"] == pytest.approx(CARTON.diameter * 1000, rel=1e-4)
    assert [mug[f"min_{axis}"] for axis in "xyz"] == [-50, -45, 0]
    assert mug["symmetries_discrete"][0][3] == 20
    assert mug["symmetries_continuous"] == [{"axis": [0, 0, 1], "offset": [10, 0, 0]}]
    assert mug["diameter"] == pytest.approx(MUG.diameter * 1000)


def test_the_packages_own_reader_reads_the_bop_export(bop_dataset):
    frames = bop.read_scene(bop_dataset / "train_pbr" / "000000")
    assert [len(frame.truth) for frame in frames] == [4, 4, 4, 0]
    np.testing.assert_allclose(frames[2].truth[1].pose.matrix, SAMPLES[2].objects[1].pose.matrix, atol=1e-6)


def test_a_mesh_that_is_not_at_hand_is_said(folder, capsys):
    run(folder, "store", "bop", "bop_said")
    assert "mask/ and bbox_obj of mug show what is visible and the cuboid" in capsys.readouterr().err


def decoded(segmentation):
    """A mask from COCO's uncompressed run lengths."""
    values = np.concatenate([np.full(count, k % 2) for k, count in enumerate(segmentation["counts"])])
    return values.reshape(segmentation["size"], order="F")


def test_coco_and_back_is_the_same(coco, source):
    content = json.loads((coco / "annotations.json").read_text())
    assert [(c["id"], c["name"], len(c["keypoints"])) for c in content["categories"]] == [
        (101, "carton", 9),
        (201, "mug", 9),
    ]
    assert [i["file_name"] for i in content["images"]] == [f"images/{n:06d}.png" for n in range(4)]
    for image in content["images"]:
        original = source[image["id"]]
        assert cv2.imread(str(coco / image["file_name"]))[..., ::-1].tolist() == original.rgb.tolist()
        found = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        wanted = [label for label in original.objects if label.px_visible]
        assert len(found) == len(wanted)
        for annotation, label in zip(found, wanted, strict=True):
            k = original.objects.index(label)
            np.testing.assert_array_equal(decoded(annotation["segmentation"]), original.mask == k + 1)
            assert (annotation["category_id"], annotation["area"]) == (label.class_id, label.px_visible)
            assert tuple(annotation["bbox"]) == label.bbox
            points = np.array(annotation["keypoints"]).reshape(9, 3)
            np.testing.assert_allclose(points[:, :2], label.keypoints, atol=1e-3)
            inside = ((label.keypoints > -0.5) & (label.keypoints < [WIDTH - 0.5, HEIGHT - 0.5])).all(1)
            np.testing.assert_array_equal(points[:, 2] == 2, inside)
    assert len({a["id"] for a in content["annotations"]}) == len(content["annotations"])


def test_jpeg_pictures_are_written_on_request(folder):
    out = run(folder, "store", "ndds", "ndds_jpg", "--pictures", "jpg")
    assert sorted(p.name for p in out.glob("*.jpg")) == [f"{n:06d}.jpg" for n in range(4)]
    assert not (out / "000000.png").exists()


def test_an_unfinished_dataset_is_converted_as_far_as_it_is_there(folder, capsys):
    config = {"width": WIDTH, "height": HEIGHT, "depth": True}
    store.create(folder / "half", 260, 0, config, [CARTON, MUG])
    store.write_shard(folder / "half", 1, SAMPLES, 95)
    run(folder, "half", "coco", "half_coco")
    warning = f"{folder / 'half'}: 256 images are not finished; run `dope generate` again to complete it"
    assert f"dope convert: warning: {warning}\n" in capsys.readouterr().err


def test_an_object_that_has_another_size_now_is_refused(folder, tmp_path, capsys):
    other = tmp_path / "other.yaml"
    other.write_text(OBJECTS_YAML.replace("[0.160, 0.110, 0.060]", "[0.160, 0.110, 0.070]"))
    arguments = [str(folder / "store"), "--to", "bop", "--out", str(tmp_path / "out"), "--objects-file", str(other)]
    assert convert.main(arguments) == 2
    assert capsys.readouterr().err == (
        f"dope convert: error: {other}: carton has size [0.16, 0.11, 0.07] and centre [0.0, 0.0, 0.0], but "
        f"{folder / 'store'} was made with [0.16, 0.11, 0.06] and [0.0, 0.0, 0.0]; give the objects.yaml that it was "
        "made with\n"
    )


def test_a_target_that_cannot_be_written_is_named_and_nothing_is_left(folder, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dope_datagen.formats.ndds.write_json", full)
    assert convert.main([str(folder / "store"), "--to", "ndds", "--out", str(tmp_path / "out")]) == 2
    message = (
        f"{tmp_path / 'out'}: cannot be written (No space left on device); make room and run the same command again"
    )
    assert capsys.readouterr().err.splitlines()[-1] == f"dope convert: error: {message}"
    assert not list(tmp_path.iterdir())
