import json

import numpy as np
import pytest

from dope_datagen.dataset.labels import label
from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.sampler import Sampler
from dope_datagen.scenes.scene import Scene
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.objects.object_model import load_objects

OBJECTS = load_objects()


@pytest.fixture(scope="module")
def sampler(assets):
    placed = {"modes": {"float": 6, "stand": 4}, "nb_frames": 1, "empty": 0.05}
    counts = {"nb_objects": (1, 6), "nb_distractors": (3, 18)}
    return Sampler(DatagenConfig(objects={"carton": 1}, variety=3, **placed, **counts), assets)


@pytest.fixture(scope="module")
def many(sampler):
    return [sampler.scene(5, number) for number in range(200)]


def keypoints(scene: Scene) -> list[np.ndarray]:
    camera: CameraModel = scene.camera
    return [camera.project(body.pose.apply(OBJECTS[body.name].keypoints)) for body in scene.targets]


def test_a_scene_depends_on_seed_and_number_alone(sampler, assets):
    fresh = Sampler(sampler.config, assets)
    fresh.scene(5, 1)
    assert fresh.scene(5, 7) == sampler.scene(5, 7)
    assert sampler.scene(5, 7) != sampler.scene(5, 8)
    assert sampler.scene(5, 7) != sampler.scene(6, 7)


def test_a_scene_survives_json(sampler):
    for number in range(5):
        scene = sampler.scene(1, number)
        assert Scene.from_dict(json.loads(json.dumps(scene.to_dict()))) == scene


def test_all_keypoints_lie_in_front_of_the_camera(many):
    for scene in many:
        for body in scene.targets:
            assert body.pose.apply(OBJECTS[body.name].keypoints)[:, 2].min() > 0.05


def test_apparent_sizes_are_spread_over_the_wanted_range(many):
    sizes = [s.K[0] * OBJECTS[b.name].diameter / b.translation[2] for s in many for b in s.targets]
    assert np.quantile(sizes, 0.1) < 70
    assert np.quantile(sizes, 0.9) > 210
    assert 20 < min(sizes) < max(sizes) < 600


def test_most_pictures_show_a_target_and_some_have_none(many):
    centred = [any(((p[8] > 0) & (p[8] < [640, 480])).all() for p in keypoints(s)) for s in many]
    assert np.mean(centred) > 0.8
    assert 0.01 < np.mean([not s.targets for s in many]) < 0.12


def test_four_of_ten_pictures_have_a_table_on_which_targets_stand(many):
    tables = [(s, s.bodies[-1]) for s in many if s.bodies[-1].mesh == "plane"]
    assert 0.3 < len(tables) / len(many) < 0.5
    for scene, table in tables:
        for target in scene.targets:
            corners = table.pose.inverse().apply(target.pose.apply(OBJECTS[target.name].keypoints))
            assert corners[:, 2].min() == pytest.approx(0, abs=1e-6)


@pytest.mark.render
def test_the_same_scene_gives_the_same_picture(sampler, raster):
    scene = sampler.scene(5, 3)
    first = raster.render(scene)
    raster.render(sampler.scene(5, 4))
    again = raster.render(scene)
    np.testing.assert_array_equal(first.ids, again.ids)
    assert np.abs(first.rgb.astype(int) - again.rgb).max() <= 2


@pytest.mark.render
def test_visibility_ranges_from_hidden_to_whole_and_pictures_are_neither_black_nor_white(sampler, raster):
    visibilities, means = [], []
    for number in range(24):
        scene = sampler.scene(9, number)
        rendering = raster.render(scene)
        visibilities += [entry.visibility for entry in label(scene, rendering, OBJECTS)]
        means.append(rendering.rgb.mean())
    assert max(visibilities) > 0.98
    assert min(visibilities) < 0.6
    assert 0 <= min(visibilities) <= max(visibilities) <= 1
    assert 50 < np.median(means) < 180
