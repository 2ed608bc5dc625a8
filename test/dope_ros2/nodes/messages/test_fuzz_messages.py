"""Messages that no camera should send, through the functions the node reads them with: read, or refused in one line."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage

from dope_ros2.estimation import object_crops
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io import camera_info, image_encodings
from dope_ros2.io.messages import read_image
from helpers.fuzzing import fuzz, tried, words
from helpers.message_strategies import camera_infos, compressed_data, image_messages, jpeg, png, uint32

pytestmark = pytest.mark.ros


def is_picture(rgb):
    return rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.size > 0 and rgb.dtype == np.uint8


@fuzz("image")
@given(image_messages())
def test_any_image_is_read_or_refused(msg):
    rgb = tried(read_image, msg, "/image_rect")
    assert rgb is None or (is_picture(rgb) and rgb.shape[:2] == (msg.height, msg.width))


@fuzz("compressed")
@given(words.map(lambda text: text.replace("\0", "")), compressed_data)
@example("png", png(60_000, 60_000))
@example("png", png(20_000, 20_000))
@example("jpeg", jpeg(65_500, 65_500))
def test_any_compressed_image_is_read_or_refused(name, data):
    msg = CompressedImage(format=name)
    msg.data.frombytes(data)
    rgb = tried(read_image, msg, "/image_rect/compressed")
    assert rgb is None or is_picture(rgb)


@fuzz("camera_info")
@given(camera_infos(), uint32, uint32, st.booleans())
def test_any_camera_info_is_a_camera_that_can_be_reckoned_with_or_refused(msg, width, height, rectified):
    camera = tried(camera_info.read, msg, "/camera_info", rectified=rectified)
    if camera is None:
        return
    fit = tried(camera_info.fitted, camera, width, height, "/image_rect", "/camera_info")
    scaled = tried(camera_info.fitted, camera, 2 * camera.width, 2 * camera.height, "/image_rect", "/camera_info")
    for one in filter(None, (camera, fit, scaled)):
        assert np.isfinite(np.linalg.inv(one.K)).all()
        assert np.isfinite(object_crops.pixel_transform(one, CameraModel.from_focal(600, 640, 480))).all()
        assert np.isfinite(one.unproject(np.zeros(2), np.ones(1))).all()
    if camera.width * camera.height < 1e5:
        camera.rectify(np.zeros((camera.height, camera.width, 3), np.uint8))


def test_pictures_that_claim_to_be_huge_take_no_memory():
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in (png(60_000, 60_000), png(30_000, 30_000), jpeg(65_500, 65_500), png(2**31 - 1, 2**31 - 1)):
        with pytest.raises(ValueError, match=r"at most 67108864 pixels are allowed"):
            image_encodings.decompress(data)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
