"""What rerun is sent of a live node, read back from recordings."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.diagnostics import Condition, Level
from dope_ros2.visualization.viewer import scene
from dope_ros2.visualization.viewer.blueprint import APPLICATION, blueprint
from dope_ros2.visualization.viewer.live_view import LiveView
from helpers.rerun_recording import held

rr = pytest.importorskip("rerun", reason="needs rerun: pip install rerun-sdk")

CARTON = ObjectModel(name="carton", class_id=1, size=(0.16, 0.11, 0.06), mesh="carton.obj", mesh_unit="mm")
CAMERA = CameraModel.from_focal(600.0, 64, 48)
PICTURE = np.zeros((48, 64, 3), np.uint8)
TRIANGLE = SimpleNamespace(
    positions=np.array([[0, 0, 0], [1000, 0, 0], [0, 1000, 0]], np.float32),
    normals=np.tile([0, 0, 1.0], (3, 1)),
    uvs=np.array([[0, 0], [1, 0], [0, 1]], np.float32),
    triangles=np.array([[0, 1, 2]], np.int32),
    texture=None,
    color=(1.0, 0.5, 0.0),
)


def carton(track="carton_0", x=0.0, model=CARTON):
    pose = Pose.from_rotvec([0, 0.2, 0.5], [x, 0, 1.0])
    return Detection(model, 0.9, pose, 1e-4 * np.eye(6), np.full((9, 2), np.nan), 0.0, None, track)


@pytest.fixture
def viewed(tmp_path):
    """`viewed(act, read_mesh)` lets a LiveView act, and returns what each of its recordings holds."""

    def viewed(act, read_mesh=lambda model: TRIANGLE):
        files = []

        def open_recording():
            files.append(tmp_path / f"{len(files)}.rrd")
            recording = rr.RecordingStream(APPLICATION)
            recording.save(files[-1], default_blueprint=blueprint(rr, 1.0))
            return recording

        view = LiveView(rr, open_recording, read_mesh)
        act(view)
        view._meshes._worker.shutdown()  # a mesh that is just being read is sent, too
        view.close()
        return [held(file) for file in files]

    return viewed


def test_each_image_is_shown_with_its_boxes_at_its_stamp(viewed):
    def act(view):
        view.show(1000.0, [carton()], PICTURE, CAMERA)
        view.show(1000.5, [carton(), carton("carton_1", 0.2)], PICTURE, CAMERA)

    [stored] = viewed(act)
    entities = ("/camera/image", "/camera/boxes", "/camera/labels", "/scene/boxes", "/scene/axes", "/scene/tracks")
    for path in (*entities, "/scene/uncertainty", "/objects", "/camera"):
        np.testing.assert_allclose(stored[path]["stamp"], [1000.0, 1000.5], err_msg=path)
    boxes = stored["/scene/boxes"]
    np.testing.assert_allclose(boxes["Boxes3D:centers"][1], [[0, 0, 1], [0.2, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(boxes["Boxes3D:half_sizes"][0], [[0.08, 0.055, 0.03]], atol=1e-6)
    assert boxes["Boxes3D:labels"][1] == ["carton_0 0.90", "carton_1 0.90"]
    assert [len(strips) for strips in stored["/camera/boxes"]["LineStrips2D:strips"]] == [12 + 3, 2 * (12 + 3)]


def test_pixel_centres_are_at_halves_in_the_viewer(viewed):
    [stored] = viewed(lambda view: view.show(5.0, [carton()], PICTURE, CAMERA))
    K = np.reshape(stored["/camera"]["Pinhole:image_from_camera"][0], (3, 3)).T
    np.testing.assert_allclose(K - CAMERA.K, [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]], atol=1e-4)
    strips = np.array(stored["/camera/boxes"]["LineStrips2D:strips"][0])
    seen, hidden = scene.outline(CAMERA, carton())
    np.testing.assert_allclose(strips[:12], np.concatenate([hidden, seen]) + 0.5, atol=1e-3)


def test_a_mesh_is_sent_once_in_metres_and_drawn_at_each_pose_or_not_at_all(viewed):
    asked = []

    def read(model):
        asked.append(model.name)
        return TRIANGLE

    def act(view):
        for stamp, found in enumerate([[carton(), carton("carton_1", 0.2)], [carton()], []]):
            view.show(float(stamp), found, None, None)

    [stored] = viewed(act, read)
    mesh = stored["/scene/meshes/carton"]
    assert asked == ["carton"]
    [positions] = [rows for rows in mesh["Mesh3D:vertex_positions"] if rows]
    np.testing.assert_allclose(positions[1], [1, 0, 0])
    np.testing.assert_allclose(mesh["InstancePoses3D:translations"][0], [[0, 0, 1], [0.2, 0, 1]], atol=1e-6)
    assert mesh["InstancePoses3D:scales"][1:] == [[[1, 1, 1]], [[0, 0, 0]]]


def test_a_mesh_that_cannot_be_read_is_told_once_and_boxes_go_on(viewed):
    def read(model):
        raise UserError("carton.obj: is not a file")

    def act(view):
        view.show(1.0, [carton()], None, None)
        view._meshes._worker.shutdown()
        view.diagnosed(0.0, {})
        view.diagnosed(0.0, {})

    [stored] = viewed(act, read)
    assert stored["/diagnostics"]["TextLog:text"] == [["no mesh of carton: carton.obj: is not a file"]]
    assert len(stored["/scene/boxes"]["stamp"]) == 1


def test_an_object_without_a_mesh_is_a_box(viewed):
    [stored] = viewed(lambda view: view.show(1.0, [carton(model=replace(CARTON, mesh=None))], None, None))
    assert "/scene/boxes" in stored
    assert not [path for path in stored if path.startswith("/scene/meshes")]


def test_answers_without_their_picture_move_the_scene_only(viewed):
    [stored] = viewed(lambda view: view.show(1.0, [carton()], None, None))
    assert "/scene/boxes" in stored
    assert "/camera/image" not in stored


def test_latencies_of_any_stage_become_series_and_words_are_told_when_they_change(viewed):
    def act(view):
        view.answered(100.0, 0.045)
        for n, message in enumerate(["no image for 1.0 s", "no image for 1.3 s", "looking at images"]):
            level = Level.ERROR if n < 2 else Level.OK
            figures = {"decode_ms_p95": str(n), "images": "9"}
            view.diagnosed(1e9, {"/dope: camera": Condition(level, message, figures)})

    [stored] = viewed(act)
    assert stored["/latency/answer"]["Scalars:scalars"][-1] == [pytest.approx(45.0)]
    assert [row for row in stored["/latency/p95/decode"]["Scalars:scalars"] if row] == [[0], [1], [2]]
    texts = [text for [text] in stored["/diagnostics"]["TextLog:text"]]
    assert texts == ["camera: no image for 1.0 s", "camera: looking at images"]
    assert [level for [level] in stored["/diagnostics"]["TextLog:level"]] == ["ERROR", "INFO"]
    assert 100.0 <= min(stored["/diagnostics"]["stamp"]) < 110.0  # the images' clock goes on without images


def test_what_is_told_before_the_first_image_is_in_a_recording_of_its_own_when_clocks_differ(viewed):
    def act(view):
        view.diagnosed(1e9, {"/dope: camera": Condition(Level.ERROR, "no image yet")})
        view.diagnosed(1e9 + 1, {"/dope: camera": Condition(Level.ERROR, "no image yet")})
        view.show(50.0, [], None, None)

    first, second = viewed(act)
    assert first["/diagnostics"]["stamp"] == [1e9]
    assert second["/scene/boxes"]["stamp"] == [50.0]


def test_stamps_that_jump_back_begin_a_new_recording(viewed):
    def act(view):
        for stamp in (50.0, 49.5, 51.0, 3.0, 4.0):
            view.show(stamp, [carton()], None, None)

    first, second = viewed(act)
    np.testing.assert_allclose(sorted(first["/scene/boxes"]["stamp"]), [49.5, 50.0, 51.0])
    np.testing.assert_allclose(second["/scene/boxes"]["stamp"], [3.0, 4.0])
    assert "/scene/meshes/carton" in second
