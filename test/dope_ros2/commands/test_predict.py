"""`dope predict` and what it reads and writes: BOP scenes, images, videos, results."""

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dope_ros2.commands.predict import main
from dope_ros2.common.errors import UserError
from dope_ros2.evaluation.scene_report import SceneReport
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.io import bop
from dope_ros2.io.assumed_camera import AssumedCamera
from dope_ros2.io.images import read_image
from dope_ros2.io.input_files import find_sources
from dope_ros2.io.videos import Video, VideoWriter
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import save
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel

BOX = ObjectModel(name="box", class_id=7, size=(0.16, 0.11, 0.06))
CAMERA = CameraModel.from_focal(600.0, 640, 480)
R = [0, -1, 0, 1, 0, 0, 0, 0, 1]  # a quarter turn about z


def detection(pose: Pose) -> Detection:
    return Detection(BOX, 0.9, pose, np.eye(6), np.full((9, 2), np.nan), 1.0)


@pytest.fixture
def scene(tmp_path):
    """A BOP scene of two images; the second has no truth."""
    folder = tmp_path / "000042"
    (folder / "rgb").mkdir(parents=True)
    for i in (3, 11):
        cv2.imwrite(str(folder / "rgb" / f"{i:06d}.png"), np.full((48, 64, 3), i, np.uint8))
    camera = {"cam_K": [60, 0, 31.5, 0, 61, 23.5, 0, 0, 1], "depth_scale": 0.1}
    (folder / "scene_camera.json").write_text(json.dumps({"11": camera, "3": camera}))
    truth = {"obj_id": 7, "cam_R_m2c": R, "cam_t_m2c": [10, -20, 800]}
    (folder / "scene_gt.json").write_text(json.dumps({"3": [truth]}))
    (folder / "scene_gt_info.json").write_text(json.dumps({"3": [{"visib_fract": 0.6}]}))
    return folder


def test_a_bop_scene_is_read_in_metres_and_in_the_order_of_its_images(scene):
    first, second = bop.read_scene(scene)
    assert (first.scene_id, first.im_id, second.im_id) == (42, 3, 11)
    [truth] = first.truth
    np.testing.assert_allclose(truth.pose.translation, [0.01, -0.02, 0.8])
    np.testing.assert_allclose(truth.pose.apply([1, 0, 0]) - truth.pose.translation, [0, 1, 0])
    assert (truth.obj_id, truth.visibility, second.truth) == (7, 0.6, ())
    assert first.depth_scale == pytest.approx(0.0001)
    np.testing.assert_allclose(first.camera(64, 48).K[1], [0, 61, 23.5])


def test_a_scene_without_truth_says_so(scene):
    (scene / "scene_gt.json").unlink()
    assert [frame.truth for frame in bop.read_scene(scene)] == [None, None]


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("scene_camera.json", "{", "scene_camera.json: not valid JSON"),
        ("scene_camera.json", "[]", "scene_camera.json: is not a mapping"),
        ("scene_camera.json", '{"3": {}}', "scene_camera.json: image 3: the key 'cam_K' is missing"),
        ("scene_camera.json", '{"3": {"cam_K": [1, 2]}}', "image 3: cam_K is not 9 finite numbers"),
        ("scene_camera.json", '{"3": {"cam_K": [0,0,0,0,0,0,0,0,0]}}', "focal lengths 0, 0"),
        ("scene_camera.json", '{"a": {}}', "the key 'a' is not an image number"),
        ("scene_gt.json", '{"3": {}}', "scene_gt.json: image 3 is not a list"),
        ("scene_gt.json", '{"3": [{"obj_id": 1}]}', "scene_gt.json: image 3: the key 'cam_R_m2c' is missing"),
        (
            "scene_gt.json",
            '{"3": [{"obj_id": 1, "cam_R_m2c": [1,1,1,1,1,1,1,1,1], "cam_t_m2c": [0,0,1]}]}',
            "image 3: cam_R_m2c is not a rotation matrix",
        ),
        ("scene_gt_info.json", '{"3": []}', "scene_gt_info.json: image 3 does not have one entry for each of the 1"),
    ],
)
def test_a_malformed_scene_is_refused_in_one_line_with_file_and_key(scene, file, content, named):
    (scene / file).write_text(content)
    with pytest.raises(UserError) as error:
        bop.read_scene(scene)
    assert named in str(error.value)
    assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_a_results_row_read_back_is_the_pose_in_millimetres(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    pose = Pose.random(rng, rng.uniform(-2, 2, 3))
    path = tmp_path_factory.mktemp("bop") / "results.csv"
    bop.write_results(path, [bop.Estimate(1, 2, 7, 0.75, pose, 0.123)])
    header, row = path.read_text().splitlines()
    assert header == "scene_id,im_id,obj_id,score,R,t,time"
    scene_id, im_id, obj_id, score, rotation, translation, time = row.split(",")
    assert (scene_id, im_id, obj_id, float(score), float(time)) == ("1", "2", "7", 0.75, 0.123)
    np.testing.assert_allclose(np.array(rotation.split(), float).reshape(3, 3), pose.rotation, atol=1e-8)
    np.testing.assert_allclose(np.array(translation.split(), float), pose.translation * 1000, atol=1e-5)


def test_without_intrinsics_sixty_degrees_are_assumed():
    camera = AssumedCamera().camera(640, 480)
    left, right = camera.unproject(np.array([[-0.5, 240], [639.5, 240]]), np.ones(2))
    assert np.degrees(np.arctan2(right[0] - left[0], 2) * 2) == pytest.approx(60)
    assert AssumedCamera().assumed
    assert not AssumedCamera(focal=600.0).assumed


def test_a_calibration_is_scaled_to_the_picture_but_not_bent_to_another_shape():
    lens = AssumedCamera(calibration=CAMERA, source="camera.yaml")
    assert lens.camera(1280, 960).K[0, 0] == pytest.approx(1200)
    with pytest.raises(UserError, match=r"640x360, but camera\.yaml is a calibration for 640x480"):
        lens.camera(640, 360)


def test_inputs_are_found_in_files_folders_and_datasets(scene, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("b.png", "a.jpg", "notes.txt", "c.MP4"):
        (photos / name).write_bytes(b"")
    sources, problems = find_sources([photos, photos / "b.png", tmp_path])
    assert not problems
    assert [s.path.name for s in sources] == ["a.jpg", "b.png", "c.MP4", "b.png", "000003.png", "000011.png"]
    assert [s.is_video for s in sources] == [False, False, True, False, False, False]
    assert len({s.name for s in sources}) == len(sources)
    assert [bool(s.frame) for s in sources] == [False] * 4 + [True] * 2


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(scene, tmp_path):
    (tmp_path / "empty").mkdir()
    sources, problems = find_sources([tmp_path / "nowhere", tmp_path / "empty", scene])
    assert len(sources) == 2
    assert "nowhere: no such file or folder" in problems[0]
    assert "empty: holds no images" in problems[1]


def test_a_video_written_is_read_back(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, 12.0) as writer:
        for level in (40, 120, 200):
            writer.write(np.full((48, 64, 3), (level, 0, 0), np.uint8))
    video = Video(path)
    assert video.rate == pytest.approx(12.0)
    np.testing.assert_allclose([image[..., 0].mean() for image in video], [40, 120, 200], atol=6)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_failed_video_leaves_no_file(tmp_path):
    writer = VideoWriter(tmp_path / "clip.mp4", 10.0)
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert not list(tmp_path.iterdir())


def test_a_damaged_video_or_image_is_one_line_that_names_it(tmp_path):
    for name, read in (("clip.mp4", Video), ("photo.png", read_image)):
        (tmp_path / name).write_bytes(b"no image at all")
        with pytest.raises(UserError, match=rf"{name}: not a readable") as error:
            read(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_perfect_detection_has_no_error_and_a_stray_one_is_reported():
    report = SceneReport()
    true = Pose.from_rotvec([0.3, 0.2, 0.1], [0.05, 0, 0.8])
    stray = Pose.from_rotvec([0, 0, 0], [-0.2, 0.1, 0.8])
    report.add("x", CAMERA, [detection(stray), detection(true)], [bop.Truth(7, true)], {7: BOX})
    text = list(report.table())
    assert text[1].split() == ["box", "1/1", "0.0", "0.0", "0.0"]
    assert text[-1].strip().startswith("x: box 0.90 at pixel (")


def test_the_report_measures_pixels_degrees_and_depth():
    report = SceneReport()
    true = Pose.from_rotvec([0, 0, 0], [0, 0, 0.6])
    off = Pose.from_rotvec([0, 0, np.radians(10)], [0.0105, 0, 0.63])
    report.add("x", CAMERA, [detection(off)], [bop.Truth(7, true)], {7: BOX})
    assert list(report.table())[1].split() == ["box", "1/1", "10.0", "10.0", "5.0"]


def test_one_detection_counts_for_one_object_only():
    report = SceneReport()
    poses = [Pose.from_rotvec([0, 0, 0], [x, 0, 0.6]) for x in (0, 0.02)]
    report.add("x", CAMERA, [detection(poses[0])], [bop.Truth(7, p) for p in poses], {7: BOX})
    assert list(report.table())[1].split()[:2] == ["box", "1/2"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["missing.png"], "missing.png: no such file or folder"),
        (["photo.png", "--focal", "-3"], "--focal -3 is not a positive number"),
        (["photo.png", "--camera", "none.yaml"], "none.yaml: cannot be read"),
        (["photo.png", "--camera", "none.yaml", "--focal", "600"], "contradict"),
        (["photo.png", "--weights", "none.safetensors"], "none.safetensors: no such weights file"),
        (["photo.png", "--min-score", "2"], "min-score"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(tmp_path, monkeypatch, capsys, arguments, named):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.png", np.zeros((48, 64, 3), np.uint8))
    assert main([*arguments, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.startswith("dope predict: error: ")
    assert error.count("\n") == 1


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of the shipped network for the carton, not trained: enough to see files come and go."""
    path = tmp_path_factory.mktemp("weights") / "carton.safetensors"
    carton = TrainedObject(name="carton", size=(0.16, 0.11, 0.06))
    save(path, make_network("dope-lite", 1), Metadata(architecture="dope-lite", objects=(carton,), input_height=0))
    return str(path)


def test_predictions_of_a_folder_go_on_past_a_damaged_file(tmp_path, scene, weights, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "wall.png"), np.full((240, 320, 3), 128, np.uint8))
    (photos / "damaged.jpg").write_bytes(b"no image")
    with VideoWriter(photos / "clip.mp4", 10.0) as writer:
        for _ in range(2):
            writer.write(np.full((240, 320, 3), 128, np.uint8))
    out = tmp_path / "out"
    assert main([str(photos), str(scene), "--weights", weights, "--out", str(out)]) == 2
    assert "damaged.jpg: not a readable image" in capsys.readouterr().err
    content = json.loads((out / "predictions.json").read_text())
    assert content["schema"] == "dope-predictions/1"
    assert [entry["file"].split("/")[-1] for entry in content["images"]] == (
        ["clip.mp4", "clip.mp4", "wall.png", "000003.png", "000011.png"]
    )
    assert [entry["camera_assumed"] for entry in content["images"]] == [True] * 3 + [False] * 2
    assert len(content["problems"]) == 1
    assert {p.name for p in (out / "annotated").iterdir()} == (
        {"clip.mp4", "wall.jpg", "000042_000003.jpg", "000042_000011.jpg"}
    )
    assert (out / "results.csv").read_text().startswith(bop.HEADER)


def test_an_object_that_the_weights_do_not_know_is_named(tmp_path, weights, capsys):
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((240, 320, 3), np.uint8))
    photo, out = str(tmp_path / "photo.png"), str(tmp_path / "out")
    assert main([photo, "--out", out, "--weights", weights, "--objects", "cartn"]) == 2
    assert "not trained on the object 'cartn'; did you mean 'carton'?" in capsys.readouterr().err
