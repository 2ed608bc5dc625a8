"""The image of the belief maps: each blob lies where its keypoint is."""

import numpy as np

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.architectures import make_network
from dope_ros2.network.belief_maps import MapSpec
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.visualization.belief_image import CELL, belief_picture
from helpers.target_maps import encode

BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06))
CAMERA = CameraModel.from_focal(600, 640, 480)
POSE = Pose.from_rotvec([0.4, -0.8, 1.1], [0.05, -0.03, 0.7])


def tiles(picture):
    rows, columns = picture.shape[0] // 3, picture.shape[1] // 3
    return picture.reshape(3, rows, 3, columns, 3).swapaxes(1, 2).reshape(9, rows, columns, 3)


def brightest(tile):
    light = tile.min(-1)[20:]  # below the text
    y, x = np.unravel_index(light.argmax(), light.shape)
    return np.array([x, y + 20])


def test_corners_and_centre_are_bright_where_they_are_row_by_row():
    keypoints = CAMERA.project(POSE.apply(BOX.keypoints))
    belief, _ = encode(keypoints[None], (640, 480), MapSpec())
    picture = belief_picture(np.full((480, 640, 3), 200, np.uint8), belief)
    assert picture.shape == (3 * 60 * CELL, 3 * 80 * CELL, 3)
    for keypoint, tile in zip(keypoints, tiles(picture), strict=True):
        expected = (keypoint + 0.5) * CELL / 8 - 0.5
        assert np.abs(brightest(tile) - expected).max() < 0.75 * CELL  # of a cell, in which a blob's top is drawn


def test_where_nothing_is_believed_the_darkened_image_is_seen():
    image = np.full((480, 640, 3), 100, np.uint8)
    image[:, :320] = 200, 0, 50
    tile = tiles(belief_picture(image, np.zeros((9, 60, 80), np.float32)))[4]
    assert tuple(tile[100, 80]) == (80, 0, 20)
    assert tuple(tile[100, 240]) == (40, 40, 40)


def test_beliefs_outside_zero_to_one_and_no_numbers_are_drawn_as_the_nearest_that_can_be():
    belief = np.zeros((9, 6, 8), np.float32)
    belief[0, 5], belief[1, 5], belief[2, 5] = -3, 7, np.nan
    below, above, none, *_ = tiles(belief_picture(np.full((48, 64, 3), 100, np.uint8), belief))
    assert [tile[-2, 16, 0] for tile in (below, above, none)] == [40, 255, 40]


def test_the_estimator_gives_the_picture_that_its_maps_cover_and_the_maps_by_name():
    entries = tuple(TrainedObject(name=name, size=BOX.size) for name in ("box", "tin"))
    models = [ObjectModel(name=e.name, class_id=1, size=e.size) for e in entries]
    metadata = Metadata(architecture="dope-lite", objects=entries, input_height=50)
    image = np.random.default_rng(0).integers(0, 255, (100, 130, 3), np.uint8)
    estimator = Estimator.of_network(make_network("dope-lite", 2), metadata, models, "cpu")
    seen, maps = estimator.beliefs(image, CameraModel.from_focal(100, 130, 100), Settings())
    assert seen.shape == (56, 72, 3)
    assert {name: belief.shape for name, belief in maps.items()} == {"box": (9, 7, 9), "tin": (9, 7, 9)}
    np.testing.assert_array_equal(maps["tin"], estimator.maps([seen[:50, :65]])[0].belief[1])
