"""What the camera makes of light, and what it sees where there is no body; the rasteriser's shaders do the same."""

from __future__ import annotations

import cv2
import numpy as np

from dope_datagen.assets import environments
from dope_datagen.renderers.texture_images import picture
from dope_datagen.scenes.scene import Scene

SHOULDER = 0.8  # linear values above it roll off
MOST_BLUR = 4.0  # at most 16 pixels of a panorama


def photograph(light: np.ndarray, scene: Scene) -> np.ndarray:
    """Linear light (H, W, 3) to the camera's uint8 sRGB: exposure, white balance, a shoulder, the sRGB curve."""
    x = np.maximum(light * (scene.exposure * np.array(scene.balance, np.float32)), 0)
    over = SHOULDER + (1 - SHOULDER) * (1 - np.exp(-np.maximum(x - SHOULDER, 0) / (1 - SHOULDER)))
    x = np.where(x > SHOULDER, over, x)
    curved = np.where(x > 0.0031308, 1.055 * np.maximum(x, 1e-8) ** (1 / 2.4) - 0.055, 12.92 * x)
    return np.uint8(np.clip(curved, 0, 1) * 255 + 0.5)


def backdrop(scene: Scene) -> np.ndarray:
    """Linear light (H, W, 3) float32 behind all bodies, before exposure."""
    u, v = np.meshgrid(np.arange(scene.width, dtype=np.float32), np.arange(scene.height, dtype=np.float32))
    if scene.backdrop == "environment":
        return _surroundings(scene, u, v)
    image = picture(scene.backdrop)
    left, top, width, height = scene.backdrop_window
    x = (left + (u + 0.5) / scene.width * width) * image.shape[1] - 0.5
    y = (top + (v + 0.5) / scene.height * height) * image.shape[0] - 0.5
    seen = cv2.remap(linear(image), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return seen * scene.backdrop_gain / (scene.exposure * np.array(scene.balance, np.float32))


def _surroundings(scene: Scene, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The panorama as the camera sees it, blurred over 2 ** backdrop_gain of its pixels."""
    image = environments.load(scene.environment).backdrop.astype(np.float32)
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(scene.camera.K).T.astype(np.float32)
    d = rays @ np.array(scene.environment_rotation, np.float32).reshape(3, 3).T
    d /= np.linalg.norm(d, axis=-1, keepdims=True)
    sigma = 0.5 * 2 ** min(max(scene.backdrop_gain, 0.0), MOST_BLUR)
    image = cv2.GaussianBlur(cv2.copyMakeBorder(image, 0, 0, 16, 16, cv2.BORDER_WRAP), (0, 0), sigma)
    width, height = image.shape[1] - 32, image.shape[0]
    x = (np.arctan2(d[..., 1], d[..., 0]) / (2 * np.pi) % 1) * width - 0.5 + 16
    y = np.arccos(np.clip(d[..., 2], -1, 1)) / np.pi * height - 0.5
    return cv2.remap(image, np.float32(x), np.float32(y), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def linear(image: np.ndarray) -> np.ndarray:
    """UInt8 sRGB (H, W, 3) to linear float32."""
    return _LINEAR[image]


_CODES = np.arange(256) / 255
_LINEAR = np.float32(np.where(_CODES > 0.04045, ((_CODES + 0.055) / 1.055) ** 2.4, _CODES / 12.92))
