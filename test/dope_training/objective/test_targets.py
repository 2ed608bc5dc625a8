import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from dope_ros2.estimation.object_crops import ObjectRegion, crop_and_scale
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.image_warp import warp
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.belief_maps import OFFSET_SCALE, MapSpec
from dope_training.config import TrainConfig
from dope_training.data import crops
from dope_training.data.augmentation import augment, photograph, random_window
from dope_training.data.crops import crops_of, stack, viewing_rays
from dope_training.objective.crop_batch import CropBatch
from dope_training.objective.losses import belief_loss, surface_loss
from dope_training.objective.targets import MIN_TAUGHT_VISIBILITY, draw_surface, draw_targets
from helpers.target_maps import encode
from helpers.tiny_training import RECIPE, make_store


def batch_of(keypoints, classes, visibility, width, height):
    batch = CropBatch.of_keypoints(torch.tensor(keypoints, dtype=torch.float32), (height, width))
    return batch._replace(classes=torch.tensor([classes]), visibility=torch.tensor([visibility]))


def plain_maps(keypoints, visibility, width, height, spec):
    """The maps of one class by their definition, one object after the other: a map, and where it counts."""
    rows, columns = height // spec.stride, width // spec.stride
    u, v = np.meshgrid(*(np.arange(n) * spec.stride + (spec.stride - 1) / 2 for n in (columns, rows)))
    belief, affinity = np.zeros((9, rows, columns)), np.zeros((16, rows, columns))
    counts, votes = np.ones((9, rows, columns)), np.zeros((16, rows, columns))
    nearest = np.full((9, rows, columns), np.inf)
    for points, seen in zip(keypoints, visibility, strict=True):
        for k, (x, y) in enumerate(points):
            if not (-0.5 < (x - u[0, 0]) / spec.stride < columns - 0.5):
                continue
            if not (-0.5 < (y - v[0, 0]) / spec.stride < rows - 0.5):
                continue
            away = np.hypot(u - x, v - y) / spec.stride  # of each cell's middle, in cells
            if seen < MIN_TAUGHT_VISIBILITY:
                counts[k][away <= 3 * spec.sigma] = 0
                continue
            belief[k] = np.maximum(belief[k], np.exp(-0.5 * (away / spec.sigma) ** 2))
            if k < 8:
                arm = (points[8] - points[k]) / spec.stride
                arm = arm / np.hypot(*arm) if spec.affinity == "unit" else arm / OFFSET_SCALE
                own = (away < nearest[k]) & (away <= spec.radius)
                affinity[2 * k][own], affinity[2 * k + 1][own] = arm
                votes[2 * k : 2 * k + 2, own] = 1
            nearest[k] = np.minimum(nearest[k], away)
    return belief, affinity, counts, votes


shares = st.sampled_from([0.0, 0.2, 0.25, 0.6, 1.0])  # visible
specs = st.builds(
    MapSpec,
    stride=st.sampled_from([4, 8, 16]),
    sigma=st.floats(0.35, 3),
    affinity=st.sampled_from(["unit", "offset"]),
    radius=st.sampled_from([1.5, 2.0, 3.0]),
)


@given(
    spec=specs,
    objects=st.lists(
        st.tuples(st.integers(-1, 1), st.sampled_from([0.0, 0.2, 0.25, 0.6, 1.0])), min_size=1, max_size=6
    ),
    cells=st.tuples(st.integers(2, 16), st.integers(2, 16)),
    spread=st.sampled_from([5.0, 40.0, 200.0]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_the_maps_of_each_class_are_what_their_definition_says(spec, objects, cells, spread, seed):
    width, height = (spec.stride * n for n in cells)
    rng = np.random.default_rng(seed)
    middles = rng.uniform((-30, -30), (width + 30, height + 30), (len(objects), 1, 2))
    keypoints = middles + rng.uniform(-spread, spread, (len(objects), 9, 2))
    classes, visibility = zip(*objects, strict=True)
    batch = batch_of(keypoints, classes, visibility, width, height)
    targets = draw_targets(batch._replace(keypoints=torch.from_numpy(keypoints)[None]), 2, spec)
    for number in (0, 1):
        own = [k for k, kind in enumerate(classes) if kind == number]
        plain = plain_maps(keypoints[own], [visibility[k] for k in own], width, height, spec)
        for drawn, wanted in zip(targets, plain, strict=True):
            np.testing.assert_allclose(drawn[0, number], wanted, atol=1e-9)


def test_of_a_batch_each_crop_has_its_own_maps():
    rng = np.random.default_rng(0)
    crops = [batch_of(rng.uniform(-40, 140, (3, 9, 2)), [0, 1, 0], [1.0, 0.1, 0.5], 128, 96) for _ in range(4)]
    together = draw_targets(stack(crops), 2, MapSpec())
    for number, crop in enumerate(crops):
        for field, alone in zip(together, draw_targets(crop, 2, MapSpec()), strict=True):
            torch.testing.assert_close(field[number], alone[0])


def test_maps_of_no_object_are_empty():
    belief, affinity = encode(np.zeros((0, 9, 2)), (128, 96), MapSpec())
    assert (belief.shape, affinity.shape) == ((9, 12, 16), (16, 12, 16))
    assert not belief.any()
    assert not affinity.any()


def test_a_hidden_instance_is_neither_asked_for_nor_forbidden():
    keypoints = np.full((1, 9, 2), 100.0)
    targets = draw_targets(batch_of(keypoints, [0], [0.05], 256, 256), 1, MapSpec())
    assert targets.belief.max() == 0
    assert targets.belief_counts[0, 0, 0, 12, 12] == 0
    assert targets.belief_counts[0, 0, 0, 25, 25] == 1


def test_the_loss_is_zero_for_perfect_maps_and_only_there():
    keypoints = np.random.default_rng(1).uniform(20, 230, (2, 9, 2))
    targets = draw_targets(batch_of(keypoints, [0, 0], [1.0, 1.0], 256, 256), 1, MapSpec())
    assert belief_loss(targets.belief, targets.affinity, targets)["loss"] == 0
    assert belief_loss(targets.belief + 0.01, targets.affinity, targets)["loss"] > 0


def surface_of(pose, window, size):
    """The surface's targets of one object that fills the crop; and the camera, the cuboid's centre and half edges."""
    camera, centre, half = (
        CameraModel.from_focal(500, 640, 480),
        np.array([0.01, 0.02, -0.03]),
        np.array([0.3, 0.2, 0.1]),
    )
    rays = viewing_rays(camera.K, pose, window, centre, half)
    batch = CropBatch.of_keypoints(torch.zeros(1, 9, 2), (size, size))._replace(
        seen=torch.ones(1, size, size, dtype=torch.uint8),
        rays=torch.tensor(rays, dtype=torch.float32)[None, None],
        classes=torch.tensor([[1]]),
    )
    return draw_surface(batch, 2, 8), camera, centre, half


def test_surface_coordinates_project_to_their_cells_and_are_on_the_near_side():
    rng = np.random.default_rng(7)
    window = np.array([[0.9, -0.4, 20.0], [0.4, 0.9, -90.0]])
    centre_in_crop = np.linalg.solve(window[:, :2], [64, 64] - window[:, 2])
    for _ in range(20):
        camera = CameraModel.from_focal(500, 640, 480)
        pose = Pose(Pose.random(rng).rotation, camera.unproject(centre_in_crop, 0.9))
        targets, camera, centre, half = surface_of(pose, window, 128)
        np.testing.assert_array_equal(targets.seen[0].amax((1, 2)), [0, 1])
        inside = targets.coordinates[0, :, 7, 7].numpy().astype(float)  # the cell around (59.5, 59.5)
        point = pose.apply((2 * inside - 1) * half + centre)
        pixel = window[:, :2] @ camera.project(point) + window[:, 2]
        np.testing.assert_allclose(pixel, [59.5, 59.5], atol=0.05)
        behind = pose.apply(centre)
        assert np.abs(2 * inside - 1).max() == pytest.approx(1, abs=1e-4)
        assert np.linalg.norm(point) < np.linalg.norm(behind)


def test_the_surface_loss_is_least_where_the_logits_say_the_targets():
    targets, *_ = surface_of(Pose(np.eye(3), np.array([0, 0, 0.8])), np.eye(2, 3), 128)
    wanted = torch.stack([targets.seen, *targets.coordinates[0][:, None, None].expand(3, 1, 2, 16, 16)], 2)
    best = torch.logit(wanted.clamp(1e-4, 1 - 1e-4))
    least = surface_loss(best, targets)["loss"]
    assert surface_loss(best + 0.3, targets)["loss"] > least
    assert surface_loss(best - 0.3, targets)["loss"] > least
    assert torch.isfinite(surface_loss(functional.pad(best[..., :0], (0, 16)), targets)["loss"])


def test_shrinking_does_not_alias_and_keeps_the_place():
    board = np.kron(np.indices((160, 214)).sum(0) % 2, np.ones((3, 3), np.uint8)).astype(np.uint8) * 255
    picture = np.repeat(board[..., None], 3, 2)
    cv2.circle(picture, (400, 240), 24, (0, 0, 0), -1)
    small = warp(picture, np.array([[0.2, 0, 0.0], [0, 0.2, 0.0]]), 96, (0, 0, 0)).astype(float)
    plain = small[5:40, 5:40]
    assert plain.std() < 30
    ys, xs = np.nonzero(small[10:, 10:, 0] < 40)
    np.testing.assert_allclose([xs.mean() + 10, ys.mean() + 10], [80, 48], atol=0.5)


def test_keypoints_move_with_the_pixels():
    rng = np.random.default_rng(2)
    for _ in range(20):
        image = np.zeros((480, 640, 3), np.uint8)
        cv2.circle(image, (300, 200), 8, (255, 255, 255), -1)
        keypoints = np.tile([300.0, 200.0], (1, 9, 1)) + rng.uniform(-60, 60, (1, 9, 2))
        keypoints[0, 8] = [300, 200]
        A = random_window(rng, keypoints, image.shape, 320, np.ones(len(keypoints)))
        moved = A[:, :2] @ [300, 200] + A[:, 2]
        crop = cv2.warpAffine(image, A, (320, 320))[..., 0].astype(float)
        ys, xs = np.mgrid[:320, :320]
        centre = np.array([(crop * xs).sum(), (crop * ys).sum()]) / max(crop.sum(), 1)
        if (moved > 20).all() and (moved < 300).all():
            np.testing.assert_allclose(centre, moved, atol=0.3)


def test_crops_are_cut_as_often_around_an_object_as_its_weight_says():
    rng = np.random.default_rng(4)
    keypoints = np.array([np.full((9, 2), (200.0, 240.0)), np.full((9, 2), (440.0, 240.0))])
    keypoints += rng.uniform(-20, 20, keypoints.shape)
    counts = np.zeros(2)
    for _ in range(400):
        A = random_window(rng, keypoints, (480, 640), 160, np.array([1.0, 3.0]))
        away = np.linalg.norm(keypoints[:, 8] @ A[:, :2].T + A[:, 2] - 79.5, axis=1)
        counts[away.argmin()] += 1
    assert 2 < counts[1] / counts[0] < 4.5


def test_crops_can_be_cut_as_the_pose_search_looks():
    rng = np.random.default_rng(6)
    keypoints = rng.uniform(-40, 40, (1, 9, 2)) + np.array([300.0, 250.0])
    keypoints[0, 8] = keypoints[0, :8].mean(0)
    camera = CameraModel(np.array([[600, 0, 320], [0, 600, 240], [0, 0, 1.0]]), 640, 480)
    region = ObjectRegion.around("box", keypoints[0])
    _, seen = crop_and_scale(np.zeros((480, 640, 3), np.uint8), camera, region, 160)
    scale = seen.K[0, 0] / camera.K[0, 0]
    windows = [random_window(rng, keypoints, (480, 640), 160, np.ones(1), zoomed=1.0) for _ in range(300)]
    scales = np.sqrt([np.linalg.det(A[:, :2]) for A in windows]) / scale
    centres = np.array([A[:, :2] @ keypoints[0, 8] + A[:, 2] for A in windows]) - 79.5
    assert abs(np.median(scales) - 1) < 0.03
    assert 0.08 < np.log(scales).std() < 0.16
    assert np.abs(np.median(centres, 0)).max() < 3
    assert centres.std(0).max() < 16


def test_held_out_crops_are_of_all_sizes_whatever_the_recipe_says(tmp_path, monkeypatch):
    store, asked = make_store(tmp_path / "store"), []
    config = TrainConfig(**RECIPE | {"zoomed_crops": 1.0})
    monkeypatch.setattr(crops, "augment", lambda *given: asked.append(given[-1]) or augment(*given))
    for training in (True, False):
        crops_of([store], config, training=training)[0, 0]
    assert asked == [1.0, 0.0]


def test_a_photograph_keeps_shape_and_type():
    rng = np.random.default_rng(3)
    for _ in range(50):
        image = photograph(rng, rng.integers(0, 256, (96, 96, 3), np.uint8))
        assert image.shape == (96, 96, 3)
        assert image.dtype == np.uint8
