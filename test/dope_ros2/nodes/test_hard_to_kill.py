"""What others do to the node, over DDS: it lives, says what is wrong, and goes on answering."""

import signal
import threading
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from dope_msgs.action import DetectObjects
from geometry_msgs.msg import Transform, TransformStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.action import ActionClient
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import save
from dope_ros2.nodes.dope.detect_action import PATIENCE
from dope_ros2.objects.object_model import load_objects
from helpers.fake_dope_node import SLOW
from helpers.node_client import call, info, picture, set_parameter

pytestmark = pytest.mark.ros
HELPERS = Path(__file__).resolve().parents[2] / "helpers"
SOON, SLACK = 1.0, 1.5  # until it answers again, and what a busy machine adds [s]
RATE = 20.0  # of the images [Hz]
MEMORY = 30e6  # what a minute of trouble may add [bytes]


class Stream:
    """Images at a rate, and when each answer came."""

    def __init__(self, observer, namespace, width=64, height=48):
        self.observer, self.name, self.size = observer, namespace, (width, height)
        self.answers, self.numbers = [], iter(range(10**6))
        self._next = time.monotonic()
        node = observer.node
        node.create_subscription(
            Detection3DArray, f"{namespace}/dope/detections", lambda _: self.answers.append(time.monotonic()), 10
        )

    def beat(self):
        """Publish the next image when it is due, and hear what there is."""
        width, height = self.size
        self.observer.publish(info(width=width, height=height), f"{self.name}/camera_info")
        self.observer.publish(picture(next(self.numbers), 1, width, height), f"{self.name}/image_rect")
        self._next = max(self._next + 1 / RATE, time.monotonic() - 1)
        self.observer.spin(max(0.0, self._next - time.monotonic()))

    def go_on(self, seconds):
        """The longest that no answer came, in so many seconds."""
        begin = time.monotonic()
        while time.monotonic() - begin < seconds:
            self.beat()
        times = [begin, *(t for t in self.answers if t > begin), time.monotonic()]
        return float(np.diff(times).max())

    def until_answered(self):
        before, end = len(self.answers), time.monotonic() + 60
        while len(self.answers) == before:
            assert time.monotonic() < end, "no answer"
            self.beat()


def begin(start, observer, namespace, *arguments, program=(HELPERS / "fake_dope_node.py",), size=(64, 48)):
    process = start(*program, "--ros-args", "-r", f"__ns:={namespace}", *arguments)
    stream = Stream(observer, namespace, *size)
    stream.until_answered()
    return process, stream


@pytest.fixture(scope="module")
def node(start, observer):
    return begin(start, observer, "/tough")


def test_a_subscriber_that_never_reads_holds_nobody_up(start, observer):
    process, stream = begin(start, observer, "/read", size=(640, 480))
    assert set_parameter(observer, "record_seconds", 0.0, "/read/dope").successful  # they fill up memory at first
    listener = start(HELPERS / "result_listener.py", "/read/dope")
    while listener.count("hears") < 2:
        stream.beat()
    stream.go_on(2.0)
    memory = process.resident
    listener.signal(signal.SIGSTOP)
    assert stream.go_on(5.0) < SOON + SLACK  # its queue is full after half a second
    listener.signal(signal.SIGCONT)
    assert stream.go_on(2.0) < SOON + SLACK
    listener.signal(signal.SIGSTOP)
    assert stream.go_on(1.0) < SOON + SLACK
    listener.kill()
    assert stream.go_on(3.0) < SOON + SLACK
    assert process.resident - memory < MEMORY
    assert process.terminate() == 0


def garbage(observer, name):
    """Bytes that are no message, on the image's topic."""
    whole = serialize_message(picture(0))
    publisher = observer.node.create_publisher(Image, f"{name}/image_rect", 1)
    for data in (b"", whole[:3], whole[:10], whole[:100], whole[:4] + b"\xff" * 60, bytes(100)):
        publisher.publish(data)
        observer.spin(0.05)
    observer.node.destroy_publisher(publisher)


def impossible_transition(observer, name):
    """To activate what is active."""
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_ACTIVATE))
    assert not call(observer, ChangeState, f"{name}/dope/change_state", request).success


def impossible_parameter(observer, name):
    """A parameter of a type that there is not."""
    parameters = [ParameterMsg(name="roi", value=ParameterValue(type=77))]
    request = SetParameters.Request(parameters=parameters)
    assert not call(observer, SetParameters, f"{name}/dope/set_parameters", request).results


def no_rotations(observer, name):
    """Transforms of zeros, which many a driver sends before it knows better."""
    static = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    zeros = Transform()
    zeros.rotation.w = 0.0
    for topic, qos in (("/tf", 100), ("/tf_static", static)):
        observer.publish(TFMessage(transforms=[TransformStamped(child_frame_id="arm", transform=zeros)]), topic, qos)
        observer.spin(0.2)


HAS_TF2 = bool(find_spec("tf2_ros"))  # it keeps such transforms out by itself, in its own words
TROUBLE = {
    garbage: None,
    impossible_transition: "/tough/dope/change_state: cannot be done: Failed to trigger lifecycle state machine",
    impossible_parameter: "/tough/dope/set_parameters: cannot be done: 77 is not a valid",
    no_rotations: None if HAS_TF2 else "what leads from 'arm' to '' is no rotation and place",
}


@pytest.mark.parametrize("trouble", TROUBLE, ids=lambda trouble: trouble.__name__)
def test_what_cannot_be_handled_is_told_and_survived(node, observer, trouble):
    process, stream = node
    trouble(observer, "/tough")
    if text := TROUBLE[trouble]:
        observer.until(lambda: process.count(text), text, timeout=SOON + SLACK)
    assert stream.go_on(2.0) < SOON + SLACK
    assert process.alive
    assert "Traceback" not in process.output


def test_a_goal_in_a_frame_that_never_comes_is_answered_and_holds_nobody_up(node, observer):
    _, stream = node
    client = ActionClient(observer.node, DetectObjects, "/tough/dope/detect")
    assert client.wait_for_server(30)
    begin, sent = time.monotonic(), client.send_goal_async(DetectObjects.Goal(target_frame="nowhere"))
    while not sent.done():
        stream.beat()
    answer, gaps = sent.result().get_result_async(), []
    while not answer.done():
        assert time.monotonic() - begin < 30
        gaps.append(stream.go_on(0.5))
    result = answer.result().result
    assert result.status == DetectObjects.Result.STATUS_NO_TRANSFORM
    assert "nowhere" in result.message  # tf2 has its own words for it
    assert time.monotonic() - begin < PATIENCE + SOON + 2 * SLACK
    assert max(gaps) < SOON + SLACK
    client.destroy()


def test_garbage_in_place_of_the_weights_leaves_the_old_ones(start, observer, tmp_path):
    carton, file = load_objects()["carton"], tmp_path / "w.safetensors"
    trained = TrainedObject(name="carton", size=carton.size, centre=carton.centre)
    save(file, make_network("dope-lite", 1), Metadata(architecture="dope-lite", objects=(trained,), input_height=0))
    good = file.read_bytes()
    process, stream = begin(
        start, observer, "/weights", "-p", f"weights:={file}", program=("-m", "dope_ros2.nodes.dope_node")
    )
    rng = np.random.default_rng(0)
    for bad in (b"", rng.bytes(1000), good[:5000], good[: len(good) // 2], good[:8] + rng.bytes(len(good) - 8)):
        file.write_bytes(bad)
        result = set_parameter(observer, "weights", str(file), "/weights/dope")
        assert not result.successful
        assert f"{file}: not a complete safetensors file" in result.reason
        assert stream.go_on(1.0) < SOON + SLACK
    with overwritten(file, good):  # while they are read
        for _ in range(6):
            set_parameter(observer, "weights", str(file), "/weights/dope")
            stream.go_on(0.2)
    assert stream.go_on(1.0) < SOON + SLACK
    assert set_parameter(observer, "weights", str(file), "/weights/dope").successful
    assert stream.go_on(1.0) < SOON + SLACK
    assert "Traceback" not in process.output
    assert process.terminate() == 0


@contextmanager
def overwritten(file, good):
    """A file that somebody writes again and again, in place."""
    over = threading.Event()

    def write():
        while not over.wait(0.02):
            file.write_bytes(good[:1000])
            file.write_bytes(good)

    thread = threading.Thread(target=write)
    thread.start()
    yield
    over.set()
    thread.join()


def test_sigterm_while_an_image_is_looked_at_ends_it_well(start, observer):
    process, _ = begin(start, observer, "/term")
    slow = picture(0)
    slow.data[1] = SLOW
    while not process.count("begins to look at it"):
        observer.publish(slow, "/term/image_rect")
        observer.spin(0.1)
    begun = time.monotonic()
    assert process.terminate() == 0
    assert time.monotonic() - begun < 1.0 + 5 * SLACK  # the image takes a second
    assert "Traceback" not in process.output
    assert "could not be looked at" not in process.output
