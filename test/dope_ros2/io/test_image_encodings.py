import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dope_ros2.common.errors import UserError
from dope_ros2.io.image_encodings import DEPTHS, ENCODINGS, decode, decode_depth

W, H = 48, 32
PATTERNS = {"rggb": ((0, 1), (1, 2)), "bggr": ((2, 1), (1, 0)), "gbrg": ((1, 2), (0, 1)), "grbg": ((1, 0), (2, 1))}


def scene():
    """A smooth (H, W, 3) float RGB image whose channels differ, 16 to 239."""
    y, x = np.mgrid[:H, :W]
    return np.stack([30 + 4 * x, 200 - 3 * x, 40 + 5 * y], axis=-1).astype(float)


def mosaic(rgb, pattern):
    raw = np.empty(rgb.shape[:2])
    for i in (0, 1):
        for j in (0, 1):
            raw[i::2, j::2] = rgb[i::2, j::2, PATTERNS[pattern][i][j]]
    return raw


def yuv(rgb):
    """Luma and chroma of BT.601, video range."""
    r, g, b = np.moveaxis(rgb, -1, 0)
    y = 16 + (65.738 * r + 129.057 * g + 25.064 * b) / 256
    u = 128 + (-37.945 * r - 74.494 * g + 112.439 * b) / 256
    v = 128 + (112.439 * r - 94.154 * g - 18.285 * b) / 256
    return y, u, v


def packed(encoding, rgb):
    """The numbers that a camera of this encoding would send for an image, rows first."""
    name = encoding.rstrip("0123456789") if not encoding[0].isdigit() else encoding
    if name.startswith("bayer"):
        return mosaic(rgb, name[6:])
    if encoding.startswith("nv"):
        y, u, v = yuv(rgb)
        chroma = [c[::2, ::2] for c in ((u, v) if encoding == "nv12" else (v, u))]
        return np.vstack([y, np.stack(chroma, -1).reshape(H // 2, W)])
    if encoding in ("yuv422", "uyvy", "yuv422_yuy2", "yuyv"):
        y, u, v = yuv(rgb)
        chroma = np.where(np.arange(W) % 2 == 0, np.repeat(u[:, ::2], 2, 1), np.repeat(v[:, ::2], 2, 1))
        return np.stack([chroma, y] if encoding in ("yuv422", "uyvy") else [y, chroma], -1).reshape(H, 2 * W)
    orders = {"rgb": [0, 1, 2], "bgr": [2, 1, 0], "8UC3": [2, 1, 0], "16UC3": [2, 1, 0]}
    alpha = np.full((H, W, 1), 77.0)
    if name in orders:
        return rgb[..., orders[name]].reshape(H, -1)
    if name in ("rgba", "bgra", "8UC4"):
        return np.concatenate([rgb[..., [0, 1, 2] if name == "rgba" else [2, 1, 0]], alpha], -1).reshape(H, -1)
    return rgb[..., 0]  # mono


def raw(encoding, numbers, padding=0, big_endian=False):
    """Bytes and step of rows of numbers 0 to 255, which 16-bit encodings stretch to their range."""
    if ENCODINGS[encoding].bits == 16:
        rows = np.round(numbers * 257).astype(">u2" if big_endian else "<u2").view(np.uint8)
    else:
        rows = np.round(numbers).astype(np.uint8)
    rows = np.pad(np.ascontiguousarray(rows), ((0, 0), (0, padding)), constant_values=0xAB)
    return rows.tobytes(), rows.shape[1]


def is_grey(encoding):
    return encoding in ("mono8", "mono16", "8UC1", "16UC1")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_each_encoding_gives_back_the_picture_that_was_encoded(encoding):
    rgb = scene()
    data, step = raw(encoding, packed(encoding, rgb))
    decoded = decode(data, encoding, W, H, step).astype(float)
    expected = np.repeat(rgb[..., :1], 3, -1) if is_grey(encoding) else rgb
    lossy = encoding.startswith(("bayer", "yuv", "yuyv", "uyvy", "nv"))
    inner = (slice(2, -2), slice(2, -2))  # Bayer patterns have no neighbours at the border
    assert np.abs(decoded - expected)[inner].max() <= (8 if lossy else 0.5)
    assert decoded.shape == (H, W, 3)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(ENCODINGS)), st.integers(0, 9), st.booleans(), st.integers(0, 2**32 - 1))
def test_padding_and_byte_order_change_nothing(encoding, padding, big_endian, seed):
    rows = round(H * ENCODINGS[encoding].rows)
    numbers = np.random.default_rng(seed).integers(0, 256, (rows, W * ENCODINGS[encoding].channels)).astype(float)
    plain = decode(*_arguments(encoding, numbers))
    padded = decode(*_arguments(encoding, numbers, padding, big_endian), big_endian=big_endian)
    np.testing.assert_array_equal(padded, plain)


def _arguments(encoding, numbers, padding=0, big_endian=False):
    data, step = raw(encoding, numbers, padding, big_endian)
    return data, encoding, W, H, step


def test_rgb8_without_padding_is_a_view():
    data = bytearray(W * H * 3)
    view = decode(data, "rgb8", W, H, W * 3)
    data[0] = 99
    assert view[0, 0, 0] == 99


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"encoding": "rbg8"}, "cam: encoding 'rbg8' is not supported; did you mean"),
        ({"height": H + 1}, "needs 4752 bytes, it has 4608"),
        ({"step": W}, "needs a step of at least 144 bytes, its step is 48"),
        ({"width": 0}, "has no pixels"),
        ({"encoding": "yuv422", "width": 47}, "odd sides"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(change, text):
    arguments = {"encoding": "rgb8", "width": W, "height": H, "step": W * 3} | change
    with pytest.raises(UserError, match=text):
        decode(bytes(W * H * 3), **arguments, where="cam")


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", sorted(DEPTHS))
def test_depth_is_in_metres_whatever_its_numbers_are(encoding, big_endian):
    metres = np.array([[0.0, 0.5, 1.234], [2.0, 65.535, 3.0]])
    kind, unit = DEPTHS[encoding]
    numbers = np.round(metres / unit, 3).astype((">" if big_endian else "<") + kind)
    rows = np.pad(numbers.view(np.uint8).reshape(2, -1), ((0, 0), (0, 6)))
    depth = decode_depth(rows.tobytes(), encoding, 3, 2, rows.shape[1], big_endian=big_endian)
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, metres, atol=1e-6)


def test_missing_depth_stays_missing():
    numbers = np.array([[np.nan, np.inf, 0.0]], "<f4")
    np.testing.assert_array_equal(decode_depth(numbers.tobytes(), "32FC1", 3, 1, 12), numbers)


@pytest.mark.parametrize(
    ("encoding", "step", "size", "text"),
    [
        ("rgb8", 8, 24, "'rgb8' is not one of depth: 16UC1, mono16, 32FC1"),
        ("16UC1", 6, 18, "needs a step of at least 8 bytes"),
        ("16UC1", 8, 23, "needs 24 bytes, it has 23"),
    ],
)
def test_depth_that_contradicts_itself_is_refused(encoding, step, size, text):
    with pytest.raises(UserError, match=text):
        decode_depth(bytes(size), encoding, 4, 3, step, where="/depth")
