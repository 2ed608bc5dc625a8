"""`dope rviz` with a program in the place of RViz, which writes down what it is started with."""

import pytest
import yaml
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

pytestmark = pytest.mark.ros
RVIZ = "#!/bin/sh\necho started with $@\ncat $2\n"


@pytest.fixture
def rviz(tmp_path, monkeypatch):
    (tmp_path / "rviz2").write_text(RVIZ)
    (tmp_path / "rviz2").chmod(0o755)
    return {"ROS_HOME": str(tmp_path / "ros"), "PATH": f"{tmp_path}:/usr/bin:/bin"}


def command(rviz, *options):
    """The node with an environment of its own."""
    setting = f"import os, sys; os.environ |= {rviz}; sys.argv[1:] = {list(options)}\n"
    return setting + "from dope_ros2.nodes.rviz_node import main\nsys.exit(main())\n"


def configuration(output):
    return yaml.safe_load(output[output.index("Panels:") :])


def topics(config):
    return {d["Topic"]["Value"] for d in config["Visualization Manager"]["Displays"] if "Topic" in d}


def test_rviz_starts_with_topics_of_the_node_in_the_frame_of_the_first_camera_info(start, observer, rviz, tmp_path):
    (tmp_path / "run.py").write_text(command(rviz, "--node", "/left/dope", "--ros-args", "-r", "camera_info:=/c/info"))
    process = start(tmp_path / "run.py")
    while process.alive:
        observer.publish(CameraInfo(header=Header(frame_id="camera_color_optical_frame")), "/c/info")
        observer.spin(0.1)
    assert process.wait() == 0
    config = configuration(process.output)
    assert config["Visualization Manager"]["Global Options"]["Fixed Frame"] == "camera_color_optical_frame"
    assert topics(config) == {f"/left/dope/{name}" for name in ("image_annotated", "markers", "poses", "detections")}


def test_a_frame_that_is_named_is_not_waited_for(start, rviz, tmp_path):
    (tmp_path / "run.py").write_text(command(rviz, "--fixed-frame", "world"))
    process = start(tmp_path / "run.py")
    assert process.wait() == 0
    assert configuration(process.output)["Visualization Manager"]["Global Options"]["Fixed Frame"] == "world"


def test_without_rviz_the_package_is_named(start, tmp_path):
    (tmp_path / "run.py").write_text(command({"PATH": "/nowhere", "ROS_DISTRO": "kilted"}))
    process = start(tmp_path / "run.py")
    assert process.wait() == 2
    assert "sudo apt install ros-kilted-rviz2" in process.output
