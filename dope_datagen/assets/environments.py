"""Light from all around: panoramas, made here or read from Radiance files, split into one sun and a soft rest.

Directions are in the environment's frame, z up; a panorama's rows go from the zenith down, its columns around z.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import pip_install

HEIGHT, WIDTH = 64, 128  # of the panorama that lights things
MAX_RADIANCE = 65504.0  # of a pixel of a panorama, the largest half-precision number
SUN_SHARE = 0.004  # of the sphere's texels may belong to the sun


@dataclass(frozen=True, eq=False)
class Environment:
    """A panorama scaled so that the mean of its upper hemisphere is 1.

    Attributes:
        panorama: (64, 128, 3) float32 linear RGB, without its sun.
        backdrop: (H, W, 3) float32, with the sun, for what the camera sees directly.
        harmonics: (9, 3) of the irradiance divided by pi.
        sun_direction: (3,) towards the sun.
        sun_color: (3,) irradiance divided by pi on a surface that faces the sun.
    """

    panorama: np.ndarray
    backdrop: np.ndarray
    harmonics: np.ndarray
    sun_direction: np.ndarray
    sun_color: np.ndarray


def directions(height: int, width: int) -> np.ndarray:
    """Unit vectors (H, W, 3) of a panorama's texels."""
    polar = np.pi * (np.arange(height) + 0.5) / height
    azimuth = 2 * np.pi * (np.arange(width) + 0.5) / width
    ring = np.stack([np.cos(azimuth), np.sin(azimuth)], -1)
    flat = np.sin(polar)[:, None, None] * ring[None]
    return np.concatenate([flat, np.broadcast_to(np.cos(polar)[:, None, None], (height, width, 1))], -1)


def solid_angles(height: int, width: int) -> np.ndarray:
    """Solid angle (H, 1) of a texel of each row [sr]."""
    edges = np.cos(np.pi * np.arange(height + 1) / height)
    return ((edges[:-1] - edges[1:]) * 2 * np.pi / width)[:, None]


def basis(d: np.ndarray) -> np.ndarray:
    """The nine real spherical harmonics up to degree 2 at unit vectors (..., 3)."""
    x, y, z = np.moveaxis(d, -1, 0)
    return np.stack(
        [
            0.282095 * np.ones_like(x),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        -1,
    )


def irradiance(panorama: np.ndarray) -> np.ndarray:
    """Harmonics (9, 3) of the irradiance, divided by pi, under a panorama (H, W, 3)."""
    weighted = panorama * solid_angles(*panorama.shape[:2])[..., None]
    radiance = np.einsum("hwk,hwc->kc", basis(directions(*panorama.shape[:2])), weighted)
    band = np.repeat([1.0, 2 / 3, 1 / 4], [1, 3, 5])  # the cosine lobe's, divided by pi
    return radiance * band[:, None]


def build(image: np.ndarray) -> Environment:
    """Split a panorama (H, W, 3), linear RGB of any scale, into sun and rest."""
    image = np.maximum(np.float32(image), 0)
    upper = image[: image.shape[0] // 2]
    weights = np.broadcast_to(solid_angles(*image.shape[:2])[: len(upper), :, None], upper.shape)
    image = image / max(float(np.average(upper, weights=weights)), 1e-6)
    small = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    brightness = small.mean(-1)
    limit = max(2.0, float(np.quantile(brightness, 1 - SUN_SHARE)))
    excess = small * np.clip(1 - limit / np.maximum(brightness, 1e-6), 0, 1)[..., None]
    weighted = excess * solid_angles(HEIGHT, WIDTH)[..., None]
    towards = (directions(HEIGHT, WIDTH) * weighted.mean(-1, keepdims=True)).sum((0, 1))
    towards[2] += 1e-6  # when there is no sun
    rest = np.float32(small - excess)
    sun = weighted.sum((0, 1)) / np.pi
    return Environment(rest, np.minimum(image, 30), irradiance(rest), towards / np.linalg.norm(towards), sun)


def procedural(seed: int) -> Environment:
    """Draw the panorama `seed`: a sky over ground, or a room with windows and lamps."""
    rng = np.random.default_rng([7, seed])
    d = directions(HEIGHT, WIDTH)
    image = _room(rng, d) if rng.random() < 0.7 else _sky(rng, d)
    noise = cv2.resize(rng.uniform(0.6, 1.4, (9, 18, 3)).astype(np.float32), (WIDTH, HEIGHT))
    return build(image * noise)


def _tinted(rng: np.random.Generator, spread: float) -> np.ndarray:
    return np.exp(rng.normal(0, spread, 3))


def _sky(rng: np.random.Generator, d: np.ndarray) -> np.ndarray:
    up = d[..., 2:]
    zenith = rng.uniform(0.4, 1.0) * np.array([0.45, 0.7, 1.2]) ** rng.uniform(0, 1.2)
    horizon = rng.uniform(0.7, 1.6) * _tinted(rng, 0.12)
    ground = rng.uniform(0.1, 0.6) * _tinted(rng, 0.2)
    image = np.where(up > 0, horizon + np.sqrt(np.maximum(up, 0)) * (zenith - horizon), ground)
    return _lamp(rng, image, d, height=(0.15, 0.95), width=(0.03, 0.12), power=(0.1, 5.0))


def _room(rng: np.random.Generator, d: np.ndarray) -> np.ndarray:
    walls = rng.uniform(0.15, 0.8) * _tinted(rng, 0.12)
    ceiling, floor = rng.uniform(0.3, 1.1) * _tinted(rng, 0.05), rng.uniform(0.05, 0.5) * _tinted(rng, 0.2)
    steep = np.abs(d[..., 2:]) > rng.uniform(0.45, 0.7)
    image = np.where(steep, np.where(d[..., 2:] > 0, ceiling, floor), walls * (1 + 0.4 * d[..., :1]))
    for _ in range(rng.integers(1, 6)):
        image = _lamp(rng, image, d, height=(-0.1, 1.0), width=(0.05, 0.5), power=(0.1, 1.2))
    return image


def _lamp(
    rng: np.random.Generator,
    image: np.ndarray,
    d: np.ndarray,
    height: tuple[float, float],
    width: tuple[float, float],
    power: tuple[float, float],
) -> np.ndarray:
    """Add a soft disc or a window; `power` is its irradiance over pi."""
    z, azimuth = rng.uniform(*height), rng.uniform(0, 2 * np.pi)
    flat = np.sqrt(max(1 - z * z, 0))
    towards = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), z])
    side = np.cross(towards, [0.1, 0.2, 1])
    side /= np.linalg.norm(side)
    a, b = d @ side, d @ np.cross(towards, side)
    w, h = np.exp(rng.uniform(np.log(width[0]), np.log(width[1]), 2))
    reach = np.maximum(np.abs(a) / w, np.abs(b) / h) if rng.random() < 0.5 else np.hypot(a / w, b / h)
    shape = np.clip((1.15 - reach) / 0.3, 0, 1) * (d @ towards > 0)
    total = float((shape * solid_angles(*shape.shape)).sum()) / np.pi
    warm = np.array([1.0, 0.82, 0.6]) ** rng.uniform(-0.5, 1.5)
    return image + shape[..., None] * warm * rng.uniform(*power) / max(total, 1e-3)


def read(path: Path) -> Environment:
    """Read a panorama, Radiance .hdr or OpenEXR .exr.

    Raises:
        UserError: the file cannot be read.
    """
    image = _read_exr(path) if path.suffix.lower() == ".exr" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or not np.isfinite(image).any():
        raise UserError(
            f"{path}: not a readable panorama; give Radiance .hdr or OpenEXR .exr files in colour, twice as wide as "
            "high"
        )
    image = np.nan_to_num(np.float32(image), posinf=MAX_RADIANCE)
    return build(cv2.resize(image[..., 2::-1], (512, 256), interpolation=cv2.INTER_AREA))


def _read_exr(path: Path) -> np.ndarray | None:
    """The (H, W, 3) image of an OpenEXR file, BGR as OpenCV has it."""
    try:
        import OpenEXR
    except ImportError as error:
        instead = f"{pip_install('openexr')}; .hdr files do not"
        raise UserError(f"{path}: needs the Python package OpenEXR: {instead}") from error
    try:
        with OpenEXR.File(str(path)) as file:
            channels = file.channels()
            color = channels.get("RGB") or channels.get("RGBA")
            return color.pixels[..., 2::-1] if color else None
    except (OSError, RuntimeError, ValueError):
        return None


@lru_cache(maxsize=32)
def load(key: str) -> Environment:
    """The environment of a key, "procedural:<seed>" or "file:<path>"."""
    kind, _, rest = key.partition(":")
    return read(Path(rest)) if kind == "file" else procedural(int(rest))


def rotation(yaw: float, tilt: float = 0.0) -> np.ndarray:
    """(3, 3) turn about z by `yaw`, then about x by `tilt` [rad]."""
    c, s = np.cos([yaw, tilt]), np.sin([yaw, tilt])
    about_z = np.array([[c[0], -s[0], 0], [s[0], c[0], 0], [0, 0, 1]])
    return np.array([[1, 0, 0], [0, c[1], -s[1]], [0, s[1], c[1]]]) @ about_z
