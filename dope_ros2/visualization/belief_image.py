"""What the network believes, as an image: where in the image it sees each keypoint of one object."""

from __future__ import annotations

import cv2
import numpy as np

CELL = 4  # [px] side of a map's cell in the image
DARK = 0.4  # share of the image's light that is left behind the maps
TEXT = (255, 220, 60)


def belief_picture(image: np.ndarray, belief: np.ndarray) -> np.ndarray:
    """Draw nine belief maps, white where sure, over the darkened image: corners 0 to 7 row by row, then the centre.

    Args:
        image: (H, W, 3) uint8 RGB, of which the maps show the whole.
        belief: (9, h, w); each map is marked with its keypoint's number and its highest belief.

    Returns:
        (12 h, 12 w, 3) uint8 RGB, three tiles by three.
    """
    height, width = (CELL * side for side in belief.shape[1:])
    ground = DARK * cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    tiles = [_tile(ground, each, f"{number}: {each.max():.2f}") for number, each in enumerate(belief)]
    return np.vstack([np.hstack(tiles[first : first + 3]) for first in (0, 3, 6)])


def _tile(ground: np.ndarray, belief: np.ndarray, text: str) -> np.ndarray:
    light = cv2.resize(np.nan_to_num(belief.astype(np.float32)), ground.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    light = np.clip(light, 0, 1)[..., None]
    tile = np.rint(ground + light * (255 - ground)).astype(np.uint8)
    tile[-1], tile[:, -1] = 0, 0
    cv2.putText(tile, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, TEXT, 1, cv2.LINE_AA)
    return tile
