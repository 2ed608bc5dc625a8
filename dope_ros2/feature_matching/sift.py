"""Local features of an image: SIFT keypoints with RootSIFT descriptors."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

CONTRAST = 0.02  # lowest contrast of a keypoint, as SIFT counts it
OFFSET = 0.25  # [px] that OpenCV's keypoints lie too far right and down: half a pixel of the doubled image


class Features(NamedTuple):
    """Local features of an image, or of a part of it.

    Attributes:
        pixels: (N, 2) where they are [px].
        sizes: (N,) diameter of the blob that each is centred on [px].
        angles: (N,) direction of its gradient, from x (right) towards y (down) [rad].
        descriptors: (N, 128) float32 RootSIFT, of length 1.
    """

    pixels: np.ndarray
    sizes: np.ndarray
    angles: np.ndarray
    descriptors: np.ndarray

    def where(self, chosen: np.ndarray) -> Features:
        """Those of an index array or mask."""
        return Features(*(each[chosen] for each in self))


def detect(gray: np.ndarray, contrast: float = CONTRAST, count: int = 0) -> Features:
    """SIFT features of an (H, W) uint8 image, of whole pixels at their centres; the `count` clearest ones if not 0."""
    finder = cv2.SIFT_create(nfeatures=count, contrastThreshold=contrast)
    keypoints, descriptors = finder.detectAndCompute(gray, None)
    if not keypoints:
        return Features(np.zeros((0, 2)), np.zeros(0), np.zeros(0), np.zeros((0, 128), np.float32))
    pixels = np.array([each.pt for each in keypoints]) - OFFSET
    sizes, angles = np.array([(each.size, np.deg2rad(each.angle)) for each in keypoints]).T
    return Features(pixels, sizes, angles, root_sift(descriptors))


def root_sift(descriptors: np.ndarray) -> np.ndarray:
    """(N, 128) float32 of length 1: roots of SIFT's shares (Arandjelovic and Zisserman, CVPR 2012)."""
    return np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-6), dtype=np.float32)
