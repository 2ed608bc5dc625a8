"""One image's whole way: scale, normalise, network, decode, PnP, detections."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.special import expit

from dope_ros2 import cuboid, pnp
from dope_ros2.camera import CameraModel
from dope_ros2.decode import Instance, decode
from dope_ros2.detection import Detection
from dope_ros2.errors import UserError
from dope_ros2.objects import ObjectModel
from dope_ros2.surface import read
from dope_ros2.weights import Metadata, load, match_objects

MULTIPLE = 32  # the network wants sides that are multiples of its coarsest stride


@dataclass(frozen=True)
class Settings:
    """What a user may change from frame to frame.

    Attributes:
        min_score: detections below are not reported, in [0, 1].
        peak_threshold: lowest belief to count as a keypoint, in (0, 1].
        max_reprojection_error: largest root mean square error of a pose's keypoints [px at the network's scale].
        input_height: images are scaled to this height first [px]; 0 keeps their own, -1 takes the weights' advice.
    """

    min_score: float = 0.3
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
        height = self.metadata.input_height if settings.input_height < 0 else settings.input_height
        scale = height / image.shape[0] if height else 1.0
        scaled, camera_scaled = image, camera
        if scale != 1:
            size = round(image.shape[1] * scale), round(image.shape[0] * scale)
            scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
            camera_scaled = camera.resized(*size)
        belief, affinity, surface = self.maps(scaled)
        instances = decode(belief, affinity, self.metadata.map_spec, peak_threshold=settings.peak_threshold)
        found = [self._solve(instance, surface, camera_scaled, settings) for instance in instances]
        detections = [self._in_image(d, camera, camera_scaled) for d in found if d and d.score >= settings.min_score]
        return suppress(detections, camera)

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

    def _solve(
        self, instance: Instance, surface: np.ndarray | None, camera: CameraModel, settings: Settings
    ) -> Detection | None:
        """Pose of one decoded instance, in the scaled image; None when the gates refuse it."""
        model = self.models[instance.class_index]
        spec = self.metadata
        keypoints = instance.keypoints + (spec.origin - (spec.stride - 1) / 2)
        gate = replace(pnp.Gate(), rms=settings.max_reprojection_error)
        cells = None
        if surface is not None:
            cells = read(surface[instance.class_index], model, keypoints[cuboid.CENTRE], spec.stride)
        solution = pnp.solve(model.keypoints, keypoints, camera.K, instance.sigmas, gate, cells)
        if solution is None:
            return None
        return Detection(
            model=model,
            score=score(instance.scores, solution.inliers),
            pose=solution.pose,
            covariance=solution.covariance,
            keypoints=np.where(solution.inliers[:, None], keypoints, np.nan),
            reprojection_error=solution.rms,
        )

    @staticmethod
    def _in_image(detection: Detection, camera: CameraModel, scaled: CameraModel) -> Detection:
        """The same detection with its keypoints in pixels of the full image."""
        factor = np.array([camera.width / scaled.width, camera.height / scaled.height])
        return replace(
            detection,
            keypoints=(detection.keypoints + 0.5) * factor - 0.5,
            reprojection_error=detection.reprojection_error * float(factor.mean()),
        )


def score(beliefs: np.ndarray, inliers: np.ndarray) -> float:
    """Mean belief of the nine keypoints, those not used counting as zero; in [0, 1]."""
    return float(np.clip(np.where(inliers, beliefs, 0), 0, 1).sum() / len(inliers))


def suppress(detections: list[Detection], camera: CameraModel) -> list[Detection]:
    """Keep the best of detections of one class whose projected cuboids nearly coincide.

    Two coincide when their keypoints lie, on average, within a quarter of the better one's extent in the image.
    """
    kept: list[Detection] = []
    pictures: list[np.ndarray] = []
    for detection in sorted(detections, key=lambda d: -d.score):
        picture = camera.project(detection.pose.apply(detection.model.keypoints))
        extent = np.ptp(picture, axis=0).max()
        rivals = (p for d, p in zip(kept, pictures, strict=True) if d.model.name == detection.model.name)
        if all(np.linalg.norm(rival[8] - picture[8]) > 0.25 * extent for rival in rivals):
            kept.append(detection)
            pictures.append(picture)
    return kept
