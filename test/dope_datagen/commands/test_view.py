"""`dope view`: what the viewer rerun is sent, and what happens where it cannot be opened."""

import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dope_datagen.commands import view
from dope_ros2.visualization.viewer.rerun_process import DISPLAYS
from helpers.handmade_stores import HEIGHT, WIDTH, make, picture

HELD = ["/", "/camera", "/camera/corners", "/camera/depth", "/camera/mask", "/camera/rgb", "/objects"]


@pytest.fixture
def data(tmp_path):
    return make(tmp_path / "data", 4)


@pytest.fixture
def no_display(monkeypatch):
    for name in DISPLAYS:
        monkeypatch.delenv(name, raising=False)


def fake(monkeypatch, spawn):
    monkeypatch.setitem(sys.modules, "rerun", SimpleNamespace(init=lambda name: None, spawn=spawn))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
def test_without_a_display_the_viewer_is_not_started(data, no_display, monkeypatch, capsys):
    fake(monkeypatch, spawn=lambda: pytest.fail("started"))
    assert view.main([str(data)]) == 2
    error = capsys.readouterr().err
    assert "there is no display here (DISPLAY, WAYLAND_DISPLAY, WAYLAND_SOCKET are not set); give --save" in error


def test_a_viewer_that_does_not_start_is_one_line(data, monkeypatch, capsys):
    def spawn():
        raise RuntimeError("no viewer in PATH.\n\nmany lines about it")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", "")
    fake(monkeypatch, spawn)
    assert view.main([str(data)]) == 2
    error = capsys.readouterr().err.strip()
    assert "the viewer rerun does not start (no viewer in PATH.); give --save FILE.rrd" in error
    assert "\n" not in error


def test_the_viewer_beside_the_interpreter_is_found(data, monkeypatch):
    seen = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", "elsewhere")
    fake(monkeypatch, spawn=lambda: seen.append(view.os.environ["PATH"]) or (_ for _ in ()).throw(RuntimeError("x")))
    assert view.main([str(data)]) == 2
    assert seen == [f"{sysconfig.get_path('scripts')}{view.os.pathsep}elsewhere"]


def chunks(path):
    """What a recording holds: columns by name, by entity."""
    reader = pytest.importorskip("rerun.chunk")
    stored = {}
    for chunk in reader.RrdReader(path).stream().to_chunks():
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            if name == "picture" or ":" in name:  # not the times of writing
                rows = stored.setdefault(chunk.entity_path, {}).setdefault(name, [])
                rows.extend(batch.column(name).to_pylist())
    return {path: columns for path, columns in stored.items() if not path.startswith("/__")}


@pytest.fixture
def recording(data, tmp_path, no_display):
    """Written by a process of its own, as a user does it: rerun keeps state in its process."""
    pytest.importorskip("rerun")
    out = tmp_path / "new" / "out.rrd"
    command = [sys.executable, "-m", "dope_ros2.cli", "view", str(data), "--save", str(out), "--count", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert [file.name for file in out.parent.iterdir()] == ["out.rrd"]
    return out


def test_a_recording_holds_every_picture_with_all_that_belongs_to_it(recording):
    stored = chunks(recording)
    assert sorted(stored) == HELD
    for path in HELD[1:]:
        assert stored[path]["picture"] == [0, 1, 2], path


def test_a_recording_has_our_cameras_corners_and_boxes_with_pixel_centres_at_halves(recording):
    stored, samples = chunks(recording), [picture(n) for n in range(3)]
    for n, sample in enumerate(samples):
        label = sample.objects[0]
        K = np.reshape(stored["/camera"]["Pinhole:image_from_camera"][n], (3, 3)).T
        np.testing.assert_allclose(K, np.add(sample.camera.K, [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]), atol=1e-3)
        assert stored["/camera"]["Pinhole:resolution"][n] == [[WIDTH, HEIGHT]]
        corners = np.array(stored["/camera/corners"]["Points2D:positions"][n])
        np.testing.assert_allclose(corners, label.keypoints + 0.5, atol=2e-3)
        np.testing.assert_allclose(stored["/objects"]["Boxes3D:centers"][n], [label.pose.translation], atol=1e-5)


def test_a_recording_that_cannot_be_written_is_one_line(data, tmp_path, capsys):
    pytest.importorskip("rerun")
    (tmp_path / "file").write_text("")
    assert view.main([str(data), "--save", str(Path(tmp_path) / "file" / "out.rrd")]) == 2
    assert "cannot be written" in capsys.readouterr().err
