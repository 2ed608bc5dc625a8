"""The node as `dope import-config` starts it, for programs that were written for DOPE's ROS 1 node."""

import shlex
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection3DArray

from dope_ros2.cli import main
from dope_ros2.io.messages import read_image
from helpers.node_client import answer, picture

pytestmark = pytest.mark.ros
FAKE = Path(__file__).resolve().parents[3] / "helpers" / "fake_dope_node.py"
CONFIG = """
topic_camera: /arm/image_rect
topic_camera_info: /arm/camera_info
topic_publishing: arm/dope
weights: {carton: carton.pth, mustard: mustard.pth}
dimensions: {carton: [16.0, 11.0, 6.0], mustard: [10.0, 7.0, 19.0]}
thresh_points: 1
"""
ANSWERS = "/arm/dope_carton/detections"


@pytest.fixture(scope="module")
def imported(start, observer, tmp_path_factory):
    """The node of the first object, started by the command that the import prints."""
    folder = tmp_path_factory.mktemp("imported")
    (folder / "config_pose.yaml").write_text(CONFIG)
    files = ["--out", folder / "objects.yaml", "--params", folder / "dope.yaml"]
    with redirect_stdout(StringIO()) as printed:
        assert main(["import-config", *map(str, [folder / "config_pose.yaml", *files])]) == 0
    command = next(line for line in printed.getvalue().splitlines() if "__node:=dope_carton" in line)
    process = start(FAKE, *shlex.split(command)[2:])
    observer.listen(Detection3DArray, ANSWERS)
    return process


def test_poses_have_the_names_that_they_had(imported, observer):
    observer.listen(PoseStamped, "/arm/dope/pose_carton")
    found = answer(observer, picture(1), "/arm", answers=ANSWERS)
    observer.until(lambda: observer.received["/arm/dope/pose_carton"], "a pose")
    assert observer.received["/arm/dope/pose_carton"][-1].pose == found.detections[0].bbox.center


def test_beliefs_are_pictured_with_the_image_s_stamp_when_someone_looks(imported, observer):
    answer(observer, picture(2), "/arm", answers=ANSWERS)
    assert imported.count("beliefs are looked at") == 0
    observer.listen(Image, "/arm/dope/belief_carton")
    pictures = observer.received["/arm/dope/belief_carton"]
    for number in range(10, 40):
        answer(observer, picture(number), "/arm", answers=ANSWERS)
        if pictures:
            break
    observer.until(lambda: pictures, "an image")
    assert pictures[-1].header in [picture(n).header for n in range(10, number + 1)]
    light = read_image(pictures[-1]).min(-1)
    assert light.shape == (3 * 24, 3 * 36)
    for keypoint in range(9):
        tile = light[24 * (keypoint // 3) :, 36 * (keypoint % 3) :][20:23, :35]  # the last row of cells
        assert abs(np.argmax(tile.sum(0)) - (4 * keypoint + 1.5)) <= 2
        assert tile.max() > 200
