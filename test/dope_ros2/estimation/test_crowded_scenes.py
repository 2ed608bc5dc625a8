import json

import numpy as np
import pytest

from dope_ros2.estimation.map_decoder import decode
from dope_ros2.geometry import cuboid
from dope_ros2.network.belief_maps import MapSpec
from dope_training.benchmarks import decoder as bench
from helpers.target_maps import encode


def result(name, cartons, scenes, seed=7):
    return bench.run(name, cartons, scenes, seed, *bench.DECODERS[name])


@pytest.mark.parametrize(("cartons", "scenes", "share"), [(1, 60, 0.99), (5, 16, 0.97), (20, 5, 0.90)])
def test_cartons_are_recovered_from_perfect_maps_and_nothing_else_is(cartons, scenes, share):
    figures = result("ours", cartons, scenes)
    assert figures.share >= share
    assert figures.wrong == 0
    assert figures.distance_percent <= 0.3
    assert figures.degrees <= 0.5


@pytest.mark.parametrize(("cartons", "scenes", "share"), [(1, 40, 0.8), (5, 10, 0.7)])
def test_most_cartons_are_recovered_from_weak_noisy_maps_with_holes(cartons, scenes, share):
    figures = result("ours, degraded maps", cartons, scenes)
    assert figures.share >= share
    assert figures.wrong <= 0.02 * cartons * scenes


def test_the_published_decoder_finds_most_lone_cartons_and_loses_a_crowd_on_its_own_perfect_maps():
    assert 0.5 < result("published", 1, 40).share < 0.9  # measured on the original: 0.67
    assert 0.15 < result("published", 5, 10).share < 0.6  # 0.31
    assert result("published", 20, 2).share < 0.2  # 0.03


def test_scenes_are_as_asked():
    rng = np.random.default_rng(0)
    for cartons, near, far in ((5, 0.5, 1.2), (20, 0.8, 1.4)):
        poses = bench.random_scene(rng, cartons)
        centres = np.array([pose.translation for pose in poses])
        pixels = bench.CAMERA.project(centres)
        apart = np.linalg.norm(centres[:, None] - centres[None], axis=-1)[np.triu_indices(cartons, 1)]
        assert len(poses) == cartons
        assert apart.min() >= 0.12
        assert near <= centres[:, 2].min() <= centres[:, 2].max() <= far
        assert (pixels >= 60).all()
        assert (pixels <= [580, 420]).all()


@pytest.mark.parametrize("affinity", ["unit", "offset"])
def test_no_keypoint_of_a_crowd_is_given_to_two_instances(affinity):
    spec = MapSpec(affinity=affinity)
    keypoints = bench.project(bench.random_scene(np.random.default_rng(3), 20))
    belief, votes = encode(keypoints, (640, 480), spec)
    found = np.array([instance.keypoints for instance in decode(belief[None], votes[None], spec, 0.3)])
    for k in range(cuboid.COUNT):
        positions = found[:, k][np.isfinite(found[:, k]).all(1)]
        assert len(np.unique(positions, axis=0)) == len(positions)


def test_the_order_of_instances_in_the_truth_does_not_change_what_is_decoded():
    keypoints = bench.project(bench.random_scene(np.random.default_rng(4), 8))
    one, other = (
        decode(*(m[None] for m in encode(k, (640, 480), MapSpec())), MapSpec(), 0.3)
        for k in (keypoints, keypoints[::-1])
    )
    np.testing.assert_allclose([i.keypoints for i in one], [i.keypoints for i in other])


def test_the_benchmark_writes_its_figures(tmp_path, capsys):
    out = tmp_path / "results" / "decode.json"
    assert bench.main(["--scenes", "1", "--out", str(out)]) == 0
    figures = json.loads(out.read_text())["results"]
    assert {(row["decoder"], row["cartons"]) for row in figures} == {(d, n) for d in bench.DECODERS for n in (1, 5, 20)}
    table = capsys.readouterr().out
    assert all(name in table for name in bench.DECODERS)
