"""The benchmark of the renderers, on images so small that it takes seconds; its figures mean nothing here."""

import json

import numpy as np
import pytest

from dope_datagen.benchmarks import renderers
from dope_datagen.scenes.config import parse_config

pytest.importorskip("mitsuba")
SMALL = {
    "objects": {"carton": 1},
    "pybullet_meshes": False,
    "nb_objects": [2, 3],
    "nb_distractors": [2, 3],
    "variety": 2,
    "width": 160,
    "height": 120,
    "focal": [140, 160],
}


def test_psnr_of_a_known_noise():
    grey = np.full((100, 100, 3), 100, np.uint8)
    assert renderers.psnr(grey, grey + np.uint8(255 // 15)) == pytest.approx(20 * np.log10(15), abs=0.01)


def test_only_what_is_large_enough_is_compared():
    ids = np.zeros((60, 60), np.uint8)
    ids[:30, :30], ids[40:50, 40:50] = 1, 2
    shifted = np.roll(ids, 3, axis=1)

    class Shown:
        def __init__(self, ids):
            self.ids = ids

    [iou] = renderers.overlaps(Shown(ids), Shown(shifted), 3)
    assert iou == pytest.approx(27 / 33)


@pytest.mark.benchmark
@pytest.mark.render
def test_the_short_benchmark_writes_all_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        renderers,
        "crowded",
        lambda renderer, **changes: parse_config({"renderer": renderer, **SMALL, **changes}, "test"),
    )
    monkeypatch.setattr(renderers, "TRUTH_SAMPLES", 64)
    monkeypatch.setattr(renderers, "cores", lambda: 1)  # each process makes the path tracer's program anew
    out = tmp_path / "figures.json"
    assert renderers.main(["--short", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert json.loads(capsys.readouterr().out) == figures
    for renderer in ("path", "raster"):
        assert figures[renderer]["images_per_second"] > 0
        stages = figures[renderer]["stages"]
        assert {"arrange", "label", "label: alone", "store"} <= stages.keys()
        assert 0 < sum(stages.values()) < 1
        assert 0.9 < figures[f"memory_growth_{renderer}"] < 2
    assert min(figures["path_psnr_db"]) > 20
    assert figures["agreement"]["worst_iou"] > 0.97
    assert figures["agreement"]["depth_error_p99"] < 0.005
