"""Images to maps: an image is scaled and continued to whole cells, the network runs, instances are decoded."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.common.stage_timer import StageTimer
from dope_ros2.engines.registry import Engine
from dope_ros2.estimation.map_decoder import KeypointInstance, decode
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.network.channels import SIDE_MULTIPLE
from dope_ros2.network.metadata import Metadata

CROP_BATCH_SIZE = 16  # closer looks at once
MAX_IMAGE_PIXELS = 2**25  # that are looked at: one of a few megabytes could ask for all the memory there is


class Maps(NamedTuple):
    """Belief (C, 9, h, w), affinity (C, 16, h, w) and, where there is one, surface (C, 4, h, w) as probabilities."""

    belief: np.ndarray
    affinity: np.ndarray
    surface: np.ndarray | None

    def of(self, indices: list[int]) -> Maps:
        """Those of some objects."""
        surface = None if self.surface is None else self.surface[indices]
        return Maps(self.belief[indices], self.affinity[indices], surface)

    @classmethod
    def joined(cls, parts: list[Maps]) -> Maps:
        """One after the other, as if they were of several objects."""
        surfaces = [part.surface for part in parts]
        surface = None if surfaces[0] is None else np.concatenate(surfaces)
        return cls(np.concatenate([p.belief for p in parts]), np.concatenate([p.affinity for p in parts]), surface)


class MapPredictor:
    """Predicts the maps of images, and reads instances from them."""

    def __init__(self, engine: Engine, metadata: Metadata, stages: StageTimer) -> None:
        """Of a network that runs, with what its file says; times are told to `stages`."""
        self._engine, self._metadata, self._stages = engine, metadata, stages

    def scaled(
        self, image: np.ndarray, camera: CameraModel, input_height: int = -1, scale: float = 1.0
    ) -> tuple[np.ndarray, CameraModel]:
        """An image and its camera as the network is to see them.

        Args:
            image: (H, W, 3) uint8 RGB.
            camera: of the image.
            input_height: the height that is wanted [px]; 0 keeps the image's own, below 0 takes the weights' advice.
            scale: share of that height.

        Raises:
            UserError: it would be too large for that.
        """
        height = self._metadata.input_height if input_height < 0 else input_height
        scale = scale * (height / image.shape[0] if height else 1.0)
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        if size[0] * size[1] > MAX_IMAGE_PIXELS:
            raise UserError(
                f"an image of {image.shape[1]}x{image.shape[0]} would be looked at as {size[0]}x{size[1]}, and "
                f"{MAX_IMAGE_PIXELS} pixels are the most; lower input_height, or look at a part of it (roi)"
            )
        if scale == 1:
            return image, camera
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return cv2.resize(image, size, interpolation=interpolation), camera.resized(*size)

    def maps(self, images: list[np.ndarray]) -> list[Maps]:
        """Run the network on images (H, W, 3) uint8 RGB, all of one size.

        The images are continued by their border to multiples of 32; the maps are cut to the images again.
        """
        batches = (images[start : start + CROP_BATCH_SIZE] for start in range(0, len(images), CROP_BATCH_SIZE))
        return [maps for batch in batches for maps in self._maps(batch)]

    def _maps(self, images: list[np.ndarray]) -> list[Maps]:
        height, width = images[0].shape[:2]
        margins = 0, -height % SIDE_MULTIPLE, 0, -width % SIDE_MULTIPLE
        with self._stages("preprocess"):
            padded = np.stack([cv2.copyMakeBorder(image, *margins, cv2.BORDER_REPLICATE) for image in images])
        stride = self._metadata.stride
        rows, columns = -(-height // stride), -(-width // stride)
        with self._stages("network"):
            outputs = self._engine(padded)
        belief, affinity, *surfaces = (maps[..., :rows, :columns] for maps in outputs)
        surface = surfaces[0] if surfaces else [None] * len(images)
        return [Maps(*each) for each in zip(belief, affinity, surface, strict=True)]

    def instances(self, maps: Maps, peak_threshold: float) -> list[KeypointInstance]:
        """Instances of all objects of the maps, their keypoints in pixels of the maps' image."""
        spec = self._metadata
        shift = spec.origin - (spec.stride - 1) / 2
        with self._stages("decode"):
            decoded = decode(maps.belief, maps.affinity, spec.map_spec, peak_threshold, spec.calibration)
        return [replace(instance, keypoints=instance.keypoints + shift) for instance in decoded]
