import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dope_ros2.geometry.bounding_box import BoundingBox

POINTS = st.integers(1, 9).flatmap(lambda n: arrays(float, (n, 3), elements=st.floats(-1e3, 1e3)))


@given(POINTS)
def test_a_box_encloses_its_points_and_each_of_its_sides_touches_one(points):
    box = BoundingBox.of(points)
    assert (points >= box.low).all()
    assert (points <= box.high).all()
    assert (points == box.low).any(0).all()
    assert (points == box.high).any(0).all()


@given(POINTS)
def test_half_the_size_around_the_centre_is_the_box(points):
    box = BoundingBox.of(points)
    np.testing.assert_allclose(box.centre - box.size / 2, box.low, atol=1e-9)
    np.testing.assert_allclose(box.centre + box.size / 2, box.high, atol=1e-9)


@given(POINTS)
def test_the_corners_of_triangles_have_the_box_of_all_their_points(points):
    np.testing.assert_array_equal(BoundingBox.of(points[:, None].repeat(3, 1)), BoundingBox.of(points))
