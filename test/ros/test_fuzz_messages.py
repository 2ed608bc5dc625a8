"""Messages that no camera should send, through the functions the node reads them with: read, or refused in one line."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from fuzzing import damaged, fuzz, tried, words
from hypothesis import example, given
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from talk import info

from dope_ros2.estimation import object_crops
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io import camera_info, image_encodings
from dope_ros2.nodes.messages import images

pytestmark = pytest.mark.ros
uint32 = st.one_of(st.integers(0, 70), st.sampled_from([0, 1, 2, 3, 480, 640, 65_535, 65_536, 2**31, 2**32 - 1]))


@st.composite
def image_messages(draw):
    """An Image of any encoding and sizes, with about as many bytes as it needs, or not."""
    encoding = draw(
        st.one_of(st.sampled_from(sorted(image_encodings.ENCODINGS)), words.map(lambda text: text.replace("\0", "")))
    )
    kind = image_encodings.ENCODINGS.get(encoding, image_encodings.ENCODINGS["rgb8"])
    width, height = draw(uint32), draw(uint32)
    step = width * kind.channels * kind.bits // 8 + draw(st.sampled_from([0, 0, 0, 1, -1, 7]))
    step = draw(uint32) if draw(st.booleans()) and draw(st.booleans()) else step % 2**32
    size = round(step * height * kind.rows) + draw(st.sampled_from([0, 0, 0, 1, -1, -step, 2**20]))
    size = size if 0 <= size < 2**21 else draw(st.integers(0, 1000))
    msg = Image(width=width, height=height, step=step, encoding=encoding, is_bigendian=draw(st.integers(0, 255)))
    msg.data.frombytes(np.random.default_rng(draw(st.integers(0, 99))).bytes(size))
    return msg


def png(width, height, rows=b"\0"):
    """A PNG that says it is so large, with as much in it as is given."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows))]
    packed = (
        struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in [*chunks, (b"IEND", b"")]
    )
    return image_encodings.PNG + b"".join(packed)


def jpeg(width, height):
    """A JPEG that says it is so large."""
    whole = encoded(".jpg")
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + struct.pack(">HH", height, width) + whole[at + 4 :]


def encoded(suffix, *options):
    picture = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8), (64, 48))
    return cv2.imencode(suffix, picture, options)[1].tobytes()


PICTURES = [encoded(".jpg"), encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1), encoded(".png"), encoded(".bmp")]
compressed_data = st.one_of(
    *(damaged(picture) for picture in PICTURES),
    st.sampled_from(PICTURES),
    st.binary(max_size=300),
    st.builds(png, uint32, uint32),
    st.builds(jpeg, st.integers(0, 65_535), st.integers(0, 65_535)),
    *(
        st.binary(max_size=99).map(lambda rest, head=head: head + rest)
        for head in (image_encodings.PNG, image_encodings.JPEG)
    ),
)
numbers = st.one_of(st.floats(), st.sampled_from([0.0, 1.0, -1.0, 600.0, 1e-320, 1e-200, 1e200]))


@st.composite
def camera_infos(draw):
    """A CameraInfo with one or all of its numbers changed."""
    msg = info() if draw(st.booleans()) else CameraInfo(width=draw(uint32), height=draw(uint32))
    for name, count in (("p", 12), ("k", 9)):
        if draw(st.booleans()):
            values = list(getattr(msg, name))
            values[draw(st.integers(0, count - 1))] = draw(numbers)
            setattr(msg, name, values)
        elif draw(st.booleans()):
            setattr(msg, name, draw(st.lists(numbers, min_size=count, max_size=count)))
    msg.d = draw(st.lists(numbers, max_size=14))
    msg.distortion_model = draw(st.sampled_from(["", "plumb_bob", "rational_polynomial", "equidistant", "x" * 999]))
    msg.binning_x, msg.binning_y = draw(uint32), draw(uint32)
    if draw(st.booleans()):
        sides = (draw(uint32) for _ in range(4))
        msg.roi = RegionOfInterest(**dict(zip(("x_offset", "y_offset", "width", "height"), sides, strict=True)))
    return msg


def is_picture(rgb):
    return rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.size > 0 and rgb.dtype == np.uint8


@fuzz("image")
@given(image_messages())
def test_any_image_is_read_or_refused(msg):
    rgb = tried(images.image_to_array, msg, "/image_rect")
    assert rgb is None or (is_picture(rgb) and rgb.shape[:2] == (msg.height, msg.width))


@fuzz("compressed")
@given(words.map(lambda text: text.replace("\0", "")), compressed_data)
@example("png", png(60_000, 60_000))
@example("png", png(20_000, 20_000))
@example("jpeg", jpeg(65_500, 65_500))
def test_any_compressed_image_is_read_or_refused(name, data):
    msg = CompressedImage(format=name)
    msg.data.frombytes(data)
    rgb = tried(images.image_to_array, msg, "/image_rect/compressed")
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
