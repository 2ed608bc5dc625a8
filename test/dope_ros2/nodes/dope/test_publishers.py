"""What dope_node publishes, over DDS: scores, what is coasting, names of frames, markers that go, the lazy node."""

import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
from dope_msgs.msg import TrackArray
from geometry_msgs.msg import PoseArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import CompressedImage
from std_srvs.srv import SetBool
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import Marker, MarkerArray

from dope_ros2.geometry.camera import CameraModel
from helpers.fake_dope_node import Foretold, in_process
from helpers.node_client import answer, call, header, info, picture, set_parameter

pytestmark = pytest.mark.ros
FAKE = Path(__file__).resolve().parents[3] / "helpers" / "fake_dope_node.py"
BELOW = "coast_below_min_score"


@pytest.fixture(scope="module")
def coasting(start, observer):
    """A node that reports what is gone for five seconds of stamps, with a score that falls by 0.09 a second."""
    parameters = ["-p", "coast:=5.0", "-p", "max_age:=10.0", "-p", "min_score:=0.8"]
    process = start(FAKE, "--ros-args", "-r", "__ns:=/coasting", *parameters)
    kinds = {"detections": Detection3DArray, "tracks": TrackArray, "poses": PoseArray, "markers": MarkerArray}
    for name, kind in kinds.items():
        observer.listen(kind, f"/coasting/dope/{name}")
    observer.listen(TFMessage, "/tf", 100)
    return process


def ask(observer, number, count=1):
    return answer(observer, picture(number, count=count), "/coasting", answers="/coasting/dope/detections")


def of_image(observer, name, msg):
    """The newest message on another topic with the header of an answer."""
    received = observer.received[f"/coasting/dope/{name}"]
    observer.until(lambda: any(other.header == msg.header for other in received), name)
    return next(other for other in reversed(received) if other.header == msg.header)


def transforms(observer, msg):
    return [t for each in observer.received["/tf"] for t in each.transforms if t.header == msg.header]


def test_nothing_below_min_score_is_published_even_when_it_is_coasting(coasting, observer):
    for number in range(100, 104):
        ask(observer, number)
    gone = [ask(observer, number, count=0) for number in (104, 105)]
    assert [[d.results[0].hypothesis.score for d in msg.detections] for msg in gone] == [[pytest.approx(0.81)], []]
    assert len(of_image(observer, "poses", gone[0]).poses) == 1
    assert len(of_image(observer, "poses", gone[1]).poses) == 0
    assert transforms(observer, gone[0])
    assert not transforms(observer, gone[1])
    assert set_parameter(observer, BELOW, True, "/coasting/dope").successful
    [shown] = ask(observer, 106, count=0).detections
    assert shown.results[0].hypothesis.score == pytest.approx(0.63)
    assert set_parameter(observer, BELOW, False, "/coasting/dope").successful


def test_what_is_coasting_is_marked(coasting, observer):
    for number in range(200, 204):
        seen = ask(observer, number)
    gone = ask(observer, 204, count=0)
    for msg, unseen_for in ((seen, 0), (gone, 1)):
        [detection], [track] = msg.detections, of_image(observer, "tracks", msg).tracks
        assert track.id == detection.id == "coasting_carton_0"
        assert (track.coasting, track.unseen_for.sec) == (unseen_for > 0, unseen_for)
    texts = [m.text for each in observer.received["/coasting/dope/markers"] for m in each.markers if m.text]
    observer.until(lambda: texts, "markers")
    assert any(text.endswith("coasting") for text in texts)
    assert not all(text.endswith("coasting") for text in texts)


@pytest.mark.parametrize("tracking", [True, False])
def test_two_nodes_never_share_a_frame_and_ids_are_frames(start, observer, tracking):
    names = [f"/{side}_{tracking}".lower() for side in ("left", "right")]
    for name in names:
        start(FAKE, "--ros-args", "-r", f"__ns:={name}", "-p", f"tracking:={tracking}")
        observer.listen(Detection3DArray, f"{name}/dope/detections")
    ids = []
    for number, name in enumerate(names):
        observer.received["/tf"].clear()
        found = answer(observer, picture(300 + number, count=2), name, answers=f"{name}/dope/detections")
        observer.until(lambda found=found: transforms(observer, found), "/tf")
        ids.append({d.id for d in found.detections})
        assert ids[-1] == {t.child_frame_id for t in transforms(observer, found)}
        assert len(ids[-1]) == 2
    assert not ids[0] & ids[1]


LEFT, RIGHT = {("left_carton", n) for n in range(3)}, {("right_carton", n) for n in range(3)}


@pytest.fixture(scope="module")
def shown(start, observer):
    """A node with two cameras, whose markers outlive their image by half a second."""
    parameters = ["-p", "cameras:=[left,right]", "-p", "marker_lifetime:=0.5", "-p", "autostart:=false"]
    process = start(FAKE, "--ros-args", "-r", "__node:=shown", "-p", "frame_prefix:=''", *parameters)
    observer.listen(MarkerArray, "/shown/markers", 100)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert change(observer, transition)
    return process


def change(observer, transition):
    request = ChangeState.Request(transition=Transition(id=transition))
    return call(observer, ChangeState, "/shown/change_state", request).success


def standing(observer, topic="/shown/markers"):
    """The markers that nobody has deleted, lifetimes left aside."""
    result = set()
    for marker in (marker for msg in observer.received[topic] for marker in msg.markers):
        change = result.add if marker.action == Marker.ADD else result.discard
        change((marker.ns, marker.id))
    return result


def feed(observer, cameras, until, what, topic="/shown/markers"):
    """Publish images of these cameras until the markers are as wanted."""

    def done():
        for camera in cameras:
            observer.publish(info(), f"/{camera}/camera_info")
            observer.publish(picture(400), f"/{camera}/image_rect")
        observer.spin(0.05)
        return standing(observer, topic) == until

    observer.until(done, what)


def test_markers_of_a_camera_that_is_silent_are_deleted_and_no_others(shown, observer):
    feed(observer, ("left", "right"), LEFT | RIGHT, "markers of both")
    feed(observer, ("right",), RIGHT, "the end of those of the left")
    lifetimes = {m.lifetime.nanosec for each in observer.received["/shown/markers"] for m in each.markers if m.type}
    assert lifetimes == {500_000_000}


def test_a_slow_max_rate_lengthens_their_life(shown, observer):
    assert set_parameter(observer, "max_rate", 1.0, "/shown").successful
    feed(observer, ("left", "right"), LEFT | RIGHT, "markers of both")
    observer.received["/shown/markers"].clear()
    feed(observer, ("left", "right"), LEFT | RIGHT, "markers of both")
    assert {m.lifetime.sec for each in observer.received["/shown/markers"] for m in each.markers if m.type} == {2}
    assert set_parameter(observer, "max_rate", 0.0, "/shown").successful


def test_markers_are_deleted_when_the_node_stops_to_look(shown, observer):
    assert set_parameter(observer, "marker_lifetime", 0.0, "/shown").successful  # they stay until the node says so
    feed(observer, ("left", "right"), LEFT | RIGHT, "markers of both")
    call(observer, SetBool, "/shown/enable", SetBool.Request(data=False))
    observer.until(lambda: not standing(observer), "their end after ~/enable false")
    call(observer, SetBool, "/shown/enable", SetBool.Request(data=True))
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN):
        feed(observer, ("left", "right"), LEFT | RIGHT, "markers of both")
        assert change(observer, transition)
        observer.until(lambda: not standing(observer), "their end after a transition")
        if transition == Transition.TRANSITION_DEACTIVATE:
            assert change(observer, Transition.TRANSITION_ACTIVATE)


def test_a_node_that_ends_by_itself_deletes_its_markers(observer):
    observer.listen(MarkerArray, "/ending/dope/markers", 100)
    with in_process("-r", "__ns:=/ending") as node:
        node.trigger_configure()
        node.trigger_activate()
        carton = Foretold._carton(0, 0.9, CameraModel.from_focal(600, 64, 48))

        def drawn():
            node._outputs.publish([carton], header(1), node.cameras[0], frames=False)
            return observer.received["/ending/dope/markers"]

        observer.until(drawn, "markers")
    observer.until(lambda: not standing(observer, "/ending/dope/markers"), "their end")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_node_that_a_signal_ends_deletes_its_markers(start, observer, number):
    camera = f"ended_{number.name}".lower()
    topic, parameters = f"/{camera}/dope/markers", ["-p", "marker_lifetime:=0.0"]
    process = start(FAKE, "--ros-args", "-r", f"__ns:=/{camera}", *parameters)
    observer.listen(MarkerArray, topic, 100)
    feed(observer, (camera,), {(f"{camera}_carton", n) for n in range(3)}, "markers", topic)
    for _ in range(2):  # Ctrl-C in a terminal reaches the node twice
        process.signal(number)
    assert process.wait() == 0
    observer.until(lambda: not standing(observer, topic), "their end")
    assert "Traceback" not in process.output


def test_the_annotated_image_is_there_as_jpeg(start, observer):
    start(FAKE, "--ros-args", "-r", "__ns:=/packed")
    observer.listen(Detection3DArray, "/packed/dope/detections")
    observer.listen(CompressedImage, "/packed/dope/image_annotated/compressed")
    answer(observer, picture(500), "/packed", answers="/packed/dope/detections")
    jpeg = observer.received["/packed/dope/image_annotated/compressed"]
    observer.until(lambda: jpeg, "an image")
    rgb = cv2.imdecode(np.frombuffer(jpeg[0].data, np.uint8), cv2.IMREAD_COLOR)
    assert (jpeg[0].format, rgb.shape) == ("jpeg", (48, 64, 3))


def test_a_lazy_node_looks_only_while_someone_subscribes(start, observer):
    parameters = ["-p", "lazy:=true", "-p", "publish_tf:=false"]
    process = start(FAKE, "--ros-args", "-r", "__ns:=/lazy", *parameters)
    observer.until(lambda: process.count("looking for"), "the node to be active")
    slow = picture(600)
    slow.data[1] = 128  # the fake says when it begins to look at such an image
    for _ in range(20):
        observer.publish(info(), "/lazy/camera_info")
        observer.publish(slow, "/lazy/image_rect")
        observer.spin(0.05)
    assert process.count("begins to look at it") == 0
    observer.listen(PoseArray, "/lazy/dope/poses")

    def looked():
        observer.publish(info(), "/lazy/camera_info")
        observer.publish(slow, "/lazy/image_rect")
        observer.spin(0.05)
        return observer.received["/lazy/dope/poses"]

    observer.until(looked, "poses")
    assert process.count("begins to look at it") >= 1
