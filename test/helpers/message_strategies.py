"""Messages that no camera should send, as hypothesis strategies."""

import struct
import zlib

import cv2
import numpy as np
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest

from dope_ros2.io import image_encodings
from helpers.fuzzing import damaged, words
from helpers.node_client import info

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
