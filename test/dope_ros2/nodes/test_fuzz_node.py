"""The node, in this process, under what nobody should send it: it never raises, and the next image is answered."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from hypothesis import given
from hypothesis import strategies as st
from rclpy.exceptions import ParameterException
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from dope_ros2.engines.registry import pick_device
from dope_ros2.nodes.base.transforms import TransformBuffer
from dope_ros2.nodes.dope.parameters import load_estimator
from dope_ros2.nodes.dope_node import DopeNode
from helpers.fake_dope_node import Foretold, load
from helpers.fuzzing import fuzz, tried, words
from helpers.message_strategies import camera_infos, compressed_data, image_messages
from helpers.node_client import info, picture

pytestmark = pytest.mark.ros
texts = words.map(lambda text: text.replace("\0", ""))
stamps = st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1), nanosec=st.integers(0, 2**32 - 1))
headers = st.builds(Header, stamp=stamps, frame_id=texts)


class Unshaken(Foretold):
    """Finds at most three things, whatever the image."""

    def __call__(self, image, camera, settings):
        return super().__call__(image % 4, camera, settings)


class Bench:
    """A node that nobody spins; images are handed to it."""

    def __init__(self, **parameters):
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = DopeNode(self.load, context=self.context, parameter_overrides=overrides)
        self.node.start()
        self.camera = self.node.cameras[0]
        self.arrive = self.node._recorder.recorded(self.camera.image_topic, self.camera.take_image)
        self.first, self.number = self.node.get_parameters_by_prefix(""), 0

    @staticmethod
    def load(weights, objects_file, device, engine):
        return load(weights, objects_file, device, engine) and Unshaken()

    def show(self, msg, camera_info=None):
        if camera_info is not None:
            self.camera.take_info(camera_info)
        self.arrive(msg)
        self.node._diagnostics.publish()

    def looked_at(self):
        return int(self.camera.health.condition(time.monotonic()).values["looked_at"])

    def is_well(self):
        """Whether a good image is answered, as it must be after anything."""
        before, self.number = self.looked_at(), self.number + 1
        self.show(picture(self.number), info())
        return self.looked_at() == before + 1

    def fault(self):
        return self.camera.health.condition(time.monotonic()).message

    def close(self):
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture(scope="module")
def bench():
    bench = Bench(ros1_topics=True)
    yield bench
    bench.close()


compressed = st.builds(lambda data: CompressedImage(data=data), compressed_data)


@fuzz("node")
@given(msg=image_messages() | compressed, of=headers, camera_info=st.none() | camera_infos())
def test_after_any_image_and_camera_info_the_next_good_ones_are_answered(bench, msg, of, camera_info):
    msg.header = of
    bench.show(msg, camera_info)
    assert "could not be looked at" not in bench.fault()
    assert bench.is_well()


VALUES = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 5000),
    float: st.floats() | st.floats(0, 10),
    str: texts | st.sampled_from(["", "is_broken", "carton"]),
}


def values_of(value):
    """Values of the type that a parameter's has."""
    if isinstance(value, bool | int | float | str):
        return VALUES[type(value)]
    return st.lists(VALUES[type(value[0])], min_size=1, max_size=5)


@fuzz("parameters")
@given(data=st.data())
def test_any_parameter_is_taken_or_refused_and_taken_back(bench, data):
    for name in data.draw(st.lists(st.sampled_from(sorted(bench.first)), min_size=1, max_size=3)):
        other = data.draw(st.sampled_from(sorted(bench.first))) if not data.draw(st.integers(0, 9)) else name
        values = values_of(bench.first[other].value)
        result = bench.node.set_parameters_atomically([Parameter(name, value=data.draw(values))])
        assert result.successful or len(result.reason.splitlines()) == 1
        bench.show(picture(0), info())
        assert "could not be looked at" not in bench.fault()
    for parameter in bench.first.values():
        bench.node.set_parameters_atomically([parameter])
    assert bench.is_well()


def begun(context, overrides):
    """Start a node and end it."""
    node = DopeNode(Bench.load, context=context, parameter_overrides=overrides)
    try:
        node.start()
        return node.not_active()
    finally:
        node.destroy_node()


@fuzz("starting")
@given(data=st.data())
def test_with_any_parameters_it_starts_or_says_why_not(bench, data):
    names = data.draw(st.lists(st.sampled_from(sorted(bench.first)), max_size=3, unique=True))
    values = {name: data.draw(values_of(bench.first[name].value)) for name in names if name != "autostart"}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    try:
        why = tried(begun, bench.context, overrides)
    except ParameterException:  # which `run` tells in a line
        return
    assert not why


@fuzz("loading")
@given(texts, texts, texts | st.sampled_from(["auto", "cpu", "cuda:99", "meta", "mps"]))
def test_an_estimator_of_any_names_is_refused_in_a_line(weights, objects_file, device):
    tried(load_estimator, weights, objects_file, device, "auto")
    tried(load_estimator, weights, objects_file, "cpu", device)
    tried(pick_device, device)


class Listener(NamedTuple):
    """What OwnFrames wants of a node, without topics."""

    get_logger: Callable

    def create_subscription(self, *_):
        """Nothing comes but what the test brings."""


anywhere = st.floats() | st.sampled_from([0.0, 1.0, -1.0])
frame = st.sampled_from(["map", "base", "camera", "/camera", ""]) | st.text("ab /é", max_size=5)


@st.composite
def transforms(draw):
    """A transform between any two frames, good for little."""
    x, y, z, w, *t = (draw(anywhere) for _ in range(7))
    way = Transform(translation=Vector3(x=t[0], y=t[1], z=t[2]), rotation=Quaternion(x=x, y=y, z=z, w=w))
    return TransformStamped(
        header=Header(stamp=draw(stamps), frame_id=draw(frame)), child_frame_id=draw(frame), transform=way
    )


@fuzz("tf")
@given(st.lists(transforms(), max_size=6), st.lists(transforms(), max_size=3), frame, frame, stamps)
def test_any_transforms_are_used_or_left_out(bench, moving, fixed, target, source, stamp):
    frames = TransformBuffer(Listener(bench.node.get_logger))
    frames._on_moving(TFMessage(transforms=moving))
    frames._on_fixed(TFMessage(transforms=fixed))
    for at in (stamp, *(each.header.stamp for each in moving)):
        pose = tried(frames.find, target, source, at)
        assert pose is None or np.isfinite(pose.matrix).all()
