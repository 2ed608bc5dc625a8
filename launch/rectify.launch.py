"""A camera whose driver publishes raw images: image_proc rectifies them, in a container, for dope_node beside it.

`ros2 launch dope_ros2 rectify.launch.py image:=/camera/image_raw` needs image_proc (`ros-$ROS_DISTRO-image-proc`), and
a calibrated camera_info beside the images, /camera/camera_info here. `container:=NAME` loads the component into the
container that the driver runs in, so that raw images are not copied. All other arguments are those of dope.launch.py.
"""

from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import ComposableNodeContainer, LoadComposableNodes
from launch_ros.descriptions import ComposableNode

from launch import LaunchContext, LaunchDescription

ARGUMENTS = {
    "image": ("image_raw", "topic of the raw images"),
    "camera_info": ("", "topic of their camera_info; empty: beside them"),
    "namespace": ("", "namespace of the nodes and of topics without a leading /"),
    "container": ("", "full name of a component container that is running; empty: start one"),
}
DOPE = str(Path(__file__).with_name("dope.launch.py"))


def beside(image: str) -> str:
    """Where image_transport expects the camera_info of an image topic."""
    folder, slash, _ = image.rpartition("/")
    return f"{folder}{slash}camera_info"


def rectify(context: LaunchContext) -> list[Any]:
    image, info, namespace, container = (context.launch_configurations[name] for name in ARGUMENTS)
    context.launch_configurations["camera_info"] = info or beside(image)
    component = ComposableNode(
        package="image_proc",
        plugin="image_proc::RectifyNode",
        name="rectify",
        namespace=namespace,
        remappings=[("image", image), *([(beside(image), info)] if info else [])],
        extra_arguments=[{"use_intra_process_comms": True}],
    )
    if container:
        return [LoadComposableNodes(target_container=container, composable_node_descriptions=[component])]
    start = ComposableNodeContainer(
        package="rclcpp_components",
        executable="component_container",
        name="rectify_container",
        namespace=namespace,
        composable_node_descriptions=[component],
        output="screen",
    )
    return [start]


def generate_launch_description() -> LaunchDescription:
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    topics = {
        "image": "image_rect",
        "camera_info": LaunchConfiguration("camera_info"),
        "namespace": LaunchConfiguration("namespace"),
    }
    dope = IncludeLaunchDescription(PythonLaunchDescriptionSource(DOPE), launch_arguments=topics.items())
    return LaunchDescription([*declared, OpaqueFunction(function=rectify), GroupAction([dope])])
