"""Parameters of dope_node in this process, without messages: prefixes of frames, empty arrays, what configure reads."""

import time

import pytest
import rclpy
from geometry_msgs.msg import PoseArray
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from dope_ros2.nodes.dope import parameters
from helpers.fake_dope_node import in_process, load

pytestmark = pytest.mark.ros


def configured(node):
    return node.trigger_configure() == TransitionCallbackReturn.SUCCESS


def set_one(node, name, value):
    [result] = node.set_parameters([Parameter(name, value=value)])
    return result


@pytest.mark.parametrize(
    ("arguments", "prefixes"),
    [
        ("", [""]),
        ("-r __ns:=/left", ["left_"]),
        ("-r __ns:=/cell/left", ["cell_left_"]),
        ("-r __node:=crate_dope", ["crate_dope_"]),
        ("-p cameras:=[a,/b/c]", ["a_", "b_c_"]),
        ("-r __ns:=/left -p cameras:=[a,b]", ["left_a_", "left_b_"]),
        ("-r __ns:=/left -p cameras:=[a]", ["left_"]),
        ("-r __ns:=/left -p frame_prefix:=''", [""]),
        ("-p frame_prefix:=x/", ["x/"]),
        ("-p frame_prefix:=x_ -p cameras:=[a,b]", ["x_a_", "x_b_"]),
    ],
)
def test_frames_begin_with_what_tells_nodes_and_cameras_apart(arguments, prefixes):
    with in_process(*arguments.split()) as node:
        assert configured(node)
        assert [camera.prefix for camera in node.cameras] == prefixes


@pytest.mark.parametrize("prefix", ["/left_", "left eye_"])
def test_what_cannot_begin_a_frame_is_refused(prefix):
    with in_process("-p", f"frame_prefix:='{prefix}'") as node:
        assert not configured(node)
        assert str(node._fault).startswith(f"parameter frame_prefix: '{prefix}' is no beginning of a frame's name")


def test_cameras_that_would_share_frames_are_refused():
    with in_process("-p", "cameras:=[a/b,a_b]") as node:
        assert not configured(node)
        assert str(node._fault).startswith("parameter cameras: 'a/b', 'a_b' would have the same frames")


@pytest.mark.parametrize("name", ["objects", "cameras", "roi"])
def test_an_empty_array_has_the_type_of_its_parameter_and_means_the_default(name, tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text(f"/**:\n  ros__parameters:\n    {name}: []\n")
    for arguments in (["-p", f"{name}:=[]"], ["--params-file", str(file)]):
        with in_process(*arguments) as node:
            assert not node.value(name)
            assert configured(node)
            assert len(node.cameras) == 1
            request = parameters.request(node, node.estimator.models)
            assert (request.settings.objects, request.roi) == (("carton", "mustard"), parameters.Roi())
    with in_process() as node:
        kind = node.get_parameter(name).type_
        result = set_one(node, name, [])
        assert (result.successful, result.reason) == (True, "")
        assert node.get_parameter(name).type_ == kind
        assert configured(node)


def test_an_array_of_another_type_is_still_refused():
    with in_process() as node:
        assert "STRING_ARRAY" in set_one(node, "objects", [1, 2]).reason


AT_CONFIGURE = {
    "objects_file": "other.yaml",
    "device": "cpu",
    "engine": "torch",
    "cameras": ["left", "right"],
    "image_transport": "compressed",
    "depth": "depth",
    "ros1_topics": True,
    "frame_prefix": "x_",
}


@pytest.mark.parametrize("name", AT_CONFIGURE)
def test_what_configure_reads_can_be_set_after_cleanup(name):
    with in_process() as node:
        descriptor = node.describe_parameter(name)
        assert (descriptor.read_only, descriptor.additional_constraints) == (False, parameters.AT_CONFIGURE)
        assert configured(node)
        assert set_one(node, name, node.value(name)).successful  # as it is, such as from a file of all
        refused = set_one(node, name, AT_CONFIGURE[name])
        assert not refused.successful
        assert refused.reason.startswith(
            f"parameter {name}: is read when the node is configured; first `ros2 lifecycle"
        )
        assert "/dope cleanup`" in refused.reason
        node.trigger_cleanup()
        assert set_one(node, name, AT_CONFIGURE[name]).successful
        assert configured(node)
        assert node.value(name) == AT_CONFIGURE[name]


def test_configure_uses_what_was_set_after_cleanup():
    loaded = []

    def remember(*values):
        loaded.append(values)
        return load(*values)

    with in_process(load=remember) as node:
        assert configured(node)
        node.trigger_cleanup()
        assert set_one(node, "device", "cpu").successful
        assert set_one(node, "cameras", ["left", "right"]).successful
        assert configured(node)
        assert [device for _, _, device, _ in loaded] == ["auto", "cpu"]
        assert [camera.image_topic for camera in node.cameras] == ["/left/image_rect", "/right/image_rect"]


def test_what_the_node_itself_listens_to_does_not_wake_a_lazy_one():
    with in_process("-p", "lazy:=true") as node:
        assert configured(node)
        node.trigger_activate()
        listeners = node.count_subscribers("/tf")
        publisher, end = node._outputs._tf, time.monotonic() + 30
        while publisher.get_subscription_count() < listeners:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert listeners == 1
        assert node.idle() == "nobody subscribes to the results, and the parameter lazy is set"
        other = rclpy.create_node("other", context=node.context)
        other.create_subscription(PoseArray, "/dope/poses", lambda msg: None, 1)
        while node.idle():
            assert time.monotonic() < end
            time.sleep(0.01)
        other.destroy_node()
