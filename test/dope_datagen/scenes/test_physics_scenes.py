"""Arrangements made by physics: they rest, stay in their bin, and no camera stands inside of a thing."""

import sys
from itertools import pairwise

import numpy as np
import pytest

from dope_datagen.scenes import physics_scenes
from dope_datagen.scenes.appearance import Looks
from dope_datagen.scenes.config import DatagenConfig
from dope_datagen.scenes.physics_scenes import PhysicsSceneSampler, bin_walls
from dope_datagen.scenes.sampler import Sampler
from dope_datagen.simulation import physics
from dope_datagen.simulation.physics import Falling, Slab, UnsettledError, hull, settle, table, tumble
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.pose import Pose

CUBE = np.array(np.meshgrid(*[[-0.03, 0.03]] * 3)).reshape(3, -1).T
FEW = {"objects": {"carton": 1}, "variety": 2, "pybullet_meshes": False, "width": 160, "height": 120}
COUNTS = {"nb_objects": (3, 4), "nb_distractors": (2, 4), "nb_frames": 4}


def config(**changes):
    return DatagenConfig(**FEW, **{**COUNTS, **changes})


def dropped(count, seed=0, reach=0.1):
    rng = np.random.default_rng(seed)
    places = [[*rng.uniform(-reach, reach, 2), 0.1 + 0.08 * k] for k in range(count)]
    return [Falling(CUBE, Pose.random(rng, place)) for place in places]


def test_what_has_fallen_lies_on_the_table_and_stays_there():
    poses = settle(dropped(6), table((1, 1)))
    lowest = [pose.apply(CUBE)[:, 2].min() for pose in poses]
    assert -0.003 < min(lowest) < 0.003
    again = settle([Falling(CUBE, pose) for pose in poses], table((1, 1)), batch=6)
    assert max(one.distance_to(two) for one, two in zip(poses, again, strict=True)) < 0.01


def test_what_falls_off_is_far_below():
    [pose] = settle([Falling(CUBE, Pose.from_rotvec([0, 0, 0], [0.5, 0, 0.1]))], table((0.2, 0.2)))
    assert pose.translation[2] < physics.LOST


def test_the_engine_says_nothing(capfd):
    settle(dropped(1), table((1, 1)))
    assert capfd.readouterr() == ("", "")


def test_a_bin_keeps_what_falls_into_it():
    half = (0.15, 0.12)
    fixed = table(half) + bin_walls(half, height=0.4)
    poses = settle(dropped(20, reach=0.08), fixed, batch=5)
    inside = [np.abs(pose.translation[:2]) < np.array(half) for pose in poses if pose.translation[2] < 0.4]
    assert np.mean(inside) > 0.95
    assert max(pose.translation[2] for pose in poses) > 0.08  # they lie on one another


def test_things_that_never_rest_are_reported_with_what_to_do(monkeypatch):
    monkeypatch.setattr(physics, "SLOW", -1.0)
    monkeypatch.setattr(physics, "MAX_FALL_TIME", 0.1)
    with pytest.raises(UserError, match=r"settle: .* still move .* use fewer bodies \(nb_objects, nb_distractors\)"):
        settle(dropped(2), table((1, 1)))


def test_tumbling_things_move_and_stay_between_the_walls():
    walls = [Slab((1, 1, 0.1), Pose(np.eye(3), np.array([0, 0, z]))) for z in (-0.6, 0.6)]
    walls += [Slab((0.1, 1, 1), Pose(np.eye(3), np.array([x, 0, 0]))) for x in (-0.6, 0.6)]
    walls += [Slab((1, 0.1, 1), Pose(np.eye(3), np.array([0, y, 0]))) for y in (-0.6, 0.6)]
    start = [Falling(CUBE, Pose.random(np.random.default_rng(k), (0.2 * k - 0.2, 0, 0))) for k in range(3)]
    frames = tumble(np.random.default_rng(1), start, walls, frames=4, skip=60)
    assert len(frames) == 4
    for before, after in pairwise(frames):
        assert max(a.distance_to(b) for a, b in zip(before, after, strict=True)) > 0.01
    assert all(np.abs(pose.translation).max() < 0.5 for frame in frames for pose in frame)


def test_the_hull_keeps_the_corners_of_a_box_and_few_points_of_a_ball():
    assert len(hull(CUBE)) == 8
    ball = np.random.default_rng(0).normal(size=(5000, 3))
    assert len(hull(ball / np.linalg.norm(ball, axis=1, keepdims=True))) <= 64


def test_physics_keeps_no_memory_of_what_has_fallen():
    ball = hull(np.random.default_rng(1).normal(size=(500, 3)))
    tall = Falling(ball, Pose.from_rotvec([0, 0, 0], [0, 0, 0.1]), scale=(0.01, 0.01, 0.03))
    settle([tall], table((1, 1)))
    before = sys.getallocatedblocks()
    for _ in range(40):
        settle([tall], table((1, 1)))
    assert sys.getallocatedblocks() - before < len(ball) * 10  # four a corner and fall, were each list a new one


def test_a_scaled_body_rests_on_its_scaled_corners():
    flat = Falling(CUBE, Pose.from_rotvec([0, 0, 0], [0, 0, 0.05]), scale=(1, 1, 0.5))
    [pose] = settle([flat], table((1, 1)))
    assert pose.translation[2] == pytest.approx(0.015, abs=2e-3)


@pytest.mark.parametrize("modes", [{"settle": 1}, {"tumble": 1}, {"settle": 1, "float": 1}])
def test_a_picture_is_the_same_whether_drawn_alone_or_after_others(assets, modes):
    in_order, alone = (Sampler(config(modes=modes, skip_frame=20), assets) for _ in range(2))
    scenes = [in_order.scene(3, number) for number in range(6)]
    assert alone.scene(3, 5) == scenes[5]
    assert alone.scene(3, 2) == scenes[2]


def test_pictures_of_one_arrangement_show_the_same_things_from_elsewhere(assets):
    sampler = Sampler(config(modes={"settle": 1}), assets)
    one, two = sampler.scene(1, 0), sampler.scene(1, 1)
    assert [body.mesh for body in one.bodies] == [body.mesh for body in two.bodies]
    first, second = ([scene.bodies[0].pose.inverse() @ body.pose for body in scene.bodies] for scene in (one, two))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.matrix, b.matrix, atol=1e-9)
    assert one.bodies[0].pose.distance_to(two.bodies[0].pose) > 0.05


def test_cameras_look_from_the_shells_and_are_not_inside_of_anything(assets):
    shells = {"near": (0.5, 0.6), "far": (1.0, 1.2)}
    sampler = Sampler(config(modes={"settle": 1}, nb_frames=40, **shells), assets)
    scenes = [sampler.scene(2, number) for number in range(40)]
    for scene in scenes:
        assert len(scene.targets) > 0
        for body in scene.targets:
            assert body.pose.apply(assets.objects["carton"].keypoints)[:, 2].min() > 0
    nearest = np.array([min(np.linalg.norm(b.translation) for b in scene.targets) for scene in scenes])
    assert (nearest < 0.75).any()
    assert (nearest > 0.75).any()


def test_targets_outside_of_the_picture_are_kept_without_a_label(assets):
    sampler = Sampler(config(modes={"settle": 1}, nb_objects=(12, 12), focal=(500, 500)), assets)
    scenes = [sampler.scene(4, number) for number in range(8)]
    unnamed = [b for scene in scenes for b in scene.bodies if b.mesh == "object:carton" and b.name is None]
    assert unnamed
    for scene in scenes:
        assert [b.name is None for b in scene.bodies] == sorted(b.name is None for b in scene.bodies)
        for body in scene.targets:
            pixels = scene.camera.project(body.pose.apply(assets.objects["carton"].keypoints))
            assert (pixels.max(0) > -0.5).all()
            assert (pixels.min(0) < [scene.width, scene.height]).all()


def test_things_that_do_not_rest_fall_anew(assets, monkeypatch):
    tries = []

    def restless(falling, fixed, batch):
        tries.append(falling)
        if len(tries) < 3:
            raise UnsettledError("still moving")
        return settle(falling, fixed, batch)

    monkeypatch.setattr(physics_scenes, "settle", restless)
    arranger = PhysicsSceneSampler(config(), assets, Looks(config()), [])
    arranger.world(np.random.default_rng(0), "settle")
    assert len(tries) == 3
    assert tries[0][0].pose.distance_to(tries[1][0].pose) > 1e-3


def test_all_surfaces_occur_and_a_bin_has_walls(assets):
    kinds = set()
    for seed in range(12):
        world = PhysicsSceneSampler(config(), assets, Looks(config()), []).world(np.random.default_rng(seed), "settle")
        kinds.add((len(world.scenery), max(world.scenery[0][0].scale) == 12.0))
    assert kinds == {(1, False), (1, True), (5, False)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"near": (0.9, 0.5)}, r"\[0.9, 0.5\] is not \[lowest, highest\]"),
        ({"near": (2, 3), "far": (0.5, 1)}, "near .* lies beyond far"),
        ({"nb_objects": (1, 200), "nb_distractors": (1, 100)}, "reach 300 things together; at most 240"),
        ({"modes": {}}, r"such as \{settle: 1\}"),
        ({"modes": {"fly": 1}}, "fly"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)
