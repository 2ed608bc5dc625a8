"""The page of `dope view` in a headless browser: the camera's image, the cuboid and the scene are drawn."""

import shutil
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from dope_ros2.common.errors import UserError
from dope_ros2.nodes.messages import images
from dope_ros2.visualization.viewer import rerun_process, scene
from helpers.node_client import header, info

pytest.importorskip("rerun", reason="needs rerun: pip install rerun-sdk")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.ros,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium"),
]

FAKE = Path(__file__).resolve().parents[3] / "helpers" / "fake_dope_node.py"
ORANGE, TEAL = (230, 120, 30), (20, 140, 150)  # what the camera sees
SOFTWARE = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
ALONE = ["--disable-quic", "--disable-sync", "--no-first-run", "--disable-component-update"]  # it asks nobody outside
PATIENCE, PAUSE = 180, 3  # [s]


def picture(number):
    """Half orange, half teal, in which the node under test finds one carton."""
    rgb = np.empty((240, 320, 3), np.uint8)
    rgb[:, :160], rgb[:, 160:] = ORANGE, TEAL
    rgb[0, 0] = (1, 0, 0)
    return images.array_to_image(rgb, Header(stamp=header(number).stamp, frame_id="camera"))


def share_of(screen, color, tolerance=12):
    """Which part of the screen has a colour."""
    return (np.abs(screen.astype(int) - color).max(2) <= tolerance).mean()


def free_port():
    """One of two that are free side by side."""
    for port in range(29_090, 29_290, 2):
        try:
            rerun_process.check_ports(rerun_process.LOCAL, [port, port + 1])
        except UserError:
            continue
        return port
    pytest.skip("no two free ports side by side")


def show(observer, number):
    observer.publish(info(width=320, height=240), "/camera_info")
    observer.publish(picture(number), "/image_rect")
    observer.spin(0.5)


@pytest.fixture(scope="module")
def running(start, observer):
    """A viewer that serves its page, and shows the first answer of a node."""
    port = free_port()
    observer.listen(Detection3DArray, "/dope/detections")
    start(FAKE)
    process = start("-m", "dope_ros2.cli", "view", "--port", port, "--rate", 1)
    show(observer, 0)
    observer.until(lambda: "showing /image_rect" in process.output, "the viewer to find the camera")
    while not observer.received["/dope/detections"]:
        show(observer, 1)
    return process, port


@pytest.fixture(scope="module")
def screen(running, observer, tmp_path_factory):
    """The page as (H, W, 3) RGB, once it is drawn."""
    address = running[0].output.split(";")[0]
    file, number = tmp_path_factory.mktemp("page") / "page.png", 2
    with sync_api.sync_playwright() as browsers:
        # What makes ROS's libraries be found does not suit a browser.
        browser = browsers.chromium.launch(
            executable_path=CHROMIUM, args=SOFTWARE + ALONE, env={"HOME": str(file.parent)}
        )
        page = browser.new_page(viewport={"width": 960, "height": 600}, color_scheme="dark")
        page.goto(address)
        while True:
            show(observer, number)
            page.wait_for_timeout(1000 * PAUSE)
            page.screenshot(path=file, timeout=1000 * PATIENCE)
            drawn, number = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB), number + 1
            if share_of(drawn, ORANGE) > 0.05 or PAUSE * number > PATIENCE:
                browser.close()
                return drawn


def test_the_page_shows_both_halves_of_the_camera_s_picture(screen):
    assert share_of(screen, ORANGE) > 0.05
    assert share_of(screen, TEAL) > 0.05


def test_the_page_shows_the_cuboid_in_the_colour_of_its_track(screen):
    carton = scene.color("carton_0")
    left, right = np.array_split(screen[: screen.shape[0] * 5 // 7], 2, axis=1)
    for name, part in (("picture", left), ("scene", right)):
        assert share_of(part, carton, tolerance=30) > 2e-4, name


def test_the_page_is_served_to_this_machine_alone(running):
    port = running[1]
    for each in (port, port + 1):
        socket.create_connection((rerun_process.LOCAL, each), timeout=5).close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", each), timeout=5).close()


def test_ctrl_c_ends_the_viewer_and_frees_its_ports(running):
    process, port = running
    assert process.interrupt() == 0, process.output
    rerun_process.check_ports(rerun_process.LOCAL, [port, port + 1])
