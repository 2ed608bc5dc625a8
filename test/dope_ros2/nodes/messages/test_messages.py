"""The file where messages meet arrays, without DDS."""

from dataclasses import replace

import numpy as np
import pytest
from dope_msgs.action import DetectObjects
from geometry_msgs.msg import Quaternion, Transform
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import BoundingBox3D, Detection3D, Detection3DArray, ObjectHypothesis, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.io import camera_info
from dope_ros2.io.messages import read_image
from dope_ros2.nodes.messages import detections, diagnostics, images, markers, objects
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.objects.symmetry import group
from dope_ros2.pipeline.diagnostics import Condition, Level
from helpers.symmetric_objects import ALL, CAN

pytestmark = pytest.mark.ros
HEADER = Header(frame_id="optical")
CARTON = ObjectModel(name="carton", class_id=101, size=(0.16, 0.11, 0.06), centre=(0.02, 0, 0))
CUP = ObjectModel(name="cup", class_id=7, size=(0.1, 0.1, 0.1))


def detection(model=CARTON, score=0.5, pose=None):
    pose = pose or Pose.from_rotvec([0.1, 0.2, 0.3], [0.1, 0.2, 0.9])
    return Detection(model, score, pose, np.arange(36.0).reshape(6, 6), np.zeros((9, 2)), 1.0)


# The standard packages' own fields: where dope_msgs brings them along, they must talk to everybody else's.
STANDARD = {
    TFMessage: {"transforms": "sequence<geometry_msgs/TransformStamped>"},
    ObjectHypothesis: {"class_id": "string", "score": "double"},
    ObjectHypothesisWithPose: {
        "hypothesis": "vision_msgs/ObjectHypothesis",
        "pose": "geometry_msgs/PoseWithCovariance",
    },
    BoundingBox3D: {"center": "geometry_msgs/Pose", "size": "geometry_msgs/Vector3"},
    Detection3D: {
        "header": "std_msgs/Header",
        "results": "sequence<vision_msgs/ObjectHypothesisWithPose>",
        "bbox": "vision_msgs/BoundingBox3D",
        "id": "string",
    },
    Detection3DArray: {"header": "std_msgs/Header", "detections": "sequence<vision_msgs/Detection3D>"},
}


@pytest.mark.parametrize("kind", STANDARD, ids=lambda kind: kind.__name__)
def test_the_standard_messages_have_the_fields_of_the_standard(kind):
    assert list(kind.get_fields_and_field_types().items()) == list(STANDARD[kind].items())


def test_the_action_names_every_outcome():
    constants = [name for name in dir(DetectObjects.Result) if name.startswith("STATUS_")]
    assert len({getattr(DetectObjects.Result, name) for name in constants}) == len(constants) == 8


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_an_array_survives_the_way_through_a_message(height, width, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    np.testing.assert_array_equal(read_image(images.array_to_image(rgb, HEADER)), rgb)


def test_reading_rgb8_copies_nothing():
    msg = images.array_to_image(np.zeros((4, 5, 3), np.uint8), HEADER)
    assert np.shares_memory(read_image(msg), np.frombuffer(msg.data, np.uint8))


def test_big_endian_and_padding_are_taken_from_the_message():
    msg = Image(height=2, width=1, encoding="mono16", is_bigendian=1, step=3)
    msg.data.frombytes(bytes([0xFF, 0x00, 9, 0x80, 0x00, 9]))
    np.testing.assert_array_equal(read_image(msg)[:, 0, 0], [254, 128])


@settings(deadline=None)
@given(st.floats(50, 5000), st.floats(50, 5000), st.lists(st.floats(-0.5, 0.5), min_size=5, max_size=5))
def test_a_camera_survives_the_way_through_a_message(fx, fy, distortion):
    camera = CameraModel(np.array([[fx, 0, 31], [0, fy, 23], [0, 0, 1]]), 64, 48, np.array(distortion))
    msg = images.camera_to_info(camera, HEADER)
    raw = camera_info.read(msg, rectified=False)
    np.testing.assert_array_equal(raw.K, camera.K)
    np.testing.assert_array_equal(raw.distortion, distortion)
    assert not camera_info.read(msg).distortion.any()


def test_a_rectified_image_has_the_focal_length_of_P_not_of_K():
    msg = images.camera_to_info(CameraModel.from_focal(500, 64, 48), HEADER)
    msg.p[0] = msg.p[5] = 450.0
    assert camera_info.read(msg).K[0, 0] == 450
    assert camera_info.read(msg, rectified=False).K[0, 0] == 500


def test_a_region_of_interest_moves_the_principal_point():
    msg = images.camera_to_info(CameraModel.from_focal(500, 64, 48), HEADER)
    msg.roi.x_offset, msg.roi.y_offset, msg.roi.width, msg.roi.height = 10, 5, 20, 20
    camera = camera_info.read(msg)
    assert (camera.width, camera.height) == (20, 20)
    np.testing.assert_allclose(camera.K[:2, 2], [21.5, 18.5])


@pytest.mark.parametrize(
    ("msg", "text"),
    [
        (CameraInfo(width=64, height=48), "cam: P has focal lengths 0 and 0"),
        (CameraInfo(p=[1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]), "cam: the image size is 0x0"),
    ],
)
def test_a_camera_info_that_describes_no_camera_is_refused(msg, text):
    with pytest.raises(UserError, match=text):
        camera_info.read(msg, "cam")


def test_a_lens_model_that_opencv_lacks_is_refused():
    msg = images.camera_to_info(CameraModel.from_focal(500, 64, 48), HEADER)
    msg.distortion_model = "equidistant"
    with pytest.raises(UserError, match="'equidistant' is not one of plumb_bob, rational_polynomial"):
        camera_info.read(msg, rectified=False)


def test_the_hypothesis_is_at_the_mesh_and_the_box_at_its_centre():
    found = detection()
    [msg] = detections.detections_to_msg([found], HEADER).detections
    [read] = detections.msg_to_detections(Detection3DArray(detections=[msg]), {})
    np.testing.assert_allclose(read.pose.matrix, found.pose.matrix, atol=1e-12)
    np.testing.assert_allclose(read.pose.apply(read.model.centre), found.pose.apply(CARTON.centre))
    assert (msg.bbox.size.x, msg.bbox.size.y, msg.bbox.size.z) == CARTON.size
    assert msg.results[0].pose.covariance[7] == 7
    assert (read.model.name, read.score) == ("carton", 0.5)


def test_frames_are_numbered_per_class_best_first():
    found = [detection(score=0.2), detection(CUP, 0.9), detection(score=0.8)]
    msg = detections.transforms_to_msg(found, HEADER, "left_")
    assert [t.child_frame_id for t in msg.transforms] == ["left_cup_0", "left_carton_0", "left_carton_1"]


@pytest.mark.parametrize("tracks", [("", ""), ("carton_7", "carton_2")])
def test_ids_are_frames_and_tracks_are_in_their_order(tracks):
    found = [replace(detection(score=s), track=t, unseen_for=s) for s, t in zip((0.5, 0.25), tracks, strict=True)]
    frames = [t.child_frame_id for t in detections.transforms_to_msg(found, HEADER, "left_").transforms]
    assert [d.id for d in detections.detections_to_msg(found, HEADER, "left_").detections] == frames
    told = detections.tracks_to_msg(found, HEADER, "left_").tracks
    assert [(t.id, t.coasting, t.unseen_for.nanosec) for t in told] == [
        (frames[0], True, 500_000_000),
        (frames[1], True, 250_000_000),
    ]
    seen = detections.tracks_to_msg([detection()], HEADER).tracks
    assert [(t.coasting, t.unseen_for.sec, t.unseen_for.nanosec) for t in seen] == [(False, 0, 0)]


def test_what_is_coasting_is_drawn_fainter_and_says_so():
    seen, gone = (markers.Markers([CARTON])([replace(detection(), unseen_for=t)], HEADER).markers for t in (0.0, 0.2))
    assert all(b.color.a < a.color.a for a, b in zip(seen, gone, strict=True))
    assert [m.text for m in seen + gone if m.text] == ["carton 0.50", "carton 0.50 coasting"]


def test_all_markers_can_be_deleted_and_live_as_long_as_they_are_told_to():
    drawn = markers.Markers([CARTON], "left_")
    shown = drawn([detection()], HEADER, 1.5).markers
    assert {(m.lifetime.sec, m.lifetime.nanosec) for m in shown} == {(1, 500_000_000)}
    deleted = drawn.delete().markers
    assert {(m.ns, m.id, m.action) for m in deleted} == {(m.ns, m.id, Marker.DELETE) for m in shown}
    assert drawn.delete().markers == []


def test_markers_that_are_gone_are_deleted_once():
    drawn = markers.Markers([CARTON])
    assert {m.action for m in drawn([detection(), detection()], HEADER).markers} == {Marker.ADD}
    fewer = drawn([detection()], HEADER).markers
    assert [m.id for m in fewer if m.action == Marker.DELETE] == [4, 5, 6]
    assert [m.action for m in drawn([], HEADER).markers] == [Marker.DELETE] * 3
    assert drawn([], HEADER).markers == []


def test_the_edges_of_the_marker_are_the_twelve_of_the_cuboid():
    [edges] = [m for m in markers.Markers([CARTON])([detection()], HEADER).markers if m.type == Marker.LINE_LIST]
    ends = np.array([[p.x, p.y, p.z] for p in edges.points]).reshape(12, 2, 3)
    lengths = np.sort(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1))
    np.testing.assert_allclose(lengths, np.repeat(sorted(CARTON.size), 4))
    np.testing.assert_allclose(ends.mean((0, 1)), CARTON.centre, atol=1e-12)


def test_a_mesh_is_shown_when_its_file_exists(tmp_path):
    (tmp_path / "cup.obj").write_text("v 0 0 0\n")
    entry = {"name": "cup", "class_id": 1, "size": (0.1, 0.1, 0.1), "mesh_unit": "mm", "source": tmp_path / "o.yaml"}
    there, missing = (ObjectModel(mesh=name, **entry) for name in ("cup.obj", "none.obj"))
    [mesh] = [m for m in markers.Markers([there])([detection(there)], HEADER).markers if m.mesh_resource]
    assert mesh.mesh_resource == (tmp_path / "cup.obj").as_uri()
    assert mesh.scale.x == 0.001
    assert not any(m.mesh_resource for m in markers.Markers([missing])([detection(missing)], HEADER).markers)


def test_symmetries_and_mesh_go_into_the_object_info():
    turned = Pose.from_rotvec([0, 0, np.pi], [0.01, 0, 0]).matrix
    model = ObjectModel(
        name="can",
        class_id=3,
        size=(0.1, 0.1, 0.2),
        symmetries_discrete=(tuple(turned.ravel()),),
        symmetries_continuous=({"axis": [0, 0, 1], "offset": [0, 0, 0.05]},),
    )
    [info] = objects.objects_to_msg([model], HEADER).objects
    assert (info.class_id, info.number, info.mesh_uri) == ("can", 3, "")
    assert info.symmetries_discrete[0].rotation.z == pytest.approx(1)
    assert info.symmetries_discrete[0].translation.x == pytest.approx(0.01)
    assert (info.symmetry_axes[0].z, info.symmetry_offsets[0].z) == (1, 0.05)


@pytest.mark.parametrize("known", [True, False], ids=["known", "not known"])
def test_detections_survive_the_way_through_a_message(known):
    sent = replace(detection(), track="carton_4")
    msg = detections.detections_to_msg([sent], HEADER)
    [read] = detections.msg_to_detections(msg, {"carton": CARTON} if known else {})
    assert (read.model.name, read.score, read.track) == ("carton", 0.5, "carton_4")
    np.testing.assert_allclose(read.pose.matrix, sent.pose.matrix, atol=1e-12)
    np.testing.assert_allclose(read.model.keypoints, CARTON.keypoints, atol=1e-12)
    np.testing.assert_array_equal(read.covariance, sent.covariance)
    assert (read.model is CARTON) == known


def test_an_object_of_no_size_is_refused():
    msg = detections.detections_to_msg([detection()], HEADER)
    msg.detections[0].bbox.size.x = 0.0
    with pytest.raises(UserError, match="size"):
        detections.msg_to_detections(msg, {})


def test_objects_survive_the_way_through_a_message():
    [read] = objects.msg_to_models(objects.objects_to_msg([replace(CARTON, mesh_unit="mm")], HEADER))
    assert (read.name, read.class_id, read.size, read.centre) == ("carton", 101, CARTON.size, CARTON.centre)
    assert (read.mesh, read.mesh_unit) == (None, "mm")


@pytest.mark.parametrize("model", ALL, ids=lambda model: model.name)
def test_symmetries_survive_the_way_through_a_message(model):
    [read] = objects.msg_to_models(objects.objects_to_msg([model], HEADER))
    np.testing.assert_allclose(group(read, 3), group(model, 3), atol=1e-12)
    assert len(read.symmetries_continuous) == len(model.symmetries_continuous)


def test_an_axis_without_a_point_on_it_goes_through_the_origin_and_one_without_direction_is_refused():
    msg = objects.objects_to_msg([CAN], HEADER)
    msg.objects[0].symmetry_offsets = []
    assert objects.msg_to_models(msg)[0].symmetries_continuous == ({"axis": [0, 0, 1], "offset": [0, 0, 0]},)
    msg.objects[0].symmetry_axes[0].z = 0.0
    with pytest.raises(UserError, match="has no direction"):
        objects.msg_to_models(msg)


def test_a_symmetry_that_is_no_rotation_is_refused():
    msg = objects.objects_to_msg([CAN], HEADER)
    msg.objects[0].symmetries_discrete = [Transform(rotation=Quaternion(w=0.0))]
    with pytest.raises(UserError, match="can: symmetries_discrete"):
        objects.msg_to_models(msg)


def test_conditions_survive_the_way_through_a_message_of_their_node():
    conditions = {"/dope: camera": Condition(Level.WARN, "slow", {"age_ms_p50": "3"}, "/image_rect")}
    msg = diagnostics.conditions_to_msg(conditions, HEADER)
    assert msg.status[0].hardware_id == "/image_rect"
    assert diagnostics.msg_to_conditions(msg, "/dope") == conditions
    assert diagnostics.msg_to_conditions(msg, "/other") == {}
