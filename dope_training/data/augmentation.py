"""One image in, one training crop out: keypoints move with the pixels.

Measured on one core, OpenCV on 8-bit images is the fastest place for this, so nothing here is floating point
that can be a look-up table. Every draw takes the generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from dope_datagen.dataset.store import Sample
from dope_ros2.estimation.object_crops import MAX_MAGNIFICATION, magnification
from dope_ros2.geometry import cuboid
from dope_ros2.geometry.image_warp import warp

MIN_CROP_VISIBILITY = 0.3  # visible share of an object around which a crop is cut


@dataclass(frozen=True, eq=False)
class Crop:
    """A training image.

    Attributes:
        image: (S, S, 3) uint8 RGB.
        names: class name of each object.
        keypoints: (N, 9, 2) in the crop [px], inside or not.
        visibility: (N,) visible pixels in the crop over those of the object alone.
        mask: (S, S) uint8, k + 1 where object k is seen.
        window: (2, 3) affine map from the stored image's pixels to the crop's.
    """

    image: np.ndarray
    names: list[str]
    keypoints: np.ndarray
    visibility: np.ndarray
    mask: np.ndarray
    window: np.ndarray


def augment(
    rng: np.random.Generator, sample: Sample, size: int, focus: Mapping[str, float] | None = None, zoomed: float = 0.0
) -> Crop:
    """Cut a random window of `size` px around a random place or object, occlude it, and photograph it badly.

    `focus` says how often it is an object of a class, by the class's name; 1 where it does not. `zoomed`: see
    `random_window`.
    """
    keypoints = np.array([label.keypoints for label in sample.objects]).reshape(-1, 9, 2)
    seen = np.array([label.visibility > MIN_CROP_VISIBILITY for label in sample.objects], bool)
    seen |= not seen.any()
    weights = np.array([(focus or {}).get(label.name, 1.0) for label in sample.objects], float)
    A = random_window(rng, keypoints[seen], sample.rgb.shape, size, weights[seen], zoomed)
    border = tuple(int(v) for v in rng.integers(0, 256, 3))
    image = warp(sample.rgb, A, size, border)
    mask = cv2.warpAffine(sample.mask, A, (size, size), flags=cv2.INTER_NEAREST)
    if rng.random() < 0.35:
        occlude(rng, image, mask)
    if rng.random() < 0.25:
        hide(rng, image, mask)
    counts = np.bincount(mask.ravel(), minlength=len(keypoints) + 1)[1 : len(keypoints) + 1]
    alone = np.array([label.px_all for label in sample.objects]) * np.linalg.det(A[:, :2])
    moved = keypoints @ A[:, :2].T + A[:, 2]
    names = [label.name for label in sample.objects]
    return Crop(photograph(rng, image), names, moved, counts / np.maximum(alone, 1), mask, A)


def random_window(
    rng: np.random.Generator,
    keypoints: np.ndarray,
    shape: tuple[int, ...],
    size: int,
    weights: np.ndarray,
    zoomed: float = 0.0,
) -> np.ndarray:
    """Draw the (2, 3) affine map from image to crop pixels.

    Mostly around one of the objects, which then spans a third of the crop to a little more than all of it, whatever
    its size was; turned freely in every sixth crop. `weights` (N,) say how often it is which. A share of `zoomed` is
    cut as `object_crops.crop_and_scale` does, with its errors of place and size: poses are made from those, the others
    are for finding.
    """
    whole = np.array(shape[1::-1])
    zooms = bool(zoomed and len(keypoints) and rng.random() < zoomed)
    if zooms or (len(keypoints) and rng.random() < 0.92):
        chosen = keypoints[rng.choice(len(keypoints), p=weights / weights.sum())]
        extent = np.ptp(chosen, axis=0).max()
        if zooms:
            scale = magnification(extent * np.exp(rng.normal(0, 0.12)), size, whole)
        else:
            scale = np.clip(np.exp(rng.uniform(np.log(size / 3), np.log(1.1 * size))) / extent, 0.2, MAX_MAGNIFICATION)
        target = chosen[cuboid.CENTRE]
    else:
        scale, target = np.exp(rng.uniform(np.log(0.6), np.log(1.5))), rng.uniform((0, 0), whole)
    turned = not zooms and rng.random() < 1 / 6
    angle = rng.uniform(-np.pi, np.pi) if turned else rng.normal(0, 0.15)
    R = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    aside = rng.normal(0, 0.06, 2) if zooms else rng.uniform(-0.5, 0.5, 2) * rng.choice([0.3, 0.5, 0.8])
    place = (size - 1) / 2 + aside * size
    middle = target + np.linalg.solve(R, np.full(2, (size - 1) / 2) - place)  # of the crop, in the image
    half = np.minimum(size / (2 * scale), whole / 2)  # the crop stays inside where it fits
    middle = np.clip(middle, half, whole - half)
    return np.column_stack([R, np.full(2, (size - 1) / 2) - R @ middle])


def occlude(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray) -> None:
    """Paint one to three blobs over the image, in place; what they cover is no longer visible."""
    size = len(image)
    for _ in range(rng.integers(1, 4)):
        centre, radii = rng.uniform(0, size, 2), size * rng.uniform(0.04, 0.22, 2)
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(4, 12)))
        outline = (centre + radii * np.column_stack([np.cos(angles), np.sin(angles)])).astype(np.int32)
        shape = np.zeros_like(mask)
        cv2.fillPoly(shape, [outline], 1)
        inside = shape > 0
        _paint(rng, image, mask, inside)


def hide(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray) -> None:
    """Cover up to two thirds of one object by a strip, in place, as a thing in front of it does.

    So that half an object is not taken for a whole one that is farther away (docs/decisions/0021-half-hidden.md).
    """
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return
    own = mask[rows, columns] == mask[rows, columns][rng.integers(len(rows))]
    angle = rng.uniform(-np.pi, np.pi)
    forward, sideways = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    seen = np.column_stack([columns, rows])[own]
    begins = np.quantile(seen @ forward, rng.uniform(1 / 3, 5 / 6))
    ends = begins + len(image) * rng.uniform(0.2, 1)
    middle, width = np.median(seen @ sideways), np.ptp(seen @ sideways) * rng.uniform(0.8, 2) + 1
    ys, xs = np.indices(mask.shape)
    along, across = (xs * axis[0] + ys * axis[1] for axis in (forward, sideways))
    _paint(rng, image, mask, (along > begins) & (along < ends) & (abs(across - middle) < width / 2))


def _paint(rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, inside: np.ndarray) -> None:
    """Put a random texture in front of what is `inside` (S, S)."""
    size, method = len(image), (cv2.INTER_LINEAR, cv2.INTER_NEAREST)[rng.integers(2)]
    texture = rng.integers(0, 256, (*rng.integers(1, 9, 2), 3), np.uint8)
    image[inside] = cv2.resize(texture, (size, size), interpolation=method)[inside]
    mask[inside] = 0


def photograph(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Exposure, colour, focus, motion, resolution, noise and compression of cheap cameras; (S, S, 3) uint8."""
    image = colour(rng, image)
    if rng.random() < 0.35:
        image = blur(rng, image)
    if rng.random() < 0.2:
        image = lower_resolution(rng, image)
    if rng.random() < 0.5:
        image = add_noise(rng, image)
    if rng.random() < 0.3:
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))])
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    return image


def colour(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Gamma, contrast, brightness and white balance by table; saturation and hue by a 3x3 matrix."""
    if rng.random() < 0.7:
        grey = np.full((3, 3), 1 / 3)
        saturation = rng.uniform(0.5, 1.5) if rng.random() < 0.95 else 0.0
        mix = saturation * np.eye(3) + (1 - saturation) * grey
        if rng.random() < 0.2:  # turn the hue about the grey axis
            turn, _ = cv2.Rodrigues(np.ones(3) / np.sqrt(3) * rng.normal(0, 0.15))
            mix = mix @ turn
        image = cv2.transform(image, mix)
    levels = np.linspace(0, 1, 256)[:, None]
    gain = rng.uniform(0.7, 1.35) * rng.uniform(0.9, 1.1, 3)
    curve = (levels ** rng.uniform(0.7, 1.4) - 0.5) * rng.uniform(0.75, 1.3) + 0.5
    table = np.clip(255 * (gain * curve + rng.uniform(-0.06, 0.06)), 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[None])


def blur(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Defocus, or motion along a random line."""
    if rng.random() < 0.6:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.3))
    length = int(rng.integers(3, 6))
    kernel = np.zeros((length, length), np.float32)
    direction = rng.uniform(0, np.pi)
    reach = (length - 1) / 2 * np.array([np.cos(direction), np.sin(direction)])
    ends = [tuple(round(float(v)) for v in (length - 1) / 2 + sign * reach) for sign in (-1, 1)]
    cv2.line(kernel, *ends, 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def lower_resolution(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Shrink and enlarge again."""
    small = int(len(image) * rng.uniform(0.55, 0.95))
    return cv2.resize(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), image.shape[1::-1])


def add_noise(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Gaussian noise, of pixels or of coarser grain, equal in all channels or not."""
    channels = 1 if rng.random() < 0.3 else 3
    grain = 1 if rng.random() < 0.7 else 2
    rows, columns = (-(-side // grain) for side in image.shape[:2])
    noise = np.zeros((rows, columns, channels), np.int16)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    cv2.randn(noise, 0, float(rng.uniform(1, 9)))
    noise = cv2.resize(noise, image.shape[1::-1]) if grain > 1 else noise
    noise = cv2.merge([noise] * 3) if channels == 1 else noise
    return cv2.add(image, noise, dtype=cv2.CV_8U)
