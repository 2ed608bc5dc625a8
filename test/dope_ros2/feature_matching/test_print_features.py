"""The features of an object, as a file keeps them."""

import numpy as np
import pytest

from dope_ros2.common.errors import UserError
from dope_ros2.feature_matching.print_features import PrintFeatures, SurfaceFeatures, unit
from dope_ros2.geometry.bounding_box import BoundingBox

BOX = BoundingBox(np.array([-0.1, 0.0, 0.2]), np.array([0.1, 0.3, 0.3]))


def surface(count=50):
    rng = np.random.default_rng(0)
    return SurfaceFeatures(
        BOX.low + rng.random((count, 3)) * BOX.size,
        unit(rng.normal(size=(count, 3))),
        unit(rng.normal(size=(count, 3))),
        rng.uniform(0.001, 0.02, count),
        np.float32(unit(np.sqrt(rng.dirichlet(np.full(128, 0.5), count)))),
    )


def test_little_is_lost_when_features_are_packed_and_nothing_in_a_file():
    features = surface()
    packed = PrintFeatures.of(features, BOX)
    read = PrintFeatures.from_arrays(packed.arrays(), "weights")
    for key, error in (
        ("points", 5e-6),
        ("normals", 0.01),
        ("tangents", 0.01),
        ("extents", 1e-8),
        ("descriptors", 0.005),
    ):
        np.testing.assert_allclose(getattr(packed.surface, key), getattr(features, key), atol=error)
        np.testing.assert_array_equal(getattr(read.surface, key), getattr(packed.surface, key))
    assert sum(array.nbytes for array in packed.arrays().values()) < 150 * len(features.points)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": np.array([7], np.int32)}, "version 7"),
        ({"points": np.zeros((4, 3))}, "points"),
        ({"descriptors": np.zeros((50, 64), np.uint8)}, "descriptors"),
        ({"normals": np.zeros((49, 3), np.int8)}, "normals"),
        ({"extents": np.full(50, np.nan, np.float32)}, "extents"),
        ({"frame": np.zeros(3)}, "box"),
        ({"frame": np.array([0, 0, 0, 1, 1, 1, 7.0])}, "share"),
        ({"frame": np.array(["a"])}, "damaged"),
    ],
)
def test_arrays_that_are_none_are_refused_in_one_line(change, message):
    arrays = PrintFeatures.of(surface(), BOX).arrays() | change
    with pytest.raises(UserError, match=message) as error:
        PrintFeatures.from_arrays(arrays, "my.safetensors: mug")
    assert str(error.value).startswith("my.safetensors: mug: ")
    assert "\n" not in str(error.value)


def test_arrays_that_are_missing_are_refused_in_one_line():
    for key in ("points", "frame", "descriptors", "version"):
        arrays = PrintFeatures.of(surface(), BOX).arrays()
        del arrays[key]
        with pytest.raises(UserError, match="make it again"):
            PrintFeatures.from_arrays(arrays, "weights")
