"""The service ~/record over DDS: the last seconds as a bag, which a replay finds to be the same."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from vision_msgs.msg import Detection3DArray

from dope_ros2.commands.replay import Comparison
from dope_ros2.io import rosbag
from dope_ros2.io.messages import read_seconds
from dope_ros2.pipeline.recording import read
from dope_ros2.pipeline.recording_player import play
from helpers.fake_dope_node import Foretold
from helpers.node_client import answer, call, header, info, picture, set_parameter

pytestmark = pytest.mark.ros
pytest.importorskip("rosbags", reason="needs the Python package rosbags")
FAKE = Path(__file__).resolve().parents[3] / "helpers" / "fake_dope_node.py"
RECORD, DETECTIONS, IMAGES, INFO = (
    "/taped/dope/record",
    "/taped/dope/detections",
    "/taped/image_rect",
    "/taped/camera_info",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recordings") / "new"


@pytest.fixture(scope="module")
def taped(start, observer, folder):
    """A node that keeps a minute."""
    parameters = ["-p", f"record_folder:={folder}", "-p", "record_seconds:=60.0"]
    process = start(FAKE, "--ros-args", "-r", "__ns:=/taped", *parameters)
    observer.listen(Detection3DArray, DETECTIONS)
    return process


def record(observer):
    return call(observer, Trigger, RECORD, Trigger.Request())


def ask(observer, number, count=1):
    return answer(observer, picture(number, count=count), "/taped", answers=DETECTIONS)


def stamps(path, topic):
    return [read_seconds(msg.header.stamp) for _, _, msg in rosbag.messages(path, [topic])]


def again(path):
    return map(Comparison.of, play(path, read(path), Foretold()))


def test_before_anything_has_come_there_is_nothing_to_record(taped, observer, folder):
    response = record(observer)
    assert (response.success, folder.exists()) == (False, False)
    assert response.message == "nothing has come in the last 60 s that record_megabytes has room for"


def test_the_bag_has_what_came_in_and_went_out_and_a_replay_agrees(taped, observer, folder):
    sent = [answer(observer, picture(n, count=n % 3), "/taped", info(600.0 + n), DETECTIONS) for n in range(10, 20)]
    assert set_parameter(observer, "min_score", 0.8, "/taped/dope").successful
    sent += [ask(observer, n, 3) for n in range(20, 23)]
    response = record(observer)
    assert response.success, response.message
    path = Path(response.message)
    assert path.parent == folder
    assert path.name.startswith("dope_20")
    assert set(stamps(path, DETECTIONS)) == {header(n).stamp.sec + 7e-9 for n in range(10, 23)}
    assert set(stamps(path, IMAGES)) >= set(stamps(path, DETECTIONS))
    focal = [msg.p[0] for _, _, msg in rosbag.messages(path, [INFO])]
    assert set(focal) == {600.0 + n for n in (0, *range(10, 20))}
    assert yaml.safe_load((path / "dope.yaml").read_text())["/**"]["ros__parameters"]["min_score"] == 0.8
    recording = read(path)
    assert len(recording.answers) == len(observer.received[DETECTIONS]) >= len(sent)
    for comparison in again(path):
        assert comparison.recorded == comparison.now
        assert (comparison.differences <= (1e-9, 1e-6, 0)).all()


def test_the_recorded_parameters_start_a_node(start, observer, taped, folder):
    [path] = folder.iterdir()
    process = start(FAKE, "--ros-args", "-r", "__ns:=/twin", "--params-file", path / "dope.yaml")
    observer.until(lambda: process.count("looking for"), "the node to be active")
    assert process.terminate() == 0


def test_images_are_answered_while_a_recording_is_written(taped, observer):
    for number in range(100, 300):  # enough that writing takes a while
        observer.publish(picture(number), IMAGES)
        observer.spin(0.01)
    client = observer.node.create_client(Trigger, RECORD)
    received = observer.received[DETECTIONS]
    for number in range(400, 410):
        observer.spin(0.5)  # until what was under way has come
        before = len(received)
        future = client.call_async(Trigger.Request())
        observer.publish(picture(number), IMAGES)
        observer.until(future.done, "the response")
        assert future.result().success
        if len(received) > before:
            return
    raise AssertionError("no image was answered meanwhile")


def test_what_cannot_be_written_is_said_and_the_node_lives_on(taped, observer, folder, tmp_path):
    (tmp_path / "file").write_text("")
    assert set_parameter(observer, "record_folder", f"{tmp_path}/file/sub", "/taped/dope").successful
    response = record(observer)
    assert not response.success
    assert "file/sub: a recording cannot be written (Not a directory)" in response.message
    assert set_parameter(observer, "record_folder", str(folder), "/taped/dope").successful
    assert len(ask(observer, 500).detections) == 1
    assert record(observer).success


def test_new_weights_begin_a_new_recording(taped, observer):
    assert set_parameter(observer, "weights", "others", "/taped/dope").successful
    assert record(observer).message.startswith("nothing has come")
    ask(observer, 510)
    recording = read(Path(record(observer).message))
    assert (Path(recording.weights).name, recording.sha256) == ("others", "")


def test_it_can_be_switched_off(taped, observer):
    assert set_parameter(observer, "record_seconds", 0.0, "/taped/dope").successful
    ask(observer, 520)
    assert record(observer).message == "nothing is kept: set the parameter record_seconds, and wait for so long"
    assert set_parameter(observer, "record_seconds", 60.0, "/taped/dope").successful
    ask(observer, 521)
    assert len(read(Path(record(observer).message)).answers) >= 1  # the camera_info of before holds


def test_depth_that_served_is_recorded_and_serves_again(start, observer, tmp_path):
    options = ("depth:=depth", f"record_folder:={tmp_path}", "record_seconds:=60.0")
    start(FAKE, "--ros-args", "-r", "__ns:=/deep", *(part for text in options for part in ("-p", text)))
    observer.listen(Detection3DArray, "/deep/dope/detections")
    for number in range(10, 14):
        wall = np.full((48, 64), 0.53 + 0.01 * number - 0.1, np.float32)
        msg = Image(header=header(number), width=64, height=48, encoding="32FC1", step=256)
        msg.data.frombytes(wall.tobytes())
        observer.publish(msg, "/deep/depth")
        answer(observer, picture(number), "/deep", answers="/deep/dope/detections")
    response = call(observer, Trigger, "/deep/dope/record", Trigger.Request())
    assert response.success, response.message
    path = Path(response.message)
    recording = read(path)
    assert recording.cameras == {"/deep/image_rect": ("/deep/camera_info", "/deep/depth")}
    assert any(reply.depth for reply in recording.answers)
    assert len(recording.answers) == len(observer.received["/deep/dope/detections"])
    ranges = [
        d.pose.translation[2] for shown in play(Path(response.message), recording, Foretold()) for d in shown.found
    ]
    assert min(ranges) < 0.59  # the fake says 0.6
    assert all((comparison.differences <= (1e-9, 1e-6, 0)).all() for comparison in again(path))


def test_a_node_that_ends_meanwhile_finishes_its_recording(taped, observer, folder):
    for number in range(600, 700):
        observer.publish(picture(number), IMAGES)
        observer.spin(0.01)
    before = set(folder.iterdir())
    observer.node.create_client(Trigger, RECORD).call_async(Trigger.Request())
    observer.until(lambda: len(list(folder.iterdir())) > len(before), "the beginning")
    assert taped.terminate() == 0
    assert "Traceback" not in taped.output
    [path] = set(folder.iterdir()) - before
    assert all(comparison.agrees for comparison in again(path))


def test_without_rosbags_the_log_and_the_service_say_at_once_what_to_install(start, observer, tmp_path):
    script = tmp_path / "without.py"
    hide = "sys.modules |= {'rosbags': None, 'rosbags.typesys': None}"
    script.write_text(f"import runpy, sys\n{hide}\nrunpy.run_path({str(FAKE)!r}, run_name='__main__')\n")
    process = start(script, "--ros-args", "-r", "__ns:=/bare", "-p", f"record_folder:={tmp_path / 'new'}")
    answered = call(observer, Trigger, "/bare/dope/record", Trigger.Request())
    assert not answered.success
    assert "pip install rosbags" in answered.message
    assert "~/record will not work: bags are written with the Python package rosbags; pip install" in process.output
