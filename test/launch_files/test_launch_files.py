"""What the launch files start, without ROS's launch."""

import re
from pathlib import Path

import pytest
import yaml

from dope_ros2.common.resources import share
from helpers import launch_stand_in

REPO = Path(__file__).resolve().parents[2]
DOPE = launch_stand_in.load("dope.launch.py")
DOPE_YAML = REPO / "config/dope.yaml"


def launch(name="dope.launch.py", **given):
    """Arguments of the nodes that are started, by name; for a dope_node that of its namespace is in front."""
    actions = launch_stand_in.start(name, given)
    nodes = [action.kwargs for action in actions if action.kind == "Node"]
    return {f"{node['namespace'].rstrip('/')}/{node['name']}": node for node in nodes}


def told(**given):
    actions = launch_stand_in.start("dope.launch.py", given)
    return [action.kwargs["msg"] for action in actions if action.kind == "LogInfo"]


def sources(node):
    """What its parameters come from, from the weakest on: a dict, or a file that is read."""
    return [s if isinstance(s, dict) else yaml.safe_load(Path(s.args[0]).read_text()) for s in node["parameters"]]


def last(node):
    """The parameters that win."""
    return sources(node)[-1].get("/**/**", {}).get("ros__parameters", {})


@pytest.fixture(scope="module")
def declared():
    """Default of each parameter of dope_node and camera_node, by node."""
    pytest.importorskip("rclpy")
    from dope_ros2.nodes.camera_node import CameraNode
    from dope_ros2.nodes.dope import parameters

    found = {"dope": {"use_sim_time": False}, "camera": {"use_sim_time": False}}

    def recorder(node):
        def parameter(name, default, *_, **__):
            found[node][name] = default

        return parameter

    dope, camera = (type("Recorder", (), {"parameter": staticmethod(recorder(node))})() for node in found)
    parameters.declare(dope)
    CameraNode._declare(camera)
    return found


@pytest.mark.ros
@pytest.mark.parametrize("name", DOPE.OF_DOPE)
def test_an_argument_is_a_parameter_of_dope_node_and_shows_its_default(declared, name):
    assert DOPE.parameter(name, DOPE.ARGUMENTS[name][0]) == declared["dope"][name]


@pytest.mark.ros
@pytest.mark.parametrize("name", DOPE.OF_CAMERA)
def test_an_argument_is_a_parameter_of_camera_node_and_shows_its_default(declared, name):
    assert DOPE.parameter(name, DOPE.ARGUMENTS[name][0]) == declared["camera"][name]


@pytest.mark.ros
def test_the_package_s_parameter_file_says_what_the_nodes_do_without_it(declared):
    file = yaml.safe_load(DOPE_YAML.read_text())
    assert declared["dope"] | file["/**/dope"]["ros__parameters"] == declared["dope"]
    camera = file["/**/camera"]["ros__parameters"]
    assert declared["camera"] | camera == declared["camera"] | DOPE.BEFORE_FILE["camera"]


def test_arguments_that_are_not_given_leave_the_file_alone():
    assert sources(launch()["/dope"]) == [yaml.safe_load(DOPE_YAML.read_text())]


def test_arguments_that_are_given_come_after_the_file_and_have_the_parameter_s_type():
    given = {"objects": "carton, mug", "min_score": "1", "publish_tf": "false", "device": "cpu", "frame_prefix": ""}
    expected = {
        "objects": ["carton", "mug"],
        "min_score": 1.0,
        "publish_tf": False,
        "device": "cpu",
        "frame_prefix": "",
    }
    assert last(launch(**given)["/dope"]) == expected


NODE = """
import rclpy
rclpy.init()
print(rclpy.create_node("dope", namespace="/left").declare_parameter("min_score", 0.0).value)
"""


@pytest.mark.ros
def test_an_argument_wins_whatever_names_and_patterns_the_file_has(start, tmp_path):
    names = ("/left/dope", "dope", "/*/dope", "/**/dope", "/**")
    text = "".join(f"{name}: {{ros__parameters: {{min_score: 0.9}}}}\n" for name in names)
    (tmp_path / "own.yaml").write_text(text)
    (tmp_path / "node.py").write_text(NODE)
    given = launch(namespace="left", min_score="0.25", params_file=str(tmp_path / "own.yaml"))
    files = [str(file.args[0]) for file in given["/left/dope"]["parameters"]]
    options = [each for file in files for each in ("--params-file", file)]
    process = start(tmp_path / "node.py", "--ros-args", *options)
    assert process.wait() == 0
    assert process.output == "0.25\n"


@pytest.mark.parametrize(
    ("text", "names"), [("[carton, 'a b']", ["carton", "a b"]), ("carton", ["carton"]), ("", [""]), ("[]", [""])]
)
def test_objects_are_a_list_or_names_with_commas(text, names):
    assert DOPE.parameter("objects", text) == names


def test_a_source_that_looks_like_a_number_is_text():
    assert last(launch(camera="true", source="0")["/camera"]) == {"source": "0"}


def test_the_camera_begins_again_at_the_end_with_any_file_that_does_not_forbid_it(tmp_path):
    (tmp_path / "own.yaml").write_text("/**/dope: {ros__parameters: {min_score: 0.5}}")
    assert sources(launch(camera="true", params_file=str(tmp_path / "own.yaml"))["/camera"])[0] == {"loop": True}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"min_score": "high"}, "argument min_score: 'high' is not a number from 0 to 1"),
        ({"objects": "[a"}, "argument objects: '[a' is neither names"),
        ({"params_file": "/nowhere.yaml"}, "argument params_file: /nowhere.yaml: no such file"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused(given, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        launch(**given)


def test_a_misspelt_argument_is_told_since_launch_takes_any():
    hint = "dope.launch.py has no argument min_scor; did you mean min_score?"
    assert told(min_scor="0.5", robot="arm", left_calibration="a.yaml") == [hint]
    assert told(min_score="0.5") == []


def test_nodes_topics_and_viewers_are_of_the_namespace():
    nodes = launch(namespace="left", ros_namespace="/robot", camera="true", rviz="true", view="true")
    assert nodes.keys() == {"/robot/left/dope", "/robot/left/camera", "/robot/left/rviz", "/robot/left/view"}
    for viewer in ("rviz", "view"):
        assert nodes[f"/robot/left/{viewer}"]["arguments"][:2] == ["--node", "/robot/left/dope"]


def test_rviz_gets_the_topic_that_its_frame_comes_from_or_the_frame():
    assert ("camera_info", "/cam/info") in launch(rviz="true", camera_info="/cam/info")["/rviz"]["remappings"]
    assert "world" in launch(rviz="true", fixed_frame="world")["/rviz"]["arguments"]


def test_a_default_is_not_taken_for_given_by_what_is_launched_next():
    found = {"min_score": "0.5"}
    launch_stand_in.start("dope.launch.py", found)
    assert found == {"min_score": "0.5"}


def test_two_cameras_share_no_name_no_frame_and_no_port():
    given = {"camera": "true", "view": "true", "min_score": "0.5", "right_source": "b.mp4"}
    nodes = launch("two_cameras.launch.py", **given)
    assert nodes.keys() == {f"/{side}/{name}" for side in ("left", "right") for name in ("dope", "camera", "view")}
    assert [last(nodes[f"/{side}/dope"]) for side in ("left", "right")] == [{"min_score": 0.5}] * 2
    cameras = [last(nodes[f"/{side}/camera"]) for side in ("left", "right")]
    assert [each["source"] for each in cameras] == ["0", "b.mp4"]
    assert cameras[0]["frame_id"] == "left_camera_optical_frame" != cameras[1]["frame_id"]
    assert nodes["/left/view"]["arguments"][3] != nodes["/right/view"]["arguments"][3]


def test_rectify_puts_image_proc_before_the_node():
    given = {"image": "/cam/image_raw", "namespace": "left", "min_score": "0.5"}
    container, dope = launch_stand_in.start("rectify.launch.py", given)
    [component] = container.kwargs["composable_node_descriptions"]
    assert component.kwargs["plugin"] == "image_proc::RectifyNode"
    assert component.kwargs["remappings"] == [("image", "/cam/image_raw")]
    assert dope.kwargs["remappings"] == [("image_rect", "image_rect"), ("camera_info", "/cam/camera_info")]
    assert last(dope.kwargs) == {"min_score": 0.5}


def test_rectify_loads_into_the_container_of_the_driver():
    given = {"container": "/camera_container", "camera_info": "/cam/info", "image": "/cam/image"}
    component, _ = launch_stand_in.start("rectify.launch.py", given)
    assert component.kwargs["target_container"] == "/camera_container"
    [rectify] = component.kwargs["composable_node_descriptions"]
    assert ("/cam/camera_info", "/cam/info") in rectify.kwargs["remappings"]


def test_the_launch_file_finds_the_parameter_file_beside_it():
    assert share() == DOPE.SHARE
