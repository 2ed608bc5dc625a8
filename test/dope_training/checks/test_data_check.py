"""What keeps a training from learning is found before it begins."""

import os
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from dope_datagen.dataset import shards
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import load_objects
from dope_training.checks.crop_sheets import TILE, directions, heat, save_sheets, strip
from dope_training.checks.data_check import preflight, ready
from dope_training.checks.label_check import mask_middles
from dope_training.commands.train import main
from dope_training.config import TrainConfig
from dope_training.data.crops import crops_of
from dope_training.data.split import TrainingStore
from helpers import painted_store

CONFIG = TrainConfig(objects=["carton"], crop=96)
RECIPE = "objects: [carton]\ncrop: 96\nbatch_size: 4\nsteps: 1\nwarmup: 1\nprecision: 32-true\n"


def looked_at(path, config=CONFIG, models=(painted_store.CARTON,)):
    return preflight(config, [TrainingStore(path)], list(models))


def refusal(tmp_path, change):
    """The one reason why a store of images so changed is refused."""
    report = looked_at(painted_store.make(tmp_path / "store", change=lambda number, sample: change(sample)))
    assert len(report.refusals) == 1
    return report.refusals[0]


def test_a_sound_store_passes_and_its_figures_are_those_of_the_pictures(tmp_path, capsys):
    path = painted_store.make(tmp_path / "store")
    report = looked_at(path)
    (carton,) = report.classes
    assert report.refusals == []
    assert carton.share > 0.85
    assert 0.38 < carton.distance[0] < carton.distance[2] < 0.53
    assert 30 < carton.size[1] < 96
    ready(CONFIG, [TrainingStore(path)], [painted_store.CARTON])
    assert "preflight passed" in capsys.readouterr().out


def test_corners_in_another_order_are_named(tmp_path):
    order = [1, 0, 2, 3, 4, 5, 6, 7, 8]
    reason = refusal(tmp_path, lambda s: painted_store.relabelled(s, keypoints=s.objects[0].keypoints[order]))
    assert "39 of 39 labels are wrong" in reason
    assert "it fits the corners in another order: 1, 0, 2" in reason


@pytest.mark.parametrize(("factor", "unit"), [(100, "centimetres"), (1000, "millimetres")])
def test_another_unit_is_named(tmp_path, factor, unit):
    def change(sample):
        pose = sample.objects[0].pose
        return painted_store.relabelled(sample, pose=Pose(pose.rotation, factor * pose.translation))

    assert f"it fits a pose in {unit}" in refusal(tmp_path, change)


def test_intrinsics_of_another_resolution_are_found_and_the_right_ones_named(tmp_path):
    doubled = CameraModel(painted_store.CAMERA.K * [[2], [2], [1]], painted_store.WIDTH, painted_store.HEIGHT)
    reason = refusal(tmp_path, lambda s: replace(s, camera=doubled))
    assert (
        "it fits the intrinsics fx, fy, cx, cy = 200.0, 200.0, 79.5, 59.5 instead of 400.0, 400.0, 159.0, 119.0"
        in reason
    )


def test_a_principal_point_far_from_the_middle_is_a_warning(tmp_path):
    doubled = CameraModel(painted_store.CAMERA.K * [[2], [2], [1]], painted_store.WIDTH, painted_store.HEIGHT)
    report = looked_at(painted_store.make(tmp_path / "store", change=lambda n, s: replace(s, camera=doubled)))
    assert any("go with images of 319x239" in line for line in report.warnings)


def test_labels_of_other_pictures_are_found_by_their_masks(tmp_path):
    mask = np.zeros((painted_store.HEIGHT, painted_store.WIDTH), np.uint8)
    mask[:9, :9] = 1
    report = looked_at(painted_store.make(tmp_path / "store", change=lambda n, s: replace(s, mask=mask)))
    assert "beside its projected cuboid" in report.refusals[0]


def test_labels_with_their_masks_of_other_pictures_are_found_by_edges(tmp_path):
    def change(number, sample):
        return replace(sample, rgb=painted_store.picture((number * 7 + 3) % 60).rgb)

    (reason,) = looked_at(painted_store.make(tmp_path / "store", 60, change=change)).refusals
    assert "of its masks lie on edges of the images" in reason


def test_a_few_wrong_labels_are_a_warning(tmp_path):
    def change(number, sample):
        return sample if number != 5 else painted_store.relabelled(sample, keypoints=sample.objects[0].keypoints + 9)

    report = looked_at(painted_store.make(tmp_path / "store", change=change))
    assert report.refusals == []
    assert any("1 of 39 labels are wrong; the first: image 5" in line for line in report.warnings)


def test_a_class_that_is_not_there_is_refused_with_the_nearest_name(tmp_path):
    other = replace(painted_store.CARTON, name="cartons")
    path = painted_store.make(
        tmp_path / "store", models=[other], of=lambda number: painted_store.picture(number, other)
    )
    with pytest.raises(UserError, match=f"{path}: no image of 'carton' in it; did you mean 'cartons'"):
        ready(CONFIG, [TrainingStore(path)], [painted_store.CARTON])


def test_a_class_among_the_records_that_no_picture_shows_is_refused(tmp_path):
    mustard = load_objects()["mustard"]
    path = painted_store.make(tmp_path / "store", models=[painted_store.CARTON, mustard])
    config = TrainConfig(objects=["carton", "mustard"], crop=96)
    assert "no image of 'mustard'" in looked_at(path, config, [painted_store.CARTON, mustard]).refusals[0]


def test_a_class_may_be_in_one_of_two_stores(tmp_path):
    mustard = load_objects()["mustard"]
    first = painted_store.make(tmp_path / "first")
    second = painted_store.make(tmp_path / "second", models=[mustard], of=lambda n: painted_store.picture(n, mustard))
    config = TrainConfig(objects=["carton", "mustard"], crop=96)
    report = preflight(config, [TrainingStore(first, 3), TrainingStore(second)], [painted_store.CARTON, mustard])
    assert report.refusals == []
    assert report.classes[0].share == pytest.approx(
        0.75, abs=0.05
    )  # of an epoch, in which the first weighs three times
    assert report.classes[1].share == pytest.approx(0.25, abs=0.05)


def test_a_difference_in_case_is_said(tmp_path):
    other = replace(painted_store.CARTON, name="Carton")
    report = looked_at(
        painted_store.make(tmp_path / "store", models=[other], of=lambda n: painted_store.picture(n, other))
    )
    assert report.refusals == []
    assert any("'Carton' is taken for 'carton'; only the case differs" in line for line in report.warnings)
    assert report.classes[0].share > 0.85


@pytest.mark.parametrize(("every", "refused"), [(200, True), (15, False), (2, None)])
def test_a_scarce_class_is_refused_and_a_rare_one_warned_of(tmp_path, every, refused):
    def change(number, sample):
        return sample if number % every == 1 else replace(sample, objects=[], mask=np.zeros_like(sample.mask))

    report = looked_at(
        painted_store.make(tmp_path / "store", 200, change=change, of=lambda n: painted_store.picture(n % every))
    )
    lines = {True: report.refusals, False: report.warnings, None: []}[refused]
    assert any("of the crops show it" in line for line in lines) == (refused is not None)
    assert bool(report.refusals) == bool(refused)


def test_an_object_too_small_for_the_maps_is_refused_with_both_figures(tmp_path):
    def far(number):
        sample = painted_store.picture(number)
        pose = Pose(sample.objects[0].pose.rotation, np.array([0, 0, 4.0]))
        keypoints = painted_store.CAMERA.project(pose.apply(painted_store.CARTON.keypoints))
        mask = cv2.fillConvexPoly(np.zeros_like(sample.mask), cv2.convexHull(np.round(keypoints).astype(np.int32)), 1)
        count = int(mask.sum())
        label = {"pose": pose, "keypoints": keypoints, "px_visible": count, "px_all": count}
        rgb = np.where(mask[..., None] > 0, np.uint8(220), np.uint8(60)).repeat(3, -1)
        return replace(painted_store.relabelled(sample, **label), mask=mask, rgb=rgb)

    (reason,) = looked_at(painted_store.make(tmp_path / "store", of=far)).refusals
    assert "less than 3 cells of 8 px (24 px)" in reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (0.16, 0.13, 0.06)}, r"its size is \[0.16, 0.13, 0.06\] m there and \[0.16, 0.11, 0.06\] m in"),
        ({"size": (0.0016, 0.0011, 0.0006)}, "centimetres here"),
        ({"centre": (0.0, 0.0, 0.03)}, "its centre is"),
    ],
)
def test_a_store_of_another_object_list_is_refused(tmp_path, change, message):
    path = painted_store.make(tmp_path / "store", 4, [replace(painted_store.CARTON, **change)])
    with pytest.raises(UserError, match=message):
        ready(CONFIG, [TrainingStore(path)], [painted_store.CARTON])


def test_a_store_that_cannot_be_read_is_refused_in_the_process_itself(tmp_path):
    path = painted_store.make(tmp_path / "store")
    os.truncate(shards.chunk_file(path / "mask", 0), 100)
    with pytest.raises(UserError, match="cannot be read, more than 10%"):
        ready(CONFIG, [TrainingStore(path)], [painted_store.CARTON])


def test_it_takes_seconds_on_a_large_store(tmp_path):
    path = painted_store.make(tmp_path / "store", 600, of=lambda number: painted_store.picture(number % 8))
    since = time.process_time()
    assert looked_at(path).pictures == 400
    assert time.process_time() - since < 10


def test_the_middle_of_a_mask_is_that_of_its_pixels():
    mask = np.zeros((20, 30), np.uint8)
    mask[4:9, 10:13] = 2
    middles = mask_middles(mask, 2)
    assert np.isnan(middles[0]).all()
    np.testing.assert_allclose(middles[1], [11, 6])


def test_a_sheet_has_the_cuboid_and_the_maps_where_the_object_is(tmp_path):
    path = painted_store.make(tmp_path / "store")
    crops = crops_of([path], CONFIG, training=True)
    batch = next(
        b
        for b in (crops[0, index] for index in range(len(crops)))
        if ((b.keypoints[0, 0] > 8) & (b.keypoints[0, 0] < 70)).all() and b.visibility[0, 0] > 0.9
    )
    picture = strip(batch, [replace(painted_store.CARTON, color=(1, 255, 2))], CONFIG.map_spec)
    side = picture.shape[1] // 3
    factor = side // 96
    assert picture.shape[0] == side >= TILE
    points = (batch.keypoints[0, 0].numpy() + 0.5) * factor - 0.5
    for corner in points[:8]:
        x, y = np.round(corner).astype(int)
        np.testing.assert_allclose(picture[y, x], [1, 255, 2], atol=40)
        assert picture[y, side + x].max() > 200  # a peak of the beliefs
        assert picture[y, 2 * side + x].max() > 200  # a vote
    places = np.indices((side, side))[:, ::7, ::7].reshape(2, -1).T
    away = places[np.linalg.norm(places[:, None] - points, axis=-1).min(1) > 6 * 8 * factor]
    assert len(away) > 20
    assert all(picture[y, side + x].max() < 120 for x, y in away)


def test_heat_grows_with_belief_and_hue_turns_with_the_vote():
    colors = heat(np.array([[0.0, 0.5, 1.0]])).astype(int).sum(-1)[0]
    assert 0 == colors[0] < colors[1] < colors[2]
    votes = np.zeros((1, 16, 1, 3), np.float32)
    votes[0, 0, 0, 0], votes[0, 1, 0, 1] = 1, 1  # to the right, downwards, none
    right, down, none = directions(votes)[0].astype(int)
    assert right[0] == right.max() > right[1]  # red
    assert down[1] == down.max() > down[2]  # green
    assert none.max() == 0


def test_one_sheet_is_written_for_each_store(tmp_path):
    stores = [painted_store.make(tmp_path / name) for name in ("a", "b")]
    lines = save_sheets(CONFIG, stores, [painted_store.CARTON], tmp_path / "sheets")
    assert sorted(p.name for p in (tmp_path / "sheets").iterdir()) == ["0-a.jpg", "1-b.jpg"]
    assert all(cv2.imread(line.split(": ")[0]).shape[0] > 4 * TILE for line in lines)


def test_check_only_looks_and_stops(tmp_path, capsys):
    path = painted_store.make(tmp_path / "store")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    sheets = tmp_path / "sheets"
    assert main([str(recipe), "--data", f"{path}=2", "--check-only", "--save", str(sheets)]) == 0
    assert "preflight passed" in capsys.readouterr().out
    assert (sheets / "0-store.jpg").is_file()
    for arguments, missing in ([[], "--data"], [["--data", str(path)], "--out"]):
        assert main([str(recipe), *arguments]) == 2
        assert f"{missing} is missing" in capsys.readouterr().err
