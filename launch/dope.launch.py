"""Live poses: dope_node, on request with a camera and RViz.

With image_rect and camera_info published already: `ros2 launch dope_ros2 dope.launch.py`; with other topics, add
`image:=/cam/image_rect_color camera_info:=/cam/camera_info`; with a webcam, add `camera:=true source:=0 rviz:=true`.
"""

from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node, SetParameter
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

ARGUMENTS = {
    "weights": ("", "weights file; empty: the package's dope-lite.safetensors"),
    "objects_file": ("", "objects.yaml; empty: the package's"),
    "image": ("image_rect", "topic of the rectified images"),
    "camera_info": ("camera_info", "topic of their camera_info"),
    "depth": ("", "topic of depth images that are registered to the colour camera; empty: none"),
    "device": ("auto", "auto, cpu or cuda"),
    "camera": ("false", "start camera_node, which publishes image_rect and camera_info"),
    "source": ("0", "of camera_node: webcam number, video, image, folder of images or BOP scene"),
    "calibration": ("", "of camera_node: camera_info YAML; empty: an estimate"),
    "rviz": ("false", "start RViz, showing everything"),
    "view": ("false", "serve a page that shows everything (`dope view`, which needs rerun)"),
    "use_sim_time": ("false", "take the time from /clock"),
    "log_level": ("info", "of the nodes"),
}
SWITCHES = {"camera", "rviz", "view", "use_sim_time"}
LEVELS = ["debug", "info", "warn", "error", "fatal"]


def _argument(name: str) -> DeclareLaunchArgument:
    default, description = ARGUMENTS[name]
    choices = ["true", "false"] if name in SWITCHES else LEVELS if name == "log_level" else None
    return DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)


def _text(name: str) -> ParameterValue:
    """A launch argument as a string parameter, also where it looks like a number."""
    return ParameterValue(LaunchConfiguration(name), value_type=str)


def _config(name: str) -> PathJoinSubstitution:
    return PathJoinSubstitution([FindPackageShare("dope_ros2"), "config", name])


def generate_launch_description() -> LaunchDescription:
    parameters = ParameterFile(LaunchConfiguration("params_file"), allow_substs=True)
    logging = ["--ros-args", "--log-level", LaunchConfiguration("log_level")]
    remappings = [("image_rect", LaunchConfiguration("image")), ("camera_info", LaunchConfiguration("camera_info"))]
    own = {name: _text(name) for name in ("weights", "objects_file", "depth", "device")}
    dope = Node(
        package="dope_ros2",
        executable="dope_node",
        name="dope",
        output="screen",
        parameters=[own, parameters],
        remappings=remappings,
        arguments=logging,
    )
    camera = Node(
        package="dope_ros2",
        executable="camera_node",
        name="camera",
        output="screen",
        parameters=[{name: _text(name) for name in ("source", "calibration", "objects_file")}, parameters],
        remappings=remappings,
        arguments=logging,
        condition=IfCondition(LaunchConfiguration("camera")),
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", _config("dope.rviz")],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    view = Node(
        package="dope_ros2",
        executable="view",
        output="screen",
        arguments=logging,
        condition=IfCondition(LaunchConfiguration("view")),
    )
    params_file = DeclareLaunchArgument(
        "params_file",
        default_value=_config("dope.yaml"),
        description="parameters, which override the arguments",
    )
    use_sim_time = SetParameter("use_sim_time", LaunchConfiguration("use_sim_time"))
    return LaunchDescription([*map(_argument, ARGUMENTS), params_file, use_sim_time, dope, camera, rviz, view])
