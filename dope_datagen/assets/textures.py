"""Procedural images, (H, W, 3) uint8 sRGB: what unknown things, tables and walls are covered with."""

from __future__ import annotations

import cv2
import numpy as np

from dope_datagen.carton import font

SIZE = 256


def color(rng: np.random.Generator) -> np.ndarray:
    """A random colour (3,): any hue, from grey to vivid, from dark to light."""
    hsv = np.array([[[rng.uniform(0, 180), 255 * rng.beta(1.1, 1.1), 255 * rng.beta(1.6, 1.1)]]])
    return cv2.cvtColor(np.uint8(hsv), cv2.COLOR_HSV2RGB)[0, 0].astype(float)


def field(rng: np.random.Generator, octaves: int = 5, stretch: float = 1.0) -> np.ndarray:
    """Smooth noise (S, S) in [0, 1]: octaves of random grids; `stretch` > 1 draws it out along the rows."""
    total = np.zeros((SIZE, SIZE), np.float32)
    first, fall = int(rng.integers(1, 4)), rng.uniform(0.4, 0.85)
    for octave in range(octaves):
        cells = 2 ** (first + octave)
        grid = rng.random((cells + 1, max(2, int(cells / stretch) + 1)), np.float32)
        total += fall**octave * cv2.resize(grid, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    low, high = total.min(), total.max()
    return (total - low) / max(high - low, 1e-6)


def blend(share: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Mix two colours (3,) by an (S, S) share."""
    return first + share[..., None] * (last - first)


def plain(rng: np.random.Generator) -> np.ndarray:
    """One colour, slightly uneven."""
    return blend(field(rng), color(rng), color(rng)) * 0.08 + 0.92 * color(rng)


def pale(rng: np.random.Generator) -> np.ndarray:
    """Near white or light grey, as paper, plastic and painted tables are."""
    return rng.uniform(150, 252) * np.ones((SIZE, SIZE, 3)) + 6 * (field(rng)[..., None] - 0.5) + rng.uniform(-9, 9, 3)


def noise(rng: np.random.Generator) -> np.ndarray:
    """Clouds of two or three colours."""
    image = blend(field(rng), color(rng), color(rng))
    return blend(field(rng), image, color(rng)) if rng.random() < 0.5 else image


def grain(rng: np.random.Generator) -> np.ndarray:
    """Speckled carpet, granite or sand: fine noise in a few colours."""
    palette = np.array([color(rng) for _ in range(rng.integers(2, 5))])
    palette = palette.mean(0) + rng.uniform(0.2, 1) * (palette - palette.mean(0))
    cells = int(rng.integers(40, SIZE))
    image = palette[rng.integers(0, len(palette), (cells, cells))].astype(np.float32)
    return cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def wood(rng: np.random.Generator) -> np.ndarray:
    """Planks with drawn-out rings."""
    base = np.array([rng.uniform(90, 215), 0, 0])
    base[1:] = base[0] * rng.uniform(0.6, 0.85), base[0] * rng.uniform(0.3, 0.65)
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(3, 14) * field(rng, 3, stretch=6)))
    fibres = field(rng, 6, stretch=12)
    image = blend(rng.uniform(0.1, 0.5) * rings + rng.uniform(0.1, 0.5) * fibres, base, base * rng.uniform(0.3, 0.7))
    for plank in range(rng.integers(0, 6)):
        row = int(plank * SIZE / 5)
        image[row : row + 2] *= 0.5
        image[row : row + SIZE // 5] *= rng.uniform(0.85, 1.1)
    return image


def stripes(rng: np.random.Generator) -> np.ndarray:
    """Stripes at any angle, sharp or soft."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    angle, waves = rng.uniform(0, np.pi), rng.uniform(2, 16)
    wave = np.sin(2 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)))
    return blend(np.clip(0.5 + rng.uniform(0.5, 9) * wave, 0, 1), color(rng), color(rng))


def checker(rng: np.random.Generator) -> np.ndarray:
    """Tiles of two colours, with joints at times."""
    cells = int(rng.integers(2, 14))
    y, x = np.mgrid[:SIZE, :SIZE] * cells / SIZE
    image = blend((x.astype(int) + y.astype(int)) % 2, color(rng), color(rng))
    if rng.random() < 0.4:
        image[((x % 1) < 0.06) | ((y % 1) < 0.06)] = color(rng)
    return image


def gradient(rng: np.random.Generator) -> np.ndarray:
    """From one colour to another."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    return blend(np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1), color(rng), color(rng))


def polygons(rng: np.random.Generator) -> np.ndarray:
    """Overlapping polygons and ellipses."""
    image = np.tile(color(rng), (SIZE, SIZE, 1)).astype(np.uint8)
    for _ in range(rng.integers(4, 28)):
        centre, radius = rng.uniform(0, SIZE, 2), SIZE * np.exp(rng.uniform(np.log(0.03), np.log(0.4)))
        fill = color(rng).tolist()
        if rng.random() < 0.3:
            axes = np.maximum(radius * rng.uniform(0.3, 1, 2), 1).astype(int).tolist()
            cv2.ellipse(image, centre.astype(int).tolist(), axes, rng.uniform(0, 180), 0, 360, fill, -1, cv2.LINE_AA)
            continue
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
        corners = centre + radius * np.stack([np.cos(angles), np.sin(angles)], -1)
        cv2.fillPoly(image, [corners.astype(np.int32)], fill, cv2.LINE_AA)
    return image


def label(rng: np.random.Generator) -> np.ndarray:
    """A print like that of packages: fields of colour, lines of words, a disc, a bar code."""
    image = np.tile(color(rng), (SIZE, SIZE, 1)).astype(np.uint8)
    for _ in range(rng.integers(1, 5)):
        u, v = rng.integers(-40, SIZE, 2).tolist()
        w, h = rng.integers(30, SIZE, 2).tolist()
        cv2.rectangle(image, (u, v), (u + w, v + h), color(rng).tolist(), -1)
    if rng.random() < 0.5:
        cv2.circle(
            image, rng.integers(0, SIZE, 2).tolist(), int(rng.integers(15, 80)), color(rng).tolist(), -1, cv2.LINE_AA
        )
    for _ in range(rng.integers(1, 10)):
        _word(rng, image)
    if rng.random() < 0.35:
        u, v = rng.integers(10, SIZE - 70, 2)
        bars = np.repeat(rng.integers(0, 2, 30, np.uint8) * 235 + 10, 2)
        image[v : v + 40, u : u + 60] = bars[None, :, None]
    return image


def _word(rng: np.random.Generator, image: np.ndarray) -> None:
    letters = "".join(rng.choice(list("ABCDEFGHIJKLMNOPRSTUVXYZ0123456789  "), rng.integers(3, 18)))
    scale = np.exp(rng.uniform(np.log(0.9), np.log(7)))
    at, ink = rng.uniform((-20, 0), (SIZE * 0.6, SIZE)), color(rng).tolist()
    lines = [np.int32((at + stroke * scale) * 8) for stroke in font.strokes(letters)]
    cv2.polylines(image, lines, False, ink, max(1, int(scale * rng.uniform(0.5, 1.3))), cv2.LINE_AA, 3)


def collage(rng: np.random.Generator) -> np.ndarray:
    """A busy room or shelf seen out of the corner of an eye: patches in perspective, (512, 512, 3)."""
    side = 2 * SIZE
    kinds = (plain, plain, pale, noise, grain, wood, stripes, checker, gradient, polygons, label, label)
    image = cv2.resize(np.float32(kinds[rng.integers(len(kinds))](rng)), (side, side))
    for _ in range(rng.integers(3, 14)):
        patch = np.clip(kinds[rng.integers(len(kinds))](rng) * rng.uniform(0.4, 1.1), 0, 255).astype(np.uint8)
        w, h = side * np.exp(rng.uniform(np.log(0.08), np.log(0.8), 2))
        upright = np.array([[0, 0], [w, 0], [w, h], [0, h]]) - [w / 2, h / 2] + rng.normal(0, 0.12, (4, 2)) * [w, h]
        turn = rng.normal(0, 0.25)
        R = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        corners = np.float32(upright @ R.T + rng.uniform(0, side, 2))
        H = cv2.getPerspectiveTransform(np.float32([[0, 0], [SIZE, 0], [SIZE, SIZE], [0, SIZE]]), corners)
        cover = cv2.fillConvexPoly(np.zeros((side, side), np.uint8), np.int32(corners), 1) > 0
        image[cover] = cv2.warpPerspective(patch, H, (side, side), borderMode=cv2.BORDER_REFLECT)[cover]
    for _ in range(rng.integers(0, 4)):  # cables and edges
        bends = np.cumsum(rng.normal(0, 60, (6, 2)), axis=0) + rng.uniform(0, side, 2)
        cv2.polylines(image, [np.int32(bends)], False, color(rng).tolist(), int(rng.integers(1, 7)), cv2.LINE_AA)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 2.5))


KINDS = {f.__name__: f for f in (plain, pale, noise, grain, wood, stripes, checker, gradient, polygons, label, collage)}
ON_THINGS = (
    "label",
    "label",
    "label",
    "polygons",
    "noise",
    "plain",
    "plain",
    "gradient",
    "stripes",
    "checker",
    "wood",
    "grain",
)
ON_TABLES = (
    "pale",
    "pale",
    "pale",
    "wood",
    "wood",
    "plain",
    "grain",
    "noise",
    "checker",
    "stripes",
    "polygons",
    "label",
)
BEHIND = ("collage",) * 9 + ("noise", "polygons", "grain", "pale", "plain", "wood", "gradient", "checker", "stripes")


def procedural(kind: str, seed: int) -> np.ndarray:
    """Draw the image `seed` of a kind of `KINDS`, square, uint8 sRGB."""
    rng = np.random.default_rng([sorted(KINDS).index(kind), seed])
    image = KINDS[kind](rng).astype(np.float32)
    if rng.random() < 0.4:  # wear
        worn = cv2.resize(field(rng), image.shape[1::-1])
        image = image * (1 - rng.uniform(0, 0.3) * worn[..., None])
    return np.clip(image, 0, 255).astype(np.uint8)
