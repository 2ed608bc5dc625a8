"""Units, camera frames, corner orders: each is made up here and has to be recognised, or refused."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dope_datagen.commands import convert
from dope_datagen.dataset.store import Dataset
from dope_datagen.formats import conventions
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from helpers.handmade_images import HEIGHT, OBJECTS_YAML, WIDTH, assert_same_label, sample
from helpers.label_conventions import (
    BLENDERPROC,
    DOPE,
    FLIP,
    MODELS,
    ORDERS,
    SCALE,
    STRAIGHT,
    TURNED,
    objects_of,
    write_picture,
)


@pytest.fixture
def run(tmp_path, capsys):
    """Import tmp_path/in; returns the exit status, the lines of stdout, those of stderr."""
    (tmp_path / "objects.yaml").write_text(OBJECTS_YAML)

    def import_(*more):
        arguments = [str(tmp_path / "in"), "--to", "store", "--out", str(tmp_path / "out")]
        status = convert.main([*arguments, "--objects-file", str(tmp_path / "objects.yaml"), *more])
        captured = capsys.readouterr()
        errors = [line for line in captured.err.splitlines() if line.startswith("dope")]
        return status, captured.out.splitlines(), errors

    return import_


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("camera", FLIP)
@pytest.mark.parametrize("unit", SCALE)
def test_unit_camera_and_corner_order_are_found_by_reprojection(tmp_path, run, unit, camera, order):
    for n in range(2):
        write_picture(tmp_path / "in", n, objects_of(n, unit=unit, camera=camera, order=order))
    status, lines, _ = run()
    assert status == 0
    assert lines[0].startswith(f"2 images: {unit}, {camera} camera, {order}; reprojection within 0.0")
    for got, wanted in zip(Dataset.open(tmp_path / "out").labels(1), sample(1).objects[:2], strict=True):
        np.testing.assert_allclose(got.pose.matrix, wanted.pose.matrix, atol=1e-5)
        np.testing.assert_allclose(got.keypoints, wanted.keypoints, atol=2e-3)


@pytest.mark.parametrize("origin", conventions.ORIGINS)
@pytest.mark.parametrize("turn", [STRAIGHT, TURNED])
def test_a_pose_of_another_frame_becomes_the_meshs(tmp_path, run, turn, origin):
    """As FAT has it: axes permuted against the mesh, or the location is that of the box's centre."""
    write_picture(tmp_path / "in", 0, objects_of(0, unit="centimetres", turn=turn, origin=origin, order=DOPE))
    _, lines, _ = run()
    turned, centred = "poses of a frame whose x, y, z are the mesh's", "location of the box's centre"
    assert (turned in lines[0], centred in lines[0]) == (turn is TURNED, origin == "box")
    for got, wanted in zip(Dataset.open(tmp_path / "out").labels(0), sample(0).objects[:2], strict=True):
        np.testing.assert_allclose(got.pose.matrix, wanted.pose.matrix, atol=1e-5)


def test_old_and_new_pictures_in_one_tree_are_told_apart(tmp_path, run):
    for n in range(3):
        order = BLENDERPROC if n else DOPE
        write_picture(tmp_path / "in" / str(n), n, objects_of(n, unit="centimetres", camera="OpenGL", order=order))
    _, lines, _ = run()
    assert lines[0].startswith(f"2 images: centimetres, OpenGL camera, {BLENDERPROC};")
    assert lines[1].startswith(f"1 images: centimetres, OpenGL camera, {DOPE};")


def test_fat_has_eight_corners_and_its_camera_in_a_file_of_the_folder(tmp_path, run):
    objects = objects_of(0, unit="centimetres")
    for item in objects:
        item["projected_cuboid_centroid"] = item["projected_cuboid"].pop()
    (tmp_path / "in").mkdir()
    path = write_picture(tmp_path / "in", 0, objects, camera={}, suffix=".jpg")
    for suffix in (".json", ".jpg"):
        path.with_suffix(suffix).rename(path.with_name(f"000000.right{suffix}"))
    settings = [{"name": side, "intrinsic_settings": {"resX": WIDTH, "resY": HEIGHT, "fx": focal, "fy": 149,
                 "cx": 81.5, "cy": 57.25, "s": 0}} for side, focal in (("left", 99), ("right", 150))]  # fmt: skip
    (tmp_path / "in" / "_camera_settings.json").write_text(json.dumps({"camera_settings": settings}))
    status, lines, _ = run()
    assert (status, lines[0].split(";")[0]) == (0, f"1 images: centimetres, OpenCV camera, {DOPE}")
    assert Dataset.open(tmp_path / "out").camera(0).K[0, 0] == 150


def test_a_principal_point_of_zero_is_mended_and_said(tmp_path, run):
    """As BlenderProc's generator wrote until May 2025: drawn with the centre, written as zero."""
    picture = sample(0)
    K = np.array([[150, 0, (WIDTH - 1) / 2], [0, 150, (HEIGHT - 1) / 2], [0, 0, 1]])
    objects = objects_of(0, unit="centimetres", camera="OpenGL")
    for item, label in zip(objects, picture.objects, strict=False):
        points = label.pose.apply(MODELS[label.name].keypoints)
        item["projected_cuboid"] = CameraModel(K, WIDTH, HEIGHT).project(points).tolist()
    data = {"width": WIDTH, "height": HEIGHT, "intrinsics": {"fx": 150, "fy": 150, "cx": 0, "cy": 0}}
    write_picture(tmp_path / "in", 0, objects, camera=data)
    _, lines, _ = run()
    assert "principal point (0, 0) taken to be the image's centre" in lines[0]
    np.testing.assert_allclose(Dataset.open(tmp_path / "out").camera(0).K, K)


def test_a_number_of_pixels_becomes_a_fraction_where_there_is_a_mesh(tmp_path, run):
    objects = objects_of(0, unit="centimetres", camera="OpenGL", order=BLENDERPROC)
    labels = sample(0).objects[:2]
    for item, label in zip(objects, labels, strict=True):
        item["visibility"] = label.px_visible
    write_picture(tmp_path / "in", 0, objects)
    _, lines, _ = run()
    carton, mug = Dataset.open(tmp_path / "out").labels(0)
    assert carton.visibility == pytest.approx(labels[0].visibility, abs=0.01)
    assert carton.px_visible == labels[0].px_visible
    assert (mug.visibility, mug.px_visible, mug.px_all) == (1, labels[1].px_visible, 0)
    assert lines[1] == (
        "visibility of 1 objects is a number of pixels and cannot be made a fraction, since the mesh of mug is not at "
        "hand: written as 1"
    )
    assert lines[2] == "visibility of 1 objects is a number of pixels: divided by those of the mesh's silhouette"


def test_what_a_file_does_not_say_is_that_of_the_cuboid(tmp_path, run):
    write_picture(tmp_path / "in", 1, objects_of(1))
    _, lines, _ = run()
    assert lines[-2] == "no instance masks (.is.png): masks are empty, boxes and truncation are those of the cuboid"
    got, read = Dataset.open(tmp_path / "out")[0], sample(1)
    assert not got.mask.any()
    low, high = np.round(read.objects[1].keypoints.min(0)), np.round(read.objects[1].keypoints.max(0))
    assert got.objects[1].bbox == (*low, *(high - low + 1))
    assert got.objects[1].truncation == 0


def test_files_that_fit_nothing_are_named_and_the_rest_is_imported(tmp_path, run):
    folder, good = tmp_path / "in", objects_of(0)
    write_picture(folder, 0, good)
    broken = {n: objects_of(n) for n in range(1, 7)}
    broken[1][0]["quaternion_xyzw"] = (np.array(broken[1][0]["quaternion_xyzw"]) / 2).tolist()
    broken[2][1]["quaternion_xyzw"] = Rotation.from_euler("x", 0.3).as_quat().tolist()
    del broken[3][0]["location"]
    broken[4][0]["projected_cuboid"] = broken[4][0]["projected_cuboid"][:7]
    paths = {n: write_picture(folder, n, objects) for n, objects in broken.items()}
    paths[5].write_text('{"objects": [')
    paths[6].with_suffix(".png").unlink()
    paths[7] = write_picture(folder, 7, objects_of(7), camera={})
    paths[8] = write_picture(folder, 8, objects_of(8), camera={"width": 640, "height": 480, "intrinsics": {
        "fx": 1, "fy": 1, "cx": 1, "cy": 1}})  # fmt: skip
    paths[9] = folder / "notes.json"
    paths[9].write_text("[]")
    paths[10] = write_picture(folder, 10, objects_of(10))
    paths[10].with_suffix(".png").write_bytes(b"no image")
    status, lines, errors = run()
    assert (status, lines[-1]) == (0, f"{tmp_path / 'out'}: 1 images; warnings: 10")
    reasons = {
        1: ": objects[0] (carton): quaternion_xyzw has length 0.50 instead of 1 and is no rotation; NVISII's exporter "
        "writes such for a mesh that was loaded with a scale; scale the mesh's file and render again",
        3: ": objects[0] (carton): has no location of 3 and quaternion_xyzw of 4 numbers; without them the corner "
        "order cannot be checked",
        4: ": objects[0] (carton): projected_cuboid is not 9 points [u, v] (or 8 with projected_cuboid_centroid)",
        6: ": has no image beside it (000006.png or 000006.jpg)",
        7: ": has no camera_data.intrinsics fx, fy, cx, cy, nor has a _camera_settings.json beside it",
        8: f": is for 640x480 pixels, but the image of {paths[8]} is {WIDTH}x{HEIGHT}",
        9: ": has no list `objects`, so it is not the annotation of an image",
    }
    for n, reason in reasons.items():
        assert f"dope convert: warning: {paths[n]}{reason}" in errors
    [fits_nothing] = [line for line in errors if str(paths[2]) in line]
    assert "objects[1] (mug) has its corners" in fits_nothing
    assert fits_nothing.endswith(
        "px from where its pose puts them, in every unit, camera frame and corner order; nearest: metres, OpenCV "
        f"camera, {DOPE}; compare intrinsics, quaternion, and the object's size in objects.yaml"
    )
    assert any(f"{paths[5]}: not valid JSON" in line for line in errors)
    assert any(f"{paths[10].with_suffix('.png')}: not a readable image" in line for line in errors)
    assert len(errors) == 10


def test_a_class_that_is_not_known_is_counted_and_can_be_renamed(tmp_path, run):
    objects = objects_of(0)
    objects[0]["class"] = "Carton"  # small and capital letters are the same, as for upstream's trainer
    objects[1]["class"] = "025_mug_16k"
    write_picture(tmp_path / "in", 0, objects)
    _, lines, _ = run()
    assert lines[-2] == (
        "class '025_mug_16k': 1 objects left out, since it is not in objects.yaml; known: carton, mug; "
        "--rename 025_mug_16k=NAME gives it a name there"
    )
    (tmp_path / "out").rename(tmp_path / "first")
    run("--rename", "025_mug_16k=mug")
    assert [label.name for label in Dataset.open(tmp_path / "out").labels(0)] == ["carton", "mug"]


def test_a_dataset_has_pictures_of_one_size(tmp_path, run):
    for n in range(2):
        write_picture(tmp_path / "in", n, objects_of(n))
    path = write_picture(tmp_path / "in", 2, [], camera={"intrinsics": {"fx": 9, "fy": 9, "cx": 9, "cy": 9}})
    cv2.imwrite(str(path.with_suffix(".png")), np.zeros((32, 64, 3), np.uint8))
    _, lines, errors = run()
    assert lines[-1] == f"{tmp_path / 'out'}: 2 images; warnings: 1"
    assert errors == [
        f"dope convert: warning: {path}: is 64x32, most are {WIDTH}x{HEIGHT}, and a dataset has one size; resize it"
    ]
    assert len(Dataset.open(tmp_path / "out")) == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--rename", "x"], "--rename 'x' is not OLD=NEW, such as 003_cracker_box_16k=cracker"),
        (["--rename", "x=mugg"], "no object 'mugg'; did you mean 'mug'?"),
        (["--to", "yolo"], "`dope convert --help` lists what is allowed"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path, run, more, message):
    write_picture(tmp_path / "in", 0, objects_of(0))
    status, _, [error] = run(*more)
    assert (status, error.endswith(message)) == (2, True)
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_no_dataset_and_a_target_that_exists_are_named(tmp_path, run):
    assert run()[2] == [f"dope convert: error: {tmp_path / 'in'}: is not a folder; give the folder of a dataset"]
    (tmp_path / "in").mkdir()
    assert run()[2] == [
        f"dope convert: error: {tmp_path / 'in'}: neither a dataset of `dope generate` (zarr.json), nor BOP scenes "
        "(scene_camera.json), nor images with annotations beside them (000000.png and 000000.json); give the folder "
        "of one of these"
    ]
    write_picture(tmp_path / "in", 0, objects_of(0))
    (tmp_path / "out").mkdir()
    message = f"dope convert: error: {tmp_path / 'out'}: exists already; give another --out, or remove it"
    assert run()[2] == [message]


def test_nothing_usable_writes_nothing(tmp_path, run):
    path = write_picture(tmp_path / "in", 0, objects_of(0), camera={})
    status, _, errors = run()
    assert status == 2
    assert str(path) in errors[0]
    assert errors[1].endswith("in: nothing in it can be used; nothing was written, the reasons are above")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "objects.yaml"]


@pytest.mark.parametrize(
    ("unit", "camera"), [("centimetres", "OpenCV"), ("metres", "OpenGL"), ("millimetres", "OpenCV")]
)
def test_a_bop_scene_in_another_unit_or_frame_is_recognised(tmp_path, run, unit, camera):
    scene, files = tmp_path / "in" / "000003", {"scene_camera": {}, "scene_gt": {}, "scene_gt_info": {}}
    (scene / "rgb").mkdir(parents=True)
    for n in range(2):
        picture = sample(n)
        cv2.imwrite(str(scene / "rgb" / f"{n:06d}.png"), picture.rgb[..., ::-1])
        poses = [Pose(FLIP[camera], np.zeros(3)) @ label.pose for label in picture.objects]
        low = [np.floor(label.keypoints.min(0)) for label in picture.objects]
        size = [np.ceil(np.ptp(label.keypoints, axis=0)) for label in picture.objects]
        files["scene_camera"][n] = {"cam_K": picture.camera.K.ravel().tolist()}
        files["scene_gt"][n] = [
            {"obj_id": label.class_id, "cam_R_m2c": pose.rotation.ravel().tolist(),
             "cam_t_m2c": (pose.translation * SCALE[unit]).tolist()}
            for label, pose in zip(picture.objects, poses, strict=True)
        ]  # fmt: skip
        files["scene_gt_info"][n] = [
            {"bbox_obj": [*a.tolist(), *b.tolist()], "visib_fract": label.visibility, "px_count_all": label.px_all,
             "px_count_visib": label.px_visible, "bbox_visib": label.bbox if label.px_visible else [-1, -1, -1, -1]}
            for label, a, b in zip(picture.objects, low, size, strict=True)
        ]  # fmt: skip
    files["scene_gt"][1][0]["cam_t_m2c"][0] += 0.5 * SCALE[unit]
    for name, content in files.items():
        (scene / f"{name}.json").write_text(json.dumps(content))
    broken = tmp_path / "in" / "000004"
    broken.mkdir()
    (broken / "scene_camera.json").write_text("[]")
    _, lines, errors = run()
    assert lines[0] == f"1 images of BOP scenes: {unit}, {camera} camera; bbox_obj agrees"
    assert errors == [
        f"dope convert: warning: {broken / 'scene_camera.json'}: is not a mapping of image id to entry, as BOP "
        "defines it",
        f"dope convert: warning: {scene / 'scene_gt.json'}: image 1: bbox_obj of carton is not where its pose puts it "
        f"({unit}, {camera} camera; bbox_obj agrees)",
    ]
    for got, wanted in zip(Dataset.open(tmp_path / "out").labels(0), sample(0).objects, strict=True):
        assert_same_label(replace(got, truncation=wanted.truncation), wanted, pixels=0.01)
