"""An appearance in a file is the one that was put there, or refused in a line."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dope_ros2.common.errors import UserError
from dope_ros2.meshes.mesh import facets
from dope_ros2.refinement.drawing import mesh_appearance
from dope_ros2.refinement.drawing.appearance import VERSION, Appearance, mean_of_nearest
from dope_ros2.refinement.drawing.mesh_appearance import of_mesh
from helpers.mesh_files import cylinder


@pytest.fixture(scope="module")
def can():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh_appearance, "ELEMENTS", 2000)
        return of_mesh(facets(cylinder(0.034, 0.102)), "can.obj")


def test_arrays_come_back_as_they_went(can):
    arrays = can.arrays()
    again = Appearance.from_arrays(arrays, "here")
    for key, array in again.arrays().items():
        np.testing.assert_array_equal(array, arrays[key], err_msg=key)
    for one, other in zip(can.levels, again.levels, strict=True):
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_array_equal(one.colors, other.colors)
    np.testing.assert_allclose(can.outline.vertices, again.outline.vertices, atol=0.102 / 65_535)


def test_each_level_has_fewer_elements_farther_apart(can):
    for fine, coarse in pairwise(can.levels):
        assert len(coarse.points) < len(fine.points)
        assert coarse.spacing == pytest.approx(fine.spacing * np.sqrt(len(fine.points) / len(coarse.points)))
        np.testing.assert_allclose(np.linalg.norm(coarse.normals, axis=1), 1, atol=1e-6)
        assert can.level(coarse.spacing * 1.01) is coarse
    assert can.level(0) is can.levels[0]


def test_flushed_denormal_numbers_as_in_training_do_no_harm():
    places = np.random.default_rng(0).uniform(-0.5, 0.5, (4000, 2))
    places[:, 1] = np.repeat([0.0, 1.0], [3000, 1000])  # which a tree divides beside 0
    expected = mean_of_nearest(places[:500], places, places)
    torch.set_flush_denormal(True)
    try:
        np.testing.assert_allclose(mean_of_nearest(places[:500], places, places), expected)
    finally:
        torch.set_flush_denormal(False)


def test_another_version_is_named(can):
    for version in (np.array([VERSION + 1]), np.array([]), np.array(0.5)):
        with pytest.raises(UserError, match=rf"w\.safetensors: can: appearance of version .* reads {VERSION};"):
            Appearance.from_arrays(can.arrays() | {"version": version}, "w.safetensors: can")
    with pytest.raises(UserError, match="appearance of version 0"):
        Appearance.from_arrays({}, "here")


DAMAGE = {
    "gone": lambda _: None,
    "short": lambda array: array[:-1],
    "empty": lambda array: array[:0],
    "flat": np.ravel,
    "float": lambda array: array.astype(np.float32),
    "nan": lambda array: np.full(array.shape, np.nan),
    "ones": lambda array: np.frombuffer(b"\xff" * array.nbytes, array.dtype).reshape(array.shape),
    "scalar": lambda _: np.array(3),
}


@given(st.sampled_from(["frame", "points", "normals", "colors", "vertices", "triangles"]), st.sampled_from([*DAMAGE]))
def test_a_damaged_one_is_refused_in_a_line_or_can_be_used(can, key, kind):
    arrays = can.arrays()
    if key == "frame" and kind in ("flat", "float"):
        return  # it is flat, and numbers of any kind
    arrays[key] = DAMAGE[kind](arrays[key])
    arrays = {name: array for name, array in arrays.items() if array is not None}
    if kind in ("short", "ones") and key != "frame" and usable(arrays):
        return  # other normals, colours or triangles look like any
    with pytest.raises(UserError, match=r"^here: damaged appearance \(.*\); make it again with") as refusal:
        Appearance.from_arrays(arrays, "here")
    assert "\n" not in str(refusal.value)


def usable(arrays):
    try:
        appearance = Appearance.from_arrays(arrays, "here")
    except UserError:
        return False
    return all(np.isfinite(elements.points).all() for elements in appearance.levels)
