"""Live poses: dope_node, on request with a camera, RViz and the viewer.

With image_rect and camera_info published already: `ros2 launch dope_ros2 dope.launch.py`; with other topics, add
`image:=/cam/image_rect_color camera_info:=/cam/camera_info`; with a webcam, add `camera:=true source:=0 rviz:=true`.
`ros2 launch dope_ros2 dope.launch.py --show-args` lists all arguments. Those that are given win over the file of
parameters; those that are not leave it alone: the default that is shown is the node's, where the file has no other.
"""

import atexit
import shutil
import tempfile
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile

from launch import LaunchContext, LaunchDescription

SHARE = Path(__file__).parents[1]  # also in the source tree
BOOLEANS = ["true", "false"]
ARGUMENTS = {
    "namespace": ("", "namespace of all nodes and of topics without a leading /", None),
    "image": ("image_rect", "topic of the rectified images", None),
    "camera_info": ("camera_info", "topic of their camera_info", None),
    "depth": ("", "topic of depth images that are registered to the colour camera; empty: none", None),
    "image_transport": ("raw", "compressed: JPEG or PNG from IMAGE/compressed", ["raw", "compressed"]),
    "qos": ("auto", "reliability of image subscriptions; auto: the publisher's", ["auto", "reliable", "best_effort"]),
    "objects": ("", "names of the objects to look for, a,b or [a, b]; empty: all that the weights know", None),
    "min_score": ("0.3", "lowest score that is published, 0 to 1", None),
    "publish_tf": ("true", "publish a frame for each object", BOOLEANS),
    "frame_prefix": ("auto", "before the names of these frames; auto: made of the namespace; '': none", None),
    "autostart": ("true", "configure and activate; false: wait for `ros2 lifecycle set`", BOOLEANS),
    "weights": ("", "weights file; empty: the package's dope-lite.safetensors", None),
    "objects_file": ("", "objects.yaml; empty: the package's", None),
    "device": ("auto", "what the network runs on: auto, cpu or cuda", None),
    "params_file": (str(SHARE / "config/dope.yaml"), "file of parameters; arguments that are given win over it", None),
    "camera": ("false", "start camera_node, which publishes image_rect and camera_info", BOOLEANS),
    "source": ("0", "of camera_node: webcam number, video, image, folder of images, bag or BOP scene", None),
    "calibration": ("", "of camera_node: camera_info YAML; empty: an estimate", None),
    "frame_id": ("camera_optical_frame", "of camera_node: frame of its images", None),
    "rviz": ("false", "start RViz with the topics of this node", BOOLEANS),
    "fixed_frame": ("", "of RViz; empty: the frame of the first camera_info, which is waited for", None),
    "view": ("false", "serve a page that shows everything (`dope view`, which needs rerun)", BOOLEANS),
    "view_port": ("9190", "of this page", None),
    "use_sim_time": ("false", "take the time from /clock", BOOLEANS),
    "log_level": ("info", "of the nodes", ["debug", "info", "warn", "error", "fatal"]),
}
# Arguments that are parameters of the nodes.
OF_DOPE = [
    *("image_transport", "qos", "depth", "objects", "min_score", "publish_tf", "frame_prefix", "autostart"),
    *("weights", "objects_file", "device", "use_sim_time"),
]
OF_CAMERA = ["source", "calibration", "frame_id", "objects_file", "use_sim_time"]
BEFORE_FILE = {"camera": {"loop": True}}  # parameters that differ from the node's own, where the file has no other
LAST = "/**/**"  # of any node; no file has it, so what it holds comes last and wins, whatever names the file has


def parameter(name: str, text: str) -> str | float | bool | list[str]:
    """The value of a parameter that was given as a launch argument.

    Raises:
        ValueError: it is not of the parameter's type.
    """
    if ARGUMENTS[name][2] == BOOLEANS:
        return text == "true"
    if name == "min_score":
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"argument min_score: {text!r} is not a number from 0 to 1, such as 0.3") from None
    if name == "objects":
        try:
            names = yaml.safe_load(text) if text.lstrip().startswith("[") else text.split(",")
        except yaml.YAMLError:
            raise ValueError(f"argument objects: {text!r} is neither names as in a,b nor a list as in [a, b]") from None
        return [str(each).strip() for each in names] or [""]  # ROS cannot tell the type of an empty list
    return text


def absolute(outer: str, inner: str) -> str:
    """A namespace inside of another one, unless it begins with /."""
    parts = ([] if inner.startswith("/") else outer.split("/")) + inner.split("/")
    return "/" + "/".join(filter(None, parts))


class Launch:
    """The nodes for the arguments of one launch, where `given` names those that were given."""

    def __init__(self, values: dict[str, str], given: set[str], outer: str) -> None:
        """`outer` is the namespace that an including launch file has pushed."""
        self._values, self._given = values, given
        self._namespace = absolute(outer, values["namespace"])
        self._dope = f"{self._namespace.rstrip('/')}/dope"
        self._folder = Path(tempfile.mkdtemp(prefix="dope_launch_"))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        if not Path(values["params_file"]).is_file():
            raise ValueError(f"argument params_file: {values['params_file']}: no such file")

    def nodes(self) -> list[Node]:
        """All that are wanted."""
        nodes = [self._node("dope", "dope_node", OF_DOPE)]
        if self._is_on("camera"):
            nodes.append(self._node("camera", "camera_node", OF_CAMERA))
        if self._is_on("rviz"):
            frame = self._values["fixed_frame"]
            options = ["--node", self._dope, *(["--fixed-frame", frame] if frame else [])]
            nodes.append(self._node("rviz", "rviz", ["use_sim_time"], options))
        if self._is_on("view"):
            options = ["--node", self._dope, "--port", self._values["view_port"]]
            nodes.append(self._node("view", "view", ["use_sim_time"], options))
        return nodes

    def _is_on(self, name: str) -> bool:
        return self._values[name] == "true"

    def _node(self, name: str, executable: str, names: list[str], options: list[str] | None = None) -> Node:
        before = [BEFORE_FILE[name]] if name in BEFORE_FILE else []
        file = ParameterFile(self._values["params_file"], allow_substs=True)
        return Node(
            package="dope_ros2",
            executable=executable,
            name=name,
            namespace=self._namespace,
            output="screen",
            parameters=[*before, file, *self._given_parameters(name, names)],
            remappings=[("image_rect", self._values["image"]), ("camera_info", self._values["camera_info"])],
            arguments=[*(options or []), "--ros-args", "--log-level", self._values["log_level"]],
        )

    def _given_parameters(self, node: str, names: list[str]) -> list[ParameterFile]:
        given = {name: parameter(name, self._values[name]) for name in names if name in self._given}
        if not given:
            return []
        path = self._folder / f"{node}.yaml"
        path.write_text(yaml.safe_dump({LAST: {"ros__parameters": given}}))
        return [ParameterFile(str(path), allow_substs=False)]


def misspelt(names: set[str]) -> list[str]:
    """What is wrong with arguments that are not ours but nearly so: `ros2 launch` takes any."""
    close = {name: get_close_matches(name, ARGUMENTS, 1, 0.85) for name in sorted(names - ARGUMENTS.keys())}
    return [f"dope.launch.py has no argument {name}; did you mean {near[0]}?" for name, near in close.items() if near]


def generate_launch_description() -> LaunchDescription:
    given: set[str] = set()

    def remember(context: LaunchContext) -> list[Any]:
        given.update(context.launch_configurations)  # before the defaults are among them
        return [LogInfo(msg=text) for text in misspelt(given)]

    def start(context: LaunchContext) -> list[Any]:
        found = context.launch_configurations
        nodes = Launch({name: found[name] for name in ARGUMENTS}, given, found.get("ros_namespace", "")).nodes()
        for name in ARGUMENTS.keys() - given:
            del found[name]  # a default of ours is not given to what is included next
        return nodes

    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text, choices=choices)
        for name, (default, text, choices) in ARGUMENTS.items()
    ]
    return LaunchDescription([OpaqueFunction(function=remember), *declared, OpaqueFunction(function=start)])
