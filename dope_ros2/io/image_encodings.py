"""Raw images as cameras send them, turned into RGB: encodings are named as in ROS's sensor_msgs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import unpack_from

import cv2
import numpy as np

from dope_ros2.common.errors import MAX_VALUE_LENGTH, UserError, closest, short


@dataclass(frozen=True)
class Encoding:
    """How pixels lie in memory.

    Attributes:
        channels: numbers per pixel.
        to_rgb: turns (H, W, channels) into (H, W, 3); None where they are RGB already.
        bits: of a number, 8 or 16.
        rows: rows in memory per image row; 1.5 for planar YUV 4:2:0.
    """

    channels: int
    to_rgb: Callable[[np.ndarray], np.ndarray] | None
    bits: int = 8
    rows: float = 1.0


def _cv(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: cv2.cvtColor(image, code)


_COLOUR = {"rgb": (3, None), "bgr": (3, _cv(cv2.COLOR_BGR2RGB))}
_COLOUR |= {"rgba": (4, _cv(cv2.COLOR_RGBA2RGB)), "bgra": (4, _cv(cv2.COLOR_BGRA2RGB))}
_COLOUR |= {"mono": (1, _cv(cv2.COLOR_GRAY2RGB))}
# OpenCV names a pattern by the second row's second and third pixel, ROS by the first four.
_COLOUR |= {"bayer_rggb": (1, _cv(cv2.COLOR_BayerBG2RGB)), "bayer_bggr": (1, _cv(cv2.COLOR_BayerRG2RGB))}
_COLOUR |= {"bayer_gbrg": (1, _cv(cv2.COLOR_BayerGR2RGB)), "bayer_grbg": (1, _cv(cv2.COLOR_BayerGB2RGB))}
_UYVY = Encoding(2, _cv(cv2.COLOR_YUV2RGB_UYVY))
_YUYV = Encoding(2, _cv(cv2.COLOR_YUV2RGB_YUY2))

MAX_COMPRESSED_PIXELS = 2**26  # of a compressed image: a few bytes may claim to be gigabytes
PNG, JPEG, JPEG_END = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"\xff\xd9"
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # kinds of segments with the size of a JPEG

ENCODINGS = {f"{name}{bits}": Encoding(*entry, bits) for name, entry in _COLOUR.items() for bits in (8, 16)}
ENCODINGS |= {"8UC1": ENCODINGS["mono8"], "8UC3": ENCODINGS["bgr8"], "8UC4": ENCODINGS["bgra8"]}  # OpenCV's order
ENCODINGS |= {"16UC1": ENCODINGS["mono16"], "16UC3": ENCODINGS["bgr16"]}
ENCODINGS |= {"yuv422": _UYVY, "uyvy": _UYVY, "yuv422_yuy2": _YUYV, "yuyv": _YUYV}
ENCODINGS |= {"nv12": Encoding(1, _cv(cv2.COLOR_YUV2RGB_NV12), rows=1.5)}
ENCODINGS |= {"nv21": Encoding(1, _cv(cv2.COLOR_YUV2RGB_NV21), rows=1.5)}
DEPTHS = {"16UC1": ("u2", 1e-3), "mono16": ("u2", 1e-3), "32FC1": ("f4", 1.0)}  # numbers, metres of one


def decode(
    data: object, encoding: str, width: int, height: int, step: int, *, big_endian: bool = False, where: str = "image"
) -> np.ndarray:
    """Turn the bytes of an image into RGB.

    A 16-bit number v becomes v * 255 / 65535, whatever range the camera uses of it.

    Args:
        data: the rows, a buffer of bytes.
        encoding: one of ENCODINGS.
        width: of the image [px].
        height: of the image [px].
        step: bytes from one row to the next; rows may be padded.
        big_endian: order of the bytes of 16-bit numbers.
        where: the topic, for the messages of errors.

    Returns:
        (H, W, 3) uint8 RGB; a view of the data for unpadded rgb8, else a copy.

    Raises:
        UserError: the encoding is not known, or the sizes contradict the data.
    """
    if encoding not in ENCODINGS:
        raise UserError(
            f"{where}: encoding {short(encoding)} is not supported{closest(encoding[:MAX_VALUE_LENGTH], ENCODINGS)}"
        )
    kind = ENCODINGS[encoding]
    rows, used = round(height * kind.rows), width * kind.channels * kind.bits // 8
    _check(memoryview(data).nbytes, encoding, (width, height), (rows, used), step, where)
    pixels = np.frombuffer(data, np.uint8).reshape(rows, step)[:, :used]
    if kind.bits == 16:
        pixels = np.ascontiguousarray(pixels).view(">u2" if big_endian else "<u2").astype(np.uint16)
    pixels = pixels.reshape(rows, width, kind.channels)
    if kind.to_rgb is not None:
        pixels = kind.to_rgb(pixels)
    return pixels if kind.bits == 8 else cv2.convertScaleAbs(pixels, alpha=255 / 65535)


def decode_depth(
    data: object, encoding: str, width: int, height: int, step: int, *, big_endian: bool = False, where: str = "depth"
) -> np.ndarray:
    """Turn the bytes of a depth image, in millimetres or metres as REP 118 has it, into metres.

    The arguments are those of `decode`.

    Returns:
        (H, W) float32 along the optical axis [m]; 0, NaN or infinite where nothing was measured.

    Raises:
        UserError: the encoding is not one of depth, or the sizes contradict the data.
    """
    if encoding not in DEPTHS:
        raise UserError(f"{where}: encoding {encoding!r} is not one of depth: {', '.join(DEPTHS)}")
    kind, unit = DEPTHS[encoding]
    used = width * np.dtype(kind).itemsize
    _check(memoryview(data).nbytes, encoding, (width, height), (height, used), step, where)
    rows = np.frombuffer(data, np.uint8).reshape(height, step)[:, :used]
    numbers = np.ascontiguousarray(rows).view((">" if big_endian else "<") + kind)
    return numbers.astype(np.float32, copy=False) * np.float32(unit)


def _check(size: int, encoding: str, shape: tuple[int, int], layout: tuple[int, int], step: int, where: str) -> None:
    """Refuse an image whose numbers contradict each other; layout is (rows, bytes used of each)."""
    (width, height), (rows, used) = shape, layout
    what = f"{where}: an image of {width}x{height} {encoding}"
    even = encoding.startswith(("yuv", "uyvy", "yuyv", "nv"))
    if width < 1 or height < 1 or (even and width % 2) or (encoding.startswith("nv") and height % 2):
        raise UserError(f"{what} has no pixels{' or odd sides' if even else ''}; mend its publisher")
    if step < used:
        raise UserError(f"{what} needs a step of at least {used} bytes, its step is {step}; mend its publisher")
    if size != rows * step:
        raise UserError(f"{what} with step {step} needs {rows * step} bytes, it has {size}; mend its publisher")


def decompress(data: object, where: str = "image") -> np.ndarray:
    """(H, W, 3) uint8 RGB of JPEG or PNG, a buffer of bytes.

    Raises:
        UserError: it is neither, damaged or cut short, or says that it is larger than images are.
    """
    data = memoryview(data).tobytes()
    width, height = _size(data)
    if width * height > MAX_COMPRESSED_PIXELS:
        raise UserError(
            f"{where}: a compressed image that says it is of {width}x{height}; at most {MAX_COMPRESSED_PIXELS} pixels "
            "are allowed"
        )
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if width * height else None
    if bgr is None:
        raise UserError(f"{where}: a compressed image of {len(data)} bytes cannot be read; JPEG and PNG can")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _size(data: bytes) -> tuple[int, int]:
    """Width and height as a JPEG or PNG says them [px]; zeros when it is neither, or a JPEG without an end."""
    if data.startswith(PNG) and len(data) >= 24:
        return unpack_from(">II", data, 16)
    at = 2 if data.startswith(JPEG) else len(data)
    while at + 9 <= len(data) and data[at] == 0xFF:  # one segment after the other: its kind, its length, what it holds
        kind, length = unpack_from(">BH", data, at + 1)
        if kind in FRAMES:
            height, width = unpack_from(">HH", data, at + 5)
            return (width, height) if data.find(JPEG_END, at) > 0 else (0, 0)
        at += 1 if kind == 0xFF else 2 + length
    return 0, 0
