import json
from importlib.util import find_spec

import cv2
import numpy as np
import pytest

from dope_ros2.benchmarks.stages import main

ENGINES = [name for name in ("openvino", "onnxruntime") if find_spec(name)]


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8))
    return path


def test_each_stage_of_each_engine_is_told(picture, tmp_path, capsys):
    options = [text for name in ["torch", *ENGINES] for text in ("--engine", name)]
    assert main([str(picture), *options, "--images", "3", "--out", str(tmp_path / "b.json")]) == 0
    kept = json.loads((tmp_path / "b.json").read_text())
    assert [name.split()[0] for name in kept] == ["torch", *ENGINES]
    for figures in kept.values():
        assert {"preprocess", "network", "decode", "total"} <= figures.keys()
        assert all(len(values) == 3 for values in figures.values())
        assert np.all(np.array(figures["network"]) < np.array(figures["total"]))
    assert capsys.readouterr().out.count("images/s") == len(kept)


def test_a_picture_that_is_not_there_is_told(capsys):
    assert main(["nowhere.png"]) == 2
    assert "nowhere.png" in capsys.readouterr().err
