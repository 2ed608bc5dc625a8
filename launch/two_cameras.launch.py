"""Two cameras, a dope_node for each: topics below /left and /right, frames left_carton_0 and right_carton_0.

With drivers that publish /left/image_rect, /left/camera_info, /right/...: `ros2 launch dope_ros2
two_cameras.launch.py`; with two webcams, add `camera:=true left_source:=0 right_source:=2`. All other arguments are
those of dope.launch.py, for both; topics without a leading / are those of each camera.

Two nodes, so that each camera has outputs, services, actions and diagnostics of its own and one may fail without the
other. They hold the weights twice; one node with the parameter `cameras` holds them once and answers for all cameras
on the same topics, one camera after the other.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

SIDES = {"left": ("0", "9190"), "right": ("2", "9192")}  # default source, port of the viewer's page
ONE = str(Path(__file__).with_name("dope.launch.py"))


def arguments(side: str) -> list[DeclareLaunchArgument]:
    source, _ = SIDES[side]
    of_camera = f"of camera_node of the {side} camera, with camera:=true"
    return [
        DeclareLaunchArgument(side, default_value=side, description=f"namespace of the {side} camera and its nodes"),
        DeclareLaunchArgument(f"{side}_source", default_value=source, description=f"{of_camera}: webcam, video, ..."),
        DeclareLaunchArgument(f"{side}_calibration", default_value="", description=f"{of_camera}: camera_info YAML"),
    ]


def one(side: str) -> GroupAction:
    """What belongs to one camera, in a scope of its own."""
    given = {
        "namespace": LaunchConfiguration(side),
        "source": LaunchConfiguration(f"{side}_source"),
        "calibration": LaunchConfiguration(f"{side}_calibration"),
        "frame_id": [LaunchConfiguration(side), "_camera_optical_frame"],
        "view_port": SIDES[side][1],
    }
    source = PythonLaunchDescriptionSource(ONE)
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=given.items())])


def generate_launch_description() -> LaunchDescription:
    right = OpaqueFunction(function=lambda _: [one("right")])  # so that --show-args lists the arguments of one alone
    return LaunchDescription([*arguments("left"), *arguments("right"), one("left"), right])
