"""`dope check`: each fault is planted and must be named; nothing else may be."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from dope_datagen.commands import check, generate
from dope_datagen.commands.check import main
from dope_datagen.dataset import shard_state, store
from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Dataset
from dope_datagen.inspection.shard_reader import figures, inspect_shard
from dope_ros2.geometry.pose import Pose
from helpers.handmade_stores import CARTON, CONFIG, HEIGHT, WIDTH, all_files, empty, make, picture, relabel, rewrite

ORDER = [3, 2, 1, 0, 7, 6, 5, 4, 8]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return make(tmp_path_factory.mktemp("check") / "sound")


@pytest.fixture
def data(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "data")


def reasons(path, shard=0):
    return [str(fault) for fault in inspect_shard(path, shard, 0.1).faults]


def test_a_sound_dataset_has_no_fault_and_is_left_as_it_is(data, tmp_path, capsys):
    before = all_files(data)
    assert main([str(data), "--out", str(tmp_path / "report")]) == 0
    assert all_files(data) == before
    assert "faults: none" in capsys.readouterr().out


def label_change(**values):
    return lambda entry: entry["objects"][0].update(values)


def scaled_pose(entry):
    label = entry["objects"][0]
    label["location"] = [100 * v for v in label["location"]]


def opengl_pose(entry):
    label = entry["objects"][0]
    flip = Pose(np.diag([1.0, -1.0, -1.0]), np.zeros(3))
    pose = flip @ Pose.from_quaternion(label["quaternion_xyzw"], label["location"])
    label.update(location=pose.translation.tolist(), quaternion_xyzw=pose.quaternion.tolist())


def other_corners(entry):
    label = entry["objects"][0]
    label["projected_cuboid"] = [label["projected_cuboid"][k] for k in ORDER]


def moved_corner(entry):
    entry["objects"][0]["projected_cuboid"][5][0] += 2


def shifted(entry):
    """The label of something that is elsewhere: pose and corners agree, pixels do not."""
    label, K = entry["objects"][0], picture(3).camera
    pose = Pose.from_quaternion(label["quaternion_xyzw"], np.add(label["location"], [0.2, 0, 0]))
    label.update(location=pose.translation.tolist())
    label["projected_cuboid"] = K.project(pose.apply(CARTON.keypoints)).tolist()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (label_change(visibility=float("nan")), "visibility has a NaN"),
        (label_change(location=[0.1, 0.2, float("inf")]), "location has a NaN or an infinity"),
        (label_change(location=[0.1, 0.2]), "location has the shape (2,), not (3,)"),
        (label_change(projected_cuboid="none"), "projected_cuboid is not made of numbers"),
        (lambda entry: entry["objects"][0].pop("truncation"), "truncation is missing"),
        (label_change(visibility=1.5), "visibility 1.5 is outside [0, 1]"),
        (label_change(truncation=-0.1), "truncation -0.1 is outside [0, 1]"),
        (label_change(visibility=0.3), "visibility 0.3 is not px_count_visib / px_count_all, 0.7143"),
        (label_change(px_count_all=10), "px_count_visib 20 and px_count_all 10 are not"),
        (label_change(quaternion_xyzw=[0, 0, 0, 2.0]), "quaternion_xyzw has the length 2.0000, not 1"),
        (label_change(quaternion_xyzw=[0, 0, 0, 0.0]), "quaternion_xyzw has the length 0.0000, not 1"),
        (label_change(**{"class": "cartoon"}), "class 'cartoon' is not an object of this dataset; did you mean 'car"),
        (label_change(class_id=7), "class_id 7 is not that of its class, 101"),
        (scaled_pose, "it fits a pose in centimetres"),
        (opengl_pose, "the cuboid reaches behind the camera"),
        (opengl_pose, "it fits a pose in OpenGL's axes"),
        (other_corners, "it fits the corners in another order: 3, 2, 1, 0, 7, 6, 5, 4, 8"),
        (moved_corner, "projected_cuboid: corner 5 is 2.0 px off"),
        (shifted, "reach beyond its projected cuboid"),
        (label_change(px_count_visib=21, visibility=0.75), "px_count_visib is 21, the mask has 20 pixels of id 1"),
        (label_change(bounding_box_minx_maxx_miny_maxy=[0, 4, 0, 5]), "its box (left, top, width, height) is (0, 0"),
        (lambda entry: entry.update(objects=[]), "the mask has the ids [1], but there are 0 labels"),
        (lambda entry: entry["camera_data"].update(width=64), "camera_data says 64x32, but a mask has 1536 pixels"),
        (lambda entry: entry["camera_data"]["intrinsics"].update(fx=0), "camera_data is not usable"),
        (lambda entry: entry["camera_data"].update(width=HEIGHT, height=WIDTH), "rgb is 48x32, camera_data says 32x48"),
    ],
)
def test_a_fault_of_a_label_is_named_with_its_picture(data, change, reason):
    relabel(data, 3, change)
    found = reasons(data)
    assert any(reason in text for text in found), found
    assert all(text.startswith("shard 0, image 3: ") for text in found)


@pytest.mark.parametrize("location", [[0.01, 0.0, 0.4], [0.0, 0.0, 40.0]])
def test_a_fault_of_a_label_is_found_at_any_distance(data, location):
    relabel(data, 1, label_change(location=location))
    assert any("projected_cuboid" in text for text in reasons(data))


def changed_row(change):
    return lambda number, content: change(content) if number == 2 else content


def small_jpeg(_):
    return cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()


def depths(change):
    return changed_row(lambda content: change(np.frombuffer(content, np.float16)).astype(np.float16).tobytes())


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("rgb", changed_row(lambda content: content.rstrip(b"\0")[:-40]), "rgb is no whole JPEG"),
        ("rgb", changed_row(lambda content: b""), "rgb is no whole JPEG"),
        ("rgb", changed_row(small_jpeg), "rgb is 16x16, camera_data says 48x32"),
        ("mask", changed_row(lambda content: bytes(len(content))), "the mask has 0 pixels of id 1"),
        ("mask", changed_row(lambda content: content.replace(b"\1", b"\2")), "the mask has the ids [2], but there"),
        ("depth", depths(lambda depth: depth * np.float16(np.nan)), "depth has a NaN"),
        ("depth", depths(lambda depth: depth * 1000), "its depth is"),
        ("depth", depths(lambda depth: depth - 1), "depth is negative"),
        ("labels", changed_row(lambda content: content[:30]), "labels cannot be read (JSONDecodeError"),
        ("labels", changed_row(lambda content: b"[]"), "labels cannot be read (TypeError"),
        ("labels", changed_row(lambda content: b'{"objects": [3], "camera_data": {}}'), "camera_data is not usable"),
    ],
)
def test_a_fault_of_a_row_is_named_with_its_picture(data, name, change, reason):
    rewrite(data, name, change)
    found = reasons(data)
    assert any(reason in text for text in found), found
    assert all(text.startswith("shard 0, image 2: ") for text in found)


def cut(file):
    file.write_bytes(file.read_bytes()[:-30])


def wrong_index(file):
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)


def wrong_content(file):
    content = bytearray(file.read_bytes())
    content[:40] = bytes(40)
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, wrong_index, wrong_content, lambda file: file.write_bytes(b"")])
@pytest.mark.parametrize("name", ["rgb", "mask", "depth", "labels"])
def test_a_damaged_file_is_named(data, name, damage):
    damage(data / name / "c" / "0" / "0")
    [first, *_] = reasons(data)
    assert f"{name} cannot be read" in first or f"the file of {name} is damaged" in first


def test_a_file_that_is_missing_is_named(data):
    (data / "mask" / "c" / "0" / "0").unlink()
    [only] = reasons(data)
    assert only == "shard 0: the file of mask is damaged (FileNotFoundError: no such file)"


def test_a_shard_with_too_few_pictures_is_faulty(tmp_path):
    store.create(tmp_path / "data", 4, 7, CONFIG, [CARTON])
    store.write_shard(tmp_path / "data", 0, [picture(n) for n in range(3)], 90)
    found = reasons(tmp_path / "data")
    assert found
    assert all(text.startswith("shard 0, image 3: ") for text in found)


def test_pictures_without_objects_are_sound(tmp_path):
    store.create(tmp_path / "data", 3, 7, CONFIG, [CARTON])
    store.write_shard(tmp_path / "data", 0, [empty()] * 3, 90)
    assert main([str(tmp_path / "data"), "--out", str(tmp_path / "report")]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (report["pictures"], report["classes"]) == (3, {})


def test_an_array_that_is_too_short_is_a_fault_of_the_store(data, tmp_path, capsys):
    meta = json.loads((data / "mask" / "zarr.json").read_text())
    meta["shape"][0] = 4
    (data / "mask" / "zarr.json").write_text(json.dumps(meta))
    assert main([str(data), "--out", str(tmp_path / "report")]) == 1
    assert "the store: the array mask has 4 rows for 6 images" in capsys.readouterr().out


def test_faults_are_printed_counted_and_written_and_the_dataset_is_not_changed(data, tmp_path, capsys):
    relabel(data, 3, label_change(visibility=1.5))
    before = all_files(data)
    assert main([str(data)]) == 1
    assert all_files(data) == before
    printed = capsys.readouterr().out
    assert "faults: 2, in shards 0" in printed
    assert "shard 0, image 3: label 0 (carton): visibility 1.5 is outside [0, 1]" in printed
    report = json.loads((tmp_path / "data-check" / "report.json").read_text())
    assert report["shards"] == {"checked": [0], "faulty": [0], "not_rendered": []}
    assert report["faults"][0]["picture"] == 3
    assert cv2.imread(str(tmp_path / "data-check" / "report.png")).shape[1] > 600
    assert not list(tmp_path.rglob("*.partial"))


def test_a_marked_shard_counts_as_not_rendered_and_comes_back_clean(data, tmp_path, capsys):
    good = all_files(data)
    relabel(data, 3, label_change(visibility=1.5))
    assert main([str(data), "--mark", "--out", str(tmp_path / "report")]) == 1
    assert "not rendered: 0" in capsys.readouterr().out
    assert (shard_state.finished(data), shard_state.marked(data)) == ([], [0])
    assert main([str(data)]) == 2
    assert "no finished shard" in capsys.readouterr().err
    store.write_shard(data, 0, [picture(n) for n in range(6)], 90)
    assert all_files(data) == good


def test_several_processes_find_the_same_as_one(tmp_path):
    path = make(tmp_path / "data", 520, depth=False)
    relabel(path, 300, moved_corner)
    reports = [check.check(path, [0, 1, 2], workers, 0.1) for workers in (1, 2)]
    assert reports[0].all_faults == reports[1].all_faults
    assert [r.bad for r in reports] == [[1], [1]]
    assert reports[0].seen == reports[1].seen
    assert len(reports[0].crowd) == 520


def test_the_histograms_count_every_label(data):
    content = check.survey(check.check(data, [0], 1, 0.1).seen, [1] * 6)
    assert content["classes"] == {"carton": {"instances": 6, "hidden": 0}}
    for histogram in content["histograms"].values():
        assert sum(histogram["counts"]) == 6
        assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    assert np.sum(content["rotation"]["counts"]) == 6


def test_the_viewing_direction_is_that_of_the_camera_in_the_objects_frame():
    sample = picture(0)
    facing = Pose.from_rotvec([0, 0, 0], [0, 0, 0.5])  # the camera looks along the object's z, so it is at -z
    label = replace(sample.objects[0], pose=facing)
    seen = figures(label, CARTON, sample.camera)
    assert seen.rise == pytest.approx(-1)
    assert seen.distance == pytest.approx(0.5)
    assert seen.size == pytest.approx(60 * CARTON.diameter / 0.5)
    assert isinstance(label, Label)


def test_what_was_not_rendered_by_generate_is_not_repaired_and_not_touched(data, tmp_path, capsys):
    relabel(data, 3, label_change(visibility=1.5))
    before = all_files(data)
    assert main([str(data), "--repair", "--out", str(tmp_path / "report")]) == 2
    assert "only what `dope generate` has rendered can be rendered again" in capsys.readouterr().err
    assert all_files(data) == before


@pytest.mark.parametrize("argument", ["nothing", "."])
def test_a_folder_that_is_no_dataset_is_one_line(tmp_path, capsys, argument):
    assert main([str(tmp_path / argument)]) == 2
    error = capsys.readouterr().err.strip()
    assert "not a dataset" in error
    assert "\n" not in error


@pytest.mark.render
def test_repair_renders_faulty_and_marked_shards_as_they_were(raster, small_config, tmp_path, capsys):
    path = tmp_path / "data"
    assert generate.main([str(small_config), "--out", str(path), "--images", "6", "--seed", "3", "--workers", "1"]) == 0
    good = all_files(path)
    assert main([str(path)]) == 0, capsys.readouterr().out
    rewrite(path, "rgb", changed_row(lambda content: content[:300]))
    assert main([str(path), "--repair", "--workers", "1"]) == 0
    assert all_files(path) == good
    shard_state.unfinish(path, 0)
    assert main([str(path), "--repair", "--workers", "1"]) == 0
    assert all_files(path) == good
    assert len(Dataset.open(path)) == 6
