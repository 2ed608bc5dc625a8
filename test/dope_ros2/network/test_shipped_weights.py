"""The weights file of the package: its record, and what it finds in real photographs."""

import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors import safe_open

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.io.bop import read_scene
from dope_ros2.network.weights import load, match_objects, read_appearances, sha256
from dope_ros2.objects.object_model import load_objects
from dope_ros2.refinement.drawing.appearances import load_appearances
from dope_training.config import OLD_KEYS, load_config

REPO = Path(__file__).resolve().parents[3]
WEIGHTS = REPO / "weights" / "dope-lite.safetensors"
FRAMES = Path(os.environ.get("DOPE_DATA", "")) / "real_dev" / "000001"


def test_the_file_is_small_and_says_how_it_was_trained():
    assert WEIGHTS.stat().st_size <= 16 * 2**20
    _, metadata = load(WEIGHTS)
    names = [trained.name for trained in metadata.objects]
    assert names == ["carton", "cracker", "sugar", "soup", "mustard", "gelatin", "meat"]
    recipe = load_config(REPO / "config" / "train" / "dope-lite-fine.yaml", {})
    training = {OLD_KEYS.get(key, key): value for key, value in metadata.training.items()}
    assert recipe.model_dump(mode="json", exclude_unset=True).items() <= training.items()
    common = recipe.model_dump(mode="json", include=training.keys())  # keys that came later have defaults
    assert common.items() <= training.items()
    assert len(common) >= 15


def test_every_object_has_an_appearance_of_at_most_400_kb_of_its_size():
    objects = load_objects()
    without_meshes = [replace(model, mesh=None) for model in match_objects(WEIGHTS, load(WEIGHTS)[1], objects)]
    found = load_appearances(WEIGHTS, without_meshes)
    assert found.notes == []
    assert [*found] == [model.name for model in without_meshes]
    assert max(sum(a.nbytes for a in arrays.values()) for arrays in read_appearances(WEIGHTS).values()) <= 400_000


def test_what_the_file_says_of_itself_would_be_written_again_as_it_stands():
    with safe_open(WEIGHTS, "pt") as file:
        assert load(WEIGHTS)[1].to_json() == file.metadata()["dope"]


def test_the_checksum_and_the_card_are_those_of_the_file():
    sums = dict(line.split()[::-1] for line in (WEIGHTS.parent / "SHA256SUMS").read_text().splitlines())
    assert sums == {path.name: sha256(path) for path in WEIGHTS.parent.glob("*.safetensors")}
    card, (_, metadata) = WEIGHTS.with_suffix(".md").read_text(), load(WEIGHTS)
    assert f"Covariances are {metadata.score_model.covariance_scale:.3g} times" in card
    assert all(f"| {trained.name} |" in card for trained in metadata.objects)


@pytest.mark.data
@pytest.mark.skipif(
    not (os.environ.get("DOPE_DATA") and FRAMES.is_dir()), reason="needs real_dev/000001 in the folder $DOPE_DATA"
)
def test_boxes_are_found_in_real_photographs_and_nothing_else():
    objects = load_objects()
    estimator = Estimator.load(WEIGHTS, objects, "cpu", "torch")  # what bfloat16 makes of it depends on the machine
    by_id = {model.class_id: model for model in estimator.models}
    right, stray = 0, []
    for frame in read_scene(FRAMES):
        image = cv2.cvtColor(cv2.imread(str(frame.path)), cv2.COLOR_BGR2RGB)
        camera = frame.camera(image.shape[1], image.shape[0])
        truths = [truth for truth in frame.truth if truth.obj_id in by_id]
        centres = np.array([camera.project(t.pose.apply(by_id[t.obj_id].centre)) for t in truths])
        for found in estimator(image, camera):
            centre = camera.project(found.pose.apply(found.model.centre))
            off = np.linalg.norm(centres - centre, axis=1)
            same = [k for k, truth in enumerate(truths) if truth.obj_id == found.model.class_id]
            nearest = min(same, key=lambda k: off[k])
            turned = np.rad2deg(truths[nearest].pose.angle_to(found.pose))
            farther = found.pose.apply(found.model.centre)[2] / truths[nearest].pose.apply(found.model.centre)[2] - 1
            right += off[nearest] <= 10 and turned <= 10 and abs(farther) <= 0.06
            if off[nearest] > 40:
                stray.append((frame.path.name, found.model.name, centre))
    assert right >= 10  # of fifteen: both boxes in all five frames, not the bottle behind them
    assert stray == []
