"""One image's whole way: scale, normalise, network, decode, PnP, detections."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.special import expit

from dope_ros2.camera import CameraModel
from dope_ros2.decode import decode
from dope_ros2.detection import Detection
from dope_ros2.errors import UserError
from dope_ros2.network import MULTIPLE
from dope_ros2.objects import ObjectModel
from dope_ros2.pnp import Gate
from dope_ros2.poses import detect, suppress
from dope_ros2.surface import read
from dope_ros2.weights import Metadata, load, match_objects


@dataclass(frozen=True)
class Settings:
    """What a user may change from frame to frame.

    Attributes:
        min_score: detections less probably right are not reported, in [0, 1].
        peak_threshold: lowest belief to count as a keypoint, in (0, 1].
        max_reprojection_error: largest root mean square error of a pose's keypoints [px at the network's scale].
        input_height: images are scaled to this height first [px]; 0 keeps their own, -1 takes the weights' advice.
    """

    min_score: float = 0.5
    peak_threshold: float = 0.15
    max_reprojection_error: float = 6.0
    input_height: int = -1


def pick_device(name: str) -> torch.device:
    """`auto` is the GPU when there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"device {name!r} is not usable ({reason}); use auto, cpu or cuda") from error


class Estimator:
    """Finds known objects in an image."""

    def __init__(
        self, network: torch.nn.Module, metadata: Metadata, models: list[ObjectModel], device: str = "auto"
    ) -> None:
        self.models = models
        self.metadata = metadata
        self._device = pick_device(device)
        self._half = self._device.type == "cuda"
        network = network.eval().to(self._device, memory_format=torch.channels_last)
        self._network = network.half() if self._half else network
        self._mean = np.array(metadata.mean, np.float32) * 255
        self._scale = 1 / (np.array(metadata.std, np.float32) * 255)

    @classmethod
    def load(cls, weights: Path, objects: dict[str, ObjectModel], device: str = "auto") -> Estimator:
        """Load weights and match their objects with objects.yaml.

        Raises:
            UserError: the weights are missing, damaged or contradict objects.yaml; the device is not there.
        """
        network, metadata = load(weights)
        return cls(network, metadata, match_objects(weights, metadata, objects), device)

    def __call__(self, image: np.ndarray, camera: CameraModel, settings: Settings | None = None) -> list[Detection]:
        """Estimate the poses of all instances of all objects.

        Args:
            image: (H, W, 3) uint8 RGB, rectified.
            camera: the image's camera, of the same size.
            settings: thresholds; the defaults if None.

        Returns:
            Detections in the camera's optical frame, best first.
        """
        settings = settings or Settings()
        scaled, camera_scaled = self.scaled(image, camera, settings)
        detections = self._detect(scaled, camera_scaled, settings)
        return suppress([self._in_image(d, camera, camera_scaled) for d in detections], camera)

    def scaled(self, image: np.ndarray, camera: CameraModel, settings: Settings) -> tuple[np.ndarray, CameraModel]:
        """The image and its camera at the height that the settings, or else the weights, ask for."""
        height = self.metadata.input_height if settings.input_height < 0 else settings.input_height
        scale = height / image.shape[0] if height else 1.0
        if scale == 1:
            return image, camera
        size = round(image.shape[1] * scale), round(image.shape[0] * scale)
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        return cv2.resize(image, size, interpolation=interpolation), camera.resized(*size)

    def _detect(self, image: np.ndarray, camera: CameraModel, settings: Settings) -> list[Detection]:
        """Detections in an image of the network's scale."""
        belief, affinity, surface = self.maps(image)
        spec = self.metadata
        shift = spec.origin - (spec.stride - 1) / 2
        decoded = decode(belief, affinity, spec.map_spec, settings.peak_threshold, spec.calibration)
        instances = [replace(instance, keypoints=instance.keypoints + shift) for instance in decoded]
        gate = replace(Gate(), rms=settings.max_reprojection_error)
        detections: list[Detection] = []
        for index, model in enumerate(self.models):
            own = [instance for instance in instances if instance.class_index == index]
            cells = read(None if surface is None else surface[index], model, spec.stride)
            detections += detect(model, own, cells, camera.K, gate, spec.trust, settings.min_score)
        return detections

    def maps(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Run the network on an image (H, W, 3) uint8 RGB.

        The image is continued by its border to multiples of 32; the maps are cut to the image again.

        Returns:
            Belief (C, 9, h, w), affinity (C, 16, h, w), and the surface as probabilities (C, 4, h, w), None of
            networks that have none; float32.
        """
        bottom, right = -image.shape[0] % MULTIPLE, -image.shape[1] % MULTIPLE
        padded = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        normalised = (padded.astype(np.float32) - self._mean) * self._scale
        tensor = torch.from_numpy(normalised).to(self._device).permute(2, 0, 1)[None]
        with torch.inference_mode():
            outputs = self._network(tensor.half() if self._half else tensor)
        stride = self.metadata.stride
        rows, columns = -(-image.shape[0] // stride), -(-image.shape[1] // stride)
        belief, affinity, *surface = (output[0, :, :, :rows, :columns].float().cpu().numpy() for output in outputs)
        return belief, affinity, expit(surface[0]) if surface else None

    @staticmethod
    def _in_image(detection: Detection, camera: CameraModel, scaled: CameraModel) -> Detection:
        """The same detection with its keypoints in pixels of the full image."""
        factor = np.array([camera.width / scaled.width, camera.height / scaled.height])
        return replace(
            detection,
            keypoints=(detection.keypoints + 0.5) * factor - 0.5,
            reprojection_error=detection.reprojection_error * float(factor.mean()),
        )
