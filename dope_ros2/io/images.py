"""Image files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.io.bop import IMAGE_SUFFIXES


def read_image(path: Path) -> np.ndarray:
    """Read an image as (H, W, 3) uint8 RGB.

    Raises:
        UserError: there is no such file or it is not an image.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such image")
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise UserError(f"{path}: not a readable image; it may be damaged (allowed: {', '.join(IMAGE_SUFFIXES)})")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
