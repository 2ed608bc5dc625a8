"""Cutting and scaling images: an affine map, without aliasing."""

from __future__ import annotations

import cv2
import numpy as np

BORDER_COLOR = (124, 116, 104)  # beyond the image's border


def warp(image: np.ndarray, A: np.ndarray, size: int, border: tuple[int, ...] = BORDER_COLOR) -> np.ndarray:
    """Apply the affine map (2, 3) to an image, (size, size, 3); halved as often as it shrinks, against aliasing."""
    scale = float(np.sqrt(np.linalg.det(A[:, :2])))
    halvings = min(max(0, int(-np.log2(scale) + 0.4)), int(np.log2(min(image.shape[:2]))))
    if halvings:
        factor = 0.5**halvings
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        offset = A[:, :2] @ np.full(2, 0.5 / factor - 0.5) + A[:, 2]  # pixel centres move by half a pixel
        A = np.column_stack([A[:, :2] / factor, offset])
    return cv2.warpAffine(image, A, (size, size), flags=cv2.INTER_LINEAR, borderValue=border)
