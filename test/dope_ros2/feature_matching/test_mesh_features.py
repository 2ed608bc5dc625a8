"""What is made of meshes without a print."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from dope_ros2.common.errors import UserError
from dope_ros2.feature_matching.feature_search import FeatureSearch
from dope_ros2.feature_matching.mesh_drawings import DenseSurface, looking_along
from dope_ros2.feature_matching.mesh_features import of_mesh
from dope_ros2.feature_matching.print_features import PrintFeatures
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.cuboid import CORNERS_OF_FACES, keypoints
from dope_ros2.meshes.mesh import facets

BOX = keypoints((0.1, 0.2, 0.3))[[[a, b, c] for p, q, r, s in CORNERS_OF_FACES for a, b, c in ((p, q, r), (p, r, s))]]


def test_a_plain_box_is_not_carried_by_its_print():
    features = of_mesh(facets(BOX), Path("box.obj"), views=8)
    assert not features.carried
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    kept = PrintFeatures.from_arrays(features.arrays(), "weights")
    assert all(h.inliers < 6 for h in FeatureSearch({"box": kept})(image, CameraModel.from_focal(200, 160, 120)))


def test_a_mesh_without_area_is_refused_in_one_line():
    with pytest.raises(UserError, match="zero area"):
        of_mesh(facets(np.zeros((2, 3, 3))), Path("flat.obj"))


def test_a_drawing_fills_the_box_as_the_camera_sees_it_from_each_side():
    surface = DenseSurface.of(facets(BOX), Path("box.obj"))
    camera = surface.camera(200)
    for axis in product((-0.6, 0.6), (-0.5, 0.5), (-(0.39**0.5), 0.39**0.5)):
        pose = surface.pose(looking_along(np.array(axis)))
        np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-12)
        eye = pose.inverse().translation
        np.testing.assert_allclose(eye / np.linalg.norm(eye), axis, atol=1e-9)
        view = surface.view(pose, camera)
        rows, columns = np.nonzero(view.drawn(view.elements.colors[view.seen]).mask)
        corners = camera.project(pose.apply(BOX))
        for found, pixels in ((columns, corners[..., 0]), (rows, corners[..., 1])):
            assert abs(found.min() - pixels.min()) < 2
            assert abs(found.max() - pixels.max()) < 2
