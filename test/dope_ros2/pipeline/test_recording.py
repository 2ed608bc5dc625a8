"""A recording holds everything that it takes to do the same again, or does not exist."""

import json
import resource
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml
from rosbags.highlevel import AnyReader

from dope_ros2.common.errors import UserError
from dope_ros2.estimation.object_crops import ObjectRegion
from dope_ros2.estimation.settings import Settings
from dope_ros2.io.rosbag import Bag
from dope_ros2.pipeline.recording import read
from dope_ros2.pipeline.request import Request, Roi
from dope_ros2.tracking.tracker import Memory, Smoothing, Tracker
from helpers.node_recording import CARTON, DETECTIONS, INFO, TOPIC, Shaky, pictures, record

PLACES = (ObjectRegion("soup", 12.5, 3.0, 8.25),)
REQUEST = Request(Settings(objects=("carton", "soup")), Roi(1, 2, 30, 20), Smoothing(0.7, at_rest=True), False, PLACES)
PLAIN = Request(Settings())


def shown(count=4, request=REQUEST):
    return [(rgb, request) for rgb in pictures(count)]


def same(one, other):
    """Whether two dataclasses are equal to the last bit."""
    if hasattr(one, "__dataclass_fields__"):
        return type(one) is type(other) and all(same(value, vars(other)[key]) for key, value in vars(one).items())
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    return np.array_equal(one, other)


def test_what_is_written_is_read(tmp_path):
    path = record(tmp_path, Shaky(), [*shown(3), *shown(2, PLAIN)], lost=2, forget=(4,), weights=("w", "12ab"))
    recording = read(path)
    assert (recording.weights, recording.sha256, recording.cameras) == ("w", "12ab", {TOPIC: (INFO, None)})
    assert recording.models == [*Shaky.models]
    assert [answer.request for answer in recording.answers] == [REQUEST, PLAIN, PLAIN]
    first, second, third = (answer.before for answer in recording.answers)
    assert second is None
    assert same(third, Memory())
    assert len(first.tracks) == 3
    assert yaml.safe_load((path / "dope.yaml").read_text())["/**"]["ros__parameters"]["min_score"] == 0.3


def test_recordings_with_settings_that_are_no_more_are_read(tmp_path):
    path = record(tmp_path, Shaky(), shown(1))
    file = path / "recording.json"
    entry = json.loads(file.read_text())
    [request] = (answer["request"] for answer in entry["answers"])
    assert request["places"] == [["soup", 12.5, 3.0, 8.25]]  # as ever
    request["settings"]["coarsely"] = 1.0
    file.write_text(json.dumps(entry))
    assert [answer.request for answer in read(path).answers] == [REQUEST]


def test_recordings_of_before_coasted_below_min_score(tmp_path):
    path = record(tmp_path, Shaky(), shown(1))
    assert not read(path).answers[0].request.coast_below_min_score
    file = path / "recording.json"
    entry = json.loads(file.read_text())
    del entry["answers"][0]["request"]["coast_below_min_score"]
    file.write_text(json.dumps(entry))
    assert read(path).answers[0].request.coast_below_min_score


def test_tracks_are_read_to_the_last_bit(tmp_path):
    path = record(tmp_path, Shaky(), shown(9), lost=8)
    tracker = Tracker(Shaky.models)
    part = np.zeros((20, 30, 3), np.uint8)
    for n, (rgb, request) in enumerate(shown(8)):
        part[:] = rgb[0, 0]
        tracker(Shaky()(part, None, request.settings), 1000 + 1e-9 * (n * 10**8), request.smoothing)
    [answer] = read(path).answers
    assert answer.before.now == tracker.memory().now
    for read_, kept in zip(answer.before.tracks, tracker.memory().tracks, strict=True):
        assert same(replace(read_, last=None, expected=None), replace(kept, last=None, expected=None))
        assert (read_.last.model, read_.last.score) == (kept.last.model, kept.last.score)


def test_the_bag_is_a_plain_one(tmp_path):
    path = record(tmp_path, Shaky(), shown())
    bag = Bag(path)
    assert (bag.topic, bag.info_topic, bag.count) == (TOPIC, INFO, 4)
    np.testing.assert_array_equal([shot.rgb for shot in bag], pictures(4))
    with AnyReader([path]) as reader:  # without a typestore: the bag explains its types
        [connection] = [c for c in reader.connections if c.topic == DETECTIONS]
        found = [reader.deserialize(raw, connection.msgtype) for _, _, raw in reader.messages([connection])]
    assert sorted(d.id for d in found[-1].detections) == ["carton_0", "carton_1", "soup_0"]


def test_a_name_that_is_taken_gets_a_number(tmp_path):
    names = [record(tmp_path, Shaky(), shown(1)).name for _ in range(3)]
    assert names == ["dope", "dope-2", "dope-3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names  # and nothing else is left


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"a recording cannot be written \(File too large\); set record_folder"):
            record(tmp_path / "new", Shaky(), [(noise, PLAIN)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/sub: a recording cannot be written \(Not a directory\)"):
        record(tmp_path / "file" / "sub", Shaky(), shown(1))


def test_without_rosbags_the_package_to_install_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rosbags.typesys", None)
    with pytest.raises(UserError, match="pip install rosbags"):
        record(tmp_path, Shaky(), shown(1))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_recording_or_damaged_is_said(tmp_path):
    path = record(tmp_path, Shaky(), shown(2))
    with pytest.raises(UserError, match="no recording of the node's service ~/record"):
        read(tmp_path)
    file = path / "recording.json"
    entry = json.loads(file.read_text())
    for wrong, text in (
        ({"answers": [{}]}, r"recording\.json: damaged"),
        ({"more": 1}, r"recording\.json: damaged"),
        ({"schema": "dope-recording/9"}, "is 'dope-recording/9', this version .* reads 'dope-recording/1'"),
        ({"objects": {CARTON.name: {"class_id": 1}}}, "carton: the key 'size' is missing"),
    ):
        file.write_text(json.dumps({**entry, **wrong}))
        with pytest.raises(UserError, match=text):
            read(path)
    file.write_text("{")
    with pytest.raises(UserError, match=r"recording\.json: damaged"):
        read(path)
