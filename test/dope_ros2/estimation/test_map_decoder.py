import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dope_ros2.estimation.map_decoder import decode, find_peaks
from dope_ros2.geometry import cuboid
from dope_ros2.network.belief_maps import OFFSET_SCALE, MapSpec
from dope_ros2.network.calibration import PeakCalibration
from helpers.target_maps import encode

SIZE = 160, 128
SPECS = [MapSpec(), MapSpec(affinity="unit"), MapSpec(sigma=1.4), MapSpec(sigma=0.8), MapSpec(stride=4)]
laws = settings(deadline=None, max_examples=40)


def inside(margin):
    """One instance's keypoints, the corners around a centroid, all this far from the border [px]."""
    x, y = st.floats(margin, SIZE[0] - 1 - margin), st.floats(margin, SIZE[1] - 1 - margin)
    return st.lists(st.tuples(x, y), min_size=9, max_size=9).map(np.array)


def read(keypoints, spec, scale=1.0):
    belief, affinity = encode(keypoints[None], SIZE, spec)
    return decode(scale * belief[None], affinity[None], spec, 0.3 * scale)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@given(data=st.data())
@laws
def test_decoding_inverts_encoding_to_a_twentieth_of_a_pixel(spec, data):
    keypoints = data.draw(inside(margin=0))
    [instance] = read(keypoints, spec)
    found = np.isfinite(instance.keypoints).all(1)
    assert found[cuboid.CENTRE]
    np.testing.assert_allclose(instance.keypoints[found], keypoints[found], atol=0.05)


@given(inside(margin=0))
@laws
def test_no_corner_of_a_lone_instance_is_lost_unless_it_lies_on_the_centroid(keypoints):
    [instance] = read(keypoints, MapSpec())
    assert np.isfinite(instance.keypoints).all()


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_round_trip_has_no_bias_in_x_or_y(spec):
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(40):
        keypoints = rng.uniform(4, np.array(SIZE) - 5, (9, 2))
        errors.append(read(keypoints, spec)[0].keypoints - keypoints)
    np.testing.assert_allclose(np.nanmean(errors, axis=(0, 1)), 0, atol=0.005)


@given(inside(margin=2), st.floats(0.1, 1))
@laws
def test_a_lower_peak_lies_at_the_same_place(keypoints, scale):
    [instance] = read(keypoints, MapSpec(), scale)
    found = np.isfinite(instance.keypoints)
    np.testing.assert_allclose(instance.keypoints[found], keypoints[found], atol=0.1)


@given(inside(margin=8))
@laws
def test_the_height_of_a_peak_does_not_depend_on_where_between_cells_it_lies(keypoints):
    [instance] = read(keypoints, MapSpec(), 0.6)
    found = instance.scores > 0
    np.testing.assert_allclose(instance.scores[found], 0.6, atol=0.02)


def test_unsure_corners_are_moved_away_from_the_centroid_as_the_calibration_says():
    keypoints = np.random.default_rng(2).uniform(20, 100, (9, 2))
    belief, affinity = encode(keypoints[None], SIZE, MapSpec())
    plain, moved = (
        decode(0.5 * belief[None], affinity[None], MapSpec(), 0.1, PeakCalibration(shrinkage=shrinkage))[0]
        for shrinkage in (0, 0.8)
    )
    arms = (keypoints - keypoints[cuboid.CENTRE])[: cuboid.CENTRE]
    expected = 8 * 0.8 * 0.5 * arms / np.linalg.norm(arms, axis=1, keepdims=True)
    shift = (moved.keypoints - plain.keypoints)[: cuboid.CENTRE]
    np.testing.assert_allclose(shift, expected, atol=0.3)
    np.testing.assert_array_equal(moved.keypoints[cuboid.CENTRE], plain.keypoints[cuboid.CENTRE])


def test_a_cell_is_centred_at_stride_times_index_plus_half_the_stride_less_one():
    keypoints = np.full((1, 9, 2), [8 * 5 + 3.5, 8 * 3 + 3.5])
    belief, _ = encode(keypoints, SIZE, MapSpec())
    assert belief.shape == (9, 16, 20)
    assert (belief[:, 3, 5] == 1).all()
    assert np.delete(belief.reshape(9, -1), 3 * 20 + 5, axis=1).max() < 1


def test_a_belief_is_a_gaussian_of_the_distance_to_the_nearest_instance():
    keypoints = np.random.default_rng(1).uniform(10, 110, (3, 9, 2))
    belief, _ = encode(keypoints, SIZE, MapSpec(sigma=1.2))
    distances = np.linalg.norm(keypoints[:, 4] - [8 * 7 + 3.5, 8 * 6 + 3.5], axis=1) / 8
    assert belief[4, 6, 7] == pytest.approx(np.exp(-(distances.min() ** 2) / (2 * 1.2**2)), rel=1e-5)


@pytest.mark.parametrize("affinity", ["unit", "offset"])
def test_an_affinity_near_a_corner_points_to_the_centroid_and_is_zero_elsewhere(affinity):
    keypoints = np.random.default_rng(2).uniform(10, 110, (1, 9, 2))
    spec = MapSpec(affinity=affinity, radius=1.5)
    _, affinities = encode(keypoints, SIZE, spec)
    for k, corner in enumerate(keypoints[0, : cuboid.CENTRE]):
        ys, xs = np.mgrid[:16, :20] * 8 + 3.5
        near = np.hypot(xs - corner[0], ys - corner[1]) <= 1.5 * 8
        arm = (keypoints[0, cuboid.CENTRE] - corner) / 8
        expected = arm / np.linalg.norm(arm) if affinity == "unit" else arm / OFFSET_SCALE
        np.testing.assert_allclose(
            affinities[2 * k : 2 * k + 2, near], np.tile(expected[:, None], near.sum()), atol=1e-6
        )
        assert not affinities[2 * k : 2 * k + 2, ~near].any()


def test_where_two_corners_are_near_the_nearer_one_votes():
    keypoints = np.full((2, 9, 2), 60.0)
    keypoints[0, 0], keypoints[1, 0] = [40, 60], [50, 60]
    keypoints[1, cuboid.CENTRE] = [60, 100]
    _, affinity = encode(keypoints, SIZE, MapSpec(affinity="unit"))
    np.testing.assert_allclose(affinity[:2, 7, 5], [1, 0], atol=1e-6)  # cell at pixel (43.5, 59.5)
    np.testing.assert_allclose(affinity[:2, 7, 6], np.array([10, 40]) / np.hypot(10, 40), atol=1e-6)


@given(arrays(float, (2, 9, 2), elements=st.floats(-100, 260)))
@laws
def test_swapping_x_and_y_transposes_the_maps(keypoints):
    belief, affinity = encode(keypoints, SIZE, MapSpec())
    belief_t, affinity_t = encode(keypoints[..., ::-1], SIZE[::-1], MapSpec())
    np.testing.assert_array_equal(belief_t, belief.transpose(0, 2, 1))
    swapped = affinity.reshape(8, 2, 16, 20)[:, ::-1].transpose(0, 1, 3, 2).reshape(16, 20, 16)
    ties = np.isclose(*squared_distances(keypoints)).transpose(0, 2, 1).repeat(2, 0)
    np.testing.assert_array_equal(affinity_t[~ties], swapped[~ties])


def squared_distances(keypoints):
    """(2, 8, h, w): from the corners of two instances to every cell."""
    ys, xs = np.mgrid[:16, :20] * 8 + 3.5
    corners = keypoints[:, : cuboid.CENTRE, :, None, None]
    return (xs - corners[:, :, 0]) ** 2 + (ys - corners[:, :, 1]) ** 2


def test_a_keypoint_outside_the_picture_leaves_no_trace_and_the_others_stay():
    keypoints = np.random.default_rng(3).uniform(20, 100, (1, 9, 2))
    keypoints[0, 2], keypoints[0, 5] = [-30, 50], [80, 200]
    belief, affinity = encode(keypoints, SIZE, MapSpec())
    assert not belief[[2, 5]].any()
    assert not affinity[[4, 5, 10, 11]].any()
    [instance] = decode(belief[None], affinity[None], MapSpec(), 0.3)
    assert np.flatnonzero(np.isnan(instance.keypoints).any(1)).tolist() == [2, 5]
    assert not instance.scores[[2, 5]].any()


def test_no_instance_makes_empty_maps_and_empty_maps_hold_no_instance():
    belief, affinity = encode(np.zeros((0, 9, 2)), SIZE, MapSpec())
    assert belief.shape == (9, 16, 20)
    assert affinity.shape == (16, 16, 20)
    assert not belief.any()
    assert not affinity.any()
    assert decode(belief[None], affinity[None], MapSpec(), 0.3) == []


def test_classes_are_decoded_apart():
    keypoints = np.random.default_rng(4).uniform(20, 100, (2, 9, 2))
    maps = [encode(k[None], SIZE, MapSpec()) for k in keypoints]
    found = decode(np.stack([maps[0][0], maps[1][0]]), np.stack([maps[0][1], maps[1][1]]), MapSpec(), 0.3)
    assert [instance.class_index for instance in found] == [0, 1]
    for instance, truth in zip(found, keypoints, strict=True):
        np.testing.assert_allclose(instance.keypoints[cuboid.CENTRE], truth[cuboid.CENTRE], atol=0.05)


def test_neighbouring_peaks_three_cells_apart_do_not_melt():
    keypoints = np.full((2, 9, 2), -100.0)
    keypoints[0, cuboid.CENTRE], keypoints[1, cuboid.CENTRE] = [60, 60], [84, 60]
    belief, affinity = encode(keypoints, SIZE, MapSpec())
    found = np.array([i.keypoints[cuboid.CENTRE] for i in decode(belief[None], affinity[None], MapSpec(), 0.3)])
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], [[60, 60], [84, 60]], atol=1.0)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (2, 2), (3, 3), (1, 5)])
def test_a_plateau_is_one_peak(shape):
    level = np.zeros((1, 12, 12))
    level[0, 4 : 4 + shape[0], 5 : 5 + shape[1]] = 0.8
    assert len(find_peaks(level, 0.3, 1.0).score) == 1


@given(
    arrays(np.float32, (1, 9, 6, 7), elements=st.floats(-2, 2, width=32) | st.just(np.float32(np.nan))),
    arrays(np.float32, (1, 16, 6, 7), elements=st.floats(-100, 100, width=32)),
    st.sampled_from(["unit", "offset"]),
)
@laws
def test_any_maps_give_keypoints_near_the_picture_or_none(belief, affinity, kind):
    for instance in decode(belief, affinity, MapSpec(affinity=kind), 0.3):
        found = np.isfinite(instance.keypoints).all(1)
        assert found[cuboid.CENTRE]
        assert (instance.keypoints[found] > -8).all()
        assert (instance.keypoints[found] < [7 * 8 + 8, 6 * 8 + 8]).all()
        assert (instance.scores[found] >= 0.3).all()
        assert np.isfinite(instance.sigmas).all()
        assert (instance.sigmas > 0).all()
