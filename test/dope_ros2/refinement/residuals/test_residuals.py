"""Jacobians and gradients of what is compared, against finite differences; and where the right pose is."""

import numpy as np
import pytest

from dope_ros2.refinement.drawing.surface_view import SurfaceView, window_around
from dope_ros2.refinement.residuals.normal_equations import pixel_jacobian, projected, tukey
from dope_ros2.refinement.residuals.optical_flow import FlowResiduals
from dope_ros2.refinement.residuals.photometric import PhotometricResiduals
from dope_ros2.refinement.residuals.region_outline import OutlineResiduals
from helpers.drawn_carton import CAMERA, POSES, appearance, photograph

STEP = 1e-6


def looked(index, pose):
    window = window_around(photograph(index), CAMERA, pose.apply(appearance().corners), 136, 0.8)
    view = SurfaceView.of(appearance(), pose, window)
    return view, view.drawn(view.lit())


def residuals(kind, index, pose):
    view, drawing = looked(index, pose)
    if kind == "photometric":
        return PhotometricResiduals.of(view, drawing, 0.8, 13, 1000, 0.25)
    if kind == "flow":
        return FlowResiduals.of(view, drawing, 1000)
    return OutlineResiduals.of(appearance().outline, pose, view.window, drawing, 6, 6.0)


def test_the_jacobian_of_pixels_is_that_of_finite_differences():
    points, pose = appearance().corners, POSES[0]
    numeric = np.stack(
        [
            (projected(points, pose.plus(STEP * e), CAMERA.K) - projected(points, pose.plus(-STEP * e), CAMERA.K))
            / (2 * STEP)
            for e in np.eye(6)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(pixel_jacobian(points, pose, CAMERA.K), numeric, atol=1e-3)


def test_tukeys_weights_fall_from_one_to_zero():
    np.testing.assert_allclose(tukey(np.array([0.0, 1.0, 2.0, -2.0, 5.0]), 2.0), [1, 0.5625, 0, 0, 0])


@pytest.mark.parametrize("kind", ["photometric", "outline", "flow"])
@pytest.mark.parametrize("index", [0, 1])
def test_a_step_leads_back_to_the_right_pose(kind, index):
    """From a motion that each of them can see."""
    motion = np.array([0.004, -0.003, 0.0, 0.0, 0.0, 0.01])
    start = POSES[index].plus(motion)
    found = residuals(kind, index, start)
    pose = start
    for _ in range(3):
        equations = found.at(pose)
        pose = pose.plus(np.linalg.solve(equations.information + 1e-6 * np.eye(6), equations.gradient))
    K = CAMERA.K
    before, after = (
        np.linalg.norm(projected(appearance().corners, p, K) - projected(appearance().corners, POSES[index], K), axis=1)
        for p in (start, pose)
    )
    assert after.mean() < before.mean() / (1.5 if kind == "outline" else 4)


def test_before_a_plain_wall_the_outline_is_where_it_is_drawn():
    view, drawing = looked(0, POSES[0])
    window = view.window._replace(image=np.where(drawing.mask[..., None], view.window.image, np.float32([30, 140, 60])))
    found = OutlineResiduals.of(appearance().outline, POSES[0], window, drawing, 6, 6.0)
    assert abs(np.median(found.offsets)) < 0.8  # [px]; the drawing covers pixels that it touches


def test_too_little_to_see_is_nothing_to_compare():
    view, drawing = looked(0, POSES[0])
    empty = drawing._replace(mask=np.zeros_like(drawing.mask))
    assert PhotometricResiduals.of(view, empty, 0.8, 13, 1000, 0.25) is None
    assert FlowResiduals.of(view, empty, 1000) is None
    assert OutlineResiduals.of(appearance().outline, POSES[0], view.window, empty, 6, 6.0) is None
