"""The carton, found by its print in drawings of it."""

import numpy as np
import pytest

from dope_ros2.feature_matching.feature_search import FeatureSearch
from dope_ros2.feature_matching.mesh_drawings import DenseSurface
from dope_ros2.feature_matching.mesh_features import of_mesh
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.objects.object_model import UNITS, load_objects

CARTON = load_objects()["carton"]
CAMERA = CameraModel.from_focal(600.0, 320, 320)


@pytest.fixture(scope="module")
def mesh():
    return read_mesh(CARTON.mesh_path).scaled(UNITS[CARTON.mesh_unit])


@pytest.fixture(scope="module")
def features(mesh):
    return of_mesh(mesh, CARTON.mesh_path, views=24)


@pytest.fixture(scope="module")
def search(features):
    return FeatureSearch({"carton": features})


@pytest.fixture(scope="module")
def drawn(mesh):
    """Draws the carton at poses, before a grey wall."""
    surface = DenseSurface.of(mesh, CARTON.mesh_path)

    def draw(*poses):
        image = np.full((CAMERA.height, CAMERA.width, 3), 120.0)
        for pose in poses:
            view = surface.view(pose, CAMERA)
            drawing = view.drawn(view.elements.colors[view.seen])
            image = np.where(drawing.mask[..., None], drawing.image, image)
        noise = np.random.default_rng(0).normal(0, 3, image.shape)
        return np.uint8(np.clip(np.rint(image + noise), 0, 255))

    return draw


def poses(count, distance, seed=5):
    rng = np.random.default_rng(seed)
    return [Pose.random(rng, (*rng.uniform(-0.1, 0.1, 2), distance)) for _ in range(count)]


def test_the_carton_is_found_to_a_few_degrees_and_a_few_percent(search, drawn):
    off = []
    for pose in poses(8, 1.0):
        best = search(drawn(pose), CAMERA)[0]
        off.append((np.degrees(best.pose.angle_to(pose)), best.pose.distance_to(pose) / 1.0))
        assert best.name == "carton"
        assert best.inliers > 10
    angles, distances = np.array(off).T
    assert np.median(angles) < 2
    assert np.median(distances) < 0.01
    assert angles.max() < 15
    assert distances.max() < 0.05


def test_two_cartons_are_found(search, drawn):
    left, right = (
        Pose(pose.rotation, np.array([x, 0, 1.4])) for pose, x in zip(poses(2, 1.4), (-0.16, 0.16), strict=True)
    )
    found = search(drawn(left, right), CAMERA)
    for pose in (left, right):
        assert any(each.pose.angle_to(pose) < 0.2 and each.pose.distance_to(pose) < 0.05 for each in found)


def test_it_is_found_in_a_part_of_an_image(search, drawn):
    pose = Pose(poses(1, 1.0)[0].rotation, np.array([0.1, 0.1, 1.0]))
    part, camera = drawn(pose)[100:, 110:], CAMERA.cropped(110, 100, 210, 220)
    assert search(part, camera)[0].pose.angle_to(pose) < 0.2


def test_the_same_image_gives_the_same_answer(features, search, drawn):
    image = drawn(*poses(1, 0.9))
    one, other = search(image, CAMERA), FeatureSearch({"carton": features})(image, CAMERA)
    assert [(h.name, h.inliers, h.pose.matrix.tolist()) for h in one] == [
        (h.name, h.inliers, h.pose.matrix.tolist()) for h in other
    ]


@pytest.mark.parametrize("shape", [(320, 320), (8, 8), (1, 1), (1, 320)])
def test_nothing_is_found_where_there_is_nothing(search, shape):
    camera = CameraModel.from_focal(600.0, shape[1], shape[0])
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for image in (noise, np.zeros_like(noise)):
        assert all(hypothesis.inliers < 6 for hypothesis in search(image, camera))


def test_only_those_objects_are_looked_for_that_are_asked_for(features, search, drawn):
    image = drawn(*poses(1, 0.9))
    assert search(image, CAMERA, names=["mug"]) == []
    assert FeatureSearch({})(image, CAMERA) == []
    both = FeatureSearch({"carton": features, "twin": features})
    assert {each.name for each in both(image, CAMERA)} == {"carton", "twin"}
    assert {each.name for each in both(image, CAMERA, names=["twin"])} == {"twin"}


def test_the_print_of_the_carton_carries_it(features):
    assert features.carried
    assert len(features.points) == 2000
