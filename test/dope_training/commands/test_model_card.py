"""`dope card`: what it says of weights, and the checksums."""

import hashlib
import json
import subprocess
from dataclasses import replace

import pytest

from dope_ros2.network.architectures import make_network
from dope_ros2.network.calibration import ScoreModel
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import load, save, sha256
from dope_ros2.objects.object_model import load_objects
from dope_training.commands.model_card import main
from dope_training.evaluation.pose_errors import FoundRow, TruthRow
from dope_training.evaluation.report import SCHEMA
from dope_training.evaluation.summary import by_visibility, summary

CARTON = load_objects()["carton"]


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "boxes.safetensors"
    trained = TrainedObject(name="carton", size=CARTON.size, centre=CARTON.centre)
    made = {"steps": 1200, "crop": 160}
    save(path, make_network("dope-lite", 1), Metadata(architecture="dope-lite", objects=(trained,), training=made))
    return path


def report(path, **labels):
    """A report on runs, by label; the values are their checksums."""
    truths = [
        TruthRow(0, "carton", v, 0.8, right=r, translation=0.01, rotation=2.0) for v, r in ((0.9, True), (0.7, False))
    ]
    truths[0].detection = 0
    found = [FoundRow(0, "carton", 0.9, 0.8, right=True, visibility=0.9)]
    figures = summary(truths, found, 1, 0.5)
    run = {"overall": figures, "classes": {"carton": figures}, "by_visibility": by_visibility(truths, 1)}
    content = {"schema": SCHEMA, "data": "shelf", "pictures": 1, "min_visibility": 0.5, "settings": {"min_score": 0.5}}
    runs = [{"label": label, "sha256": digest} | run for label, digest in labels.items()]
    path.write_text(json.dumps(content | {"runs": runs}))
    return path


def test_the_card_has_the_recipe_the_figures_and_the_notes(weights, tmp_path, capsys):
    notes = tmp_path / "notes.md"
    notes.write_text("The scans are CC BY 4.0.\n")
    figures = report(tmp_path / "report.json", others="00", these=sha256(weights))
    assert main(["--weights", str(weights), "--report", str(figures), "--notes", str(notes)]) == 0
    card = tmp_path / "boxes.md"
    assert capsys.readouterr().out.split() == [str(card), str(tmp_path / "SHA256SUMS")]
    text = card.read_text()
    assert "| appearance | of no object |" in text
    for said in ("| carton | 0.16 x 0.11 x 0.06 |", "steps: 1200", "CC BY 4.0", "## On shelf", "not measured"):
        assert said in text
    [line] = [line for line in text.splitlines() if line.startswith("| carton | 2 |")]
    assert line.split(" | ")[2:4] == ["0.500", "1.000"]  # recall, precision
    assert "None" not in text
    assert "nan" not in text


def test_measured_trust_is_told(weights):
    network, metadata = load(weights)
    objects = (replace(metadata.objects[0], distance_bias=-0.003),)
    save(weights, network, replace(metadata, objects=objects, score_model=ScoreModel(bias=1.0, sigma_scale=1.5)))
    assert main(["--weights", str(weights)]) == 0
    text = weights.with_suffix(".md").read_text()
    assert "2.25 times those of independent errors" in text
    assert "bias of carton -0.3%" in text


def test_checksums_are_kept_for_every_file_and_renewed(weights, tmp_path):
    other = tmp_path / "others.safetensors"
    other.write_bytes(weights.read_bytes())
    assert main(["--weights", str(other)]) == main(["--weights", str(weights)]) == 0
    network, metadata = load(weights)
    save(weights, network, replace(metadata, licence="MIT"))
    assert main(["--weights", str(weights)]) == 0
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert lines == [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in (weights, other)]
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "not readable"), ("{}", "no dope-evaluation/1"), (None, "is about boxes, and none of them is")],
)
def test_reports_about_something_else_are_refused(weights, tmp_path, capsys, content, said):
    path = report(tmp_path / "report.json", boxes="00")
    if content is not None:
        path.write_text(content)
    assert main(["--weights", str(weights), "--report", str(path)]) == 2
    assert said in capsys.readouterr().err
    assert not weights.with_suffix(".md").exists()


def test_notes_that_cannot_be_read_are_named(weights, tmp_path, capsys):
    (tmp_path / "latin.md").write_bytes("Maß".encode("latin-1"))
    for name in ("none.md", "latin.md"):
        assert main(["--weights", str(weights), "--notes", str(tmp_path / name)]) == 2
        assert f"{name}: not readable" in capsys.readouterr().err


def test_sums_of_other_tools_are_kept(weights, tmp_path):
    (tmp_path / "SHA256SUMS").write_text("0" * 64 + " *other.bin\n")
    assert main(["--weights", str(weights)]) == 0
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    assert lines == [f"{sha256(weights)}  boxes.safetensors", "0" * 64 + "  other.bin"]
