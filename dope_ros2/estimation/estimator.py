"""One image's whole way: scale, normalise, network, decode, PnP, detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from dope_ros2.common.errors import UserError
from dope_ros2.common.stage_timer import StageTimer
from dope_ros2.engines import registry
from dope_ros2.engines.registry import Engine, pick_device
from dope_ros2.estimation.map_decoder import KeypointInstance, decode
from dope_ros2.estimation.object_crops import (
    Place,
    Region,
    best_near,
    crop_and_scale,
    in_image,
    is_near,
    new_region,
    pixel_transform,
    region,
    region_at,
)
from dope_ros2.estimation.pnp.solver import Gate
from dope_ros2.estimation.pnp.surface_coordinates import MIN_VISIBLE_PROBABILITY, read
from dope_ros2.estimation.pose_search import PoseSearch, detect, suppress
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.channels import SIDE_MULTIPLE
from dope_ros2.network.metadata import Metadata
from dope_ros2.network.weights import match_objects
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel

MIN_REGION_BELIEF = 0.2  # mean belief of its nine keypoints, from which on an instance is looked at
MAX_REGIONS = 64  # in a picture, the best first
CROP_BATCH_SIZE = 16  # closer looks at once
MAX_IMAGE_PIXELS = 2**25  # that are looked at: one of a few megabytes could ask for all the memory there is


class Maps(NamedTuple):
    """Belief (C, 9, h, w), affinity (C, 16, h, w) and, where there is one, surface (C, 4, h, w) as probabilities."""

    belief: np.ndarray
    affinity: np.ndarray
    surface: np.ndarray | None

    def of(self, wanted: list[int]) -> Maps:
        """Those of some objects."""
        surface = None if self.surface is None else self.surface[wanted]
        return Maps(self.belief[wanted], self.affinity[wanted], surface)

    @classmethod
    def joined(cls, parts: list[Maps]) -> Maps:
        """One after the other, as if they were of several objects."""
        surfaces = [part.surface for part in parts]
        surface = None if surfaces[0] is None else np.concatenate(surfaces)
        return cls(np.concatenate([p.belief for p in parts]), np.concatenate([p.affinity for p in parts]), surface)


class CropContext(NamedTuple):
    """What a stack of maps is of: the object, the camera of their picture, and where the object was seen before."""

    model: ObjectModel
    camera: CameraModel
    around: np.ndarray | None = None


class Estimator:
    """Finds known objects in an image."""

    def __init__(self, engine: Engine, metadata: Metadata, models: list[ObjectModel]) -> None:
        self.engine, self.metadata, self.models, self.stages = engine, metadata, models, StageTimer()

    @classmethod
    def of_network(
        cls,
        network: torch.nn.Module,
        metadata: Metadata,
        models: list[ObjectModel],
        device: str = "auto",
        engine: str = "torch",
    ) -> Estimator:
        """Of a network that is in memory."""
        return cls(registry.of_network(network, metadata, engine, pick_device(device)), metadata, models)

    @classmethod
    def load(
        cls, weights: Path, objects: dict[str, ObjectModel], device: str = "auto", engine: str = "auto"
    ) -> Estimator:
        """Load weights, or a network that was exported, and match its objects with objects.yaml.

        Raises:
            UserError: the weights are missing, damaged or contradict objects.yaml; device or engine are not usable.
        """
        started, metadata = registry.start(weights, engine, device)
        return cls(started, metadata, match_objects(weights, metadata, objects))

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
        if settings.closer_look and self.metadata.crop > 0:
            found = self._look_closer(image, camera, self._regions(image, camera, settings), settings)
        else:
            wanted = self._wanted(settings)
            maps, camera_scaled = self._overview(image, camera, settings)
            seen = [CropContext(self.models[index], camera_scaled) for index in wanted]
            found = [
                in_image(d, camera_scaled, camera) for own in self._detect(maps.of(wanted), seen, settings) for d in own
            ]
        return [d for d in suppress(found, camera) if d.score >= settings.min_score]

    @property
    def can_follow(self) -> bool:
        """Whether objects can be looked for where they are expected: it is known how large the network wants them."""
        return self.metadata.crop > 0

    def follow(
        self,
        image: np.ndarray,
        camera: CameraModel,
        expected: list[tuple[ObjectModel, Pose]],
        settings: Settings | None = None,
        places: Sequence[Place] = (),
    ) -> list[Detection]:
        """Look only where objects are expected, at T_camera_object, and at places; what else has come is not found.

        For weights that `can_follow`; arguments and answer otherwise as of a call.
        """
        settings = settings or Settings()
        indices = {self.models[index].name: index for index in self._wanted(settings)}
        known = [region_at(indices[m.name], m, pose, camera) for m, pose in expected if m.name in indices]
        regions = [region for region in known if region is not None]
        for place in places:
            if place.object in indices and (region := new_region(regions, indices[place.object], place)):
                regions.append(region)
        found = self._look_closer(image, camera, regions, settings)
        return [d for d in suppress(found, camera) if d.score >= settings.min_score]

    def _wanted(self, settings: Settings) -> list[int]:
        """Indices of the objects to look for."""
        return [k for k, model in enumerate(self.models) if not settings.objects or model.name in settings.objects]

    def places(self, image: np.ndarray, camera: CameraModel, settings: Settings | None = None) -> list[Place]:
        """Where in an image objects may be, for `follow` to look at: half of the work of a call, without the poses."""
        regions = self._regions(image, camera, settings or Settings())
        return [Place(self.models[r.index].name, *map(float, r.centre), r.extent) for r in regions]

    def _overview(self, image: np.ndarray, camera: CameraModel, settings: Settings) -> tuple[Maps, CameraModel]:
        """Maps of a whole image, and the camera of the picture that they are of."""
        with self.stages("preprocess"):
            scaled, camera_scaled = self.scaled(image, camera, settings)
        return self.maps([scaled])[0], camera_scaled

    def _regions(self, image: np.ndarray, camera: CameraModel, settings: Settings) -> list[Region]:
        """Where in an image wanted objects may be, the most promising first."""
        wanted = self._wanted(settings)
        maps, camera_scaled = self._overview(image, camera, settings)
        maps, A = maps.of(wanted), pixel_transform(camera_scaled, camera)
        promising = [i for i in self._decoded(maps, settings) if i.scores.mean() >= MIN_REGION_BELIEF]
        instances = sorted(promising, key=lambda instance: -instance.scores.sum())
        regions: list[Region] = []
        for instance in instances[:MAX_REGIONS]:
            seen = None if maps.surface is None else maps.surface[instance.class_index, 0] > MIN_VISIBLE_PROBABILITY
            place = region(instance, seen, self.metadata.stride)
            extent = place.extent * float(np.sqrt(np.linalg.det(A[:, :2])))
            regions.append(Region(wanted[place.index], A[:, :2] @ place.centre + A[:, 2], extent))
        return regions

    def _look_closer(
        self, image: np.ndarray, camera: CameraModel, regions: list[Region], settings: Settings
    ) -> list[Detection]:
        """The object of each region as a look at its surroundings shows it, if it does."""
        if not regions:
            return []
        with self.stages("preprocess"):
            views = [crop_and_scale(image, camera, place, self.metadata.crop) for place in regions]
        maps = self.maps([picture for picture, _ in views])
        own = Maps.joined([each.of([place.index]) for each, place in zip(maps, regions, strict=True)])
        seen: list[CropContext] = []
        for place, (_, seen_by) in zip(regions, views, strict=True):
            A = pixel_transform(camera, seen_by)
            seen.append(CropContext(self.models[place.index], seen_by, A[:, :2] @ place.centre + A[:, 2]))
        found = zip(seen, self._detect(own, seen, settings), strict=True)
        again = [(best_near(each.around, detections, each.camera), each) for each, detections in found]
        return [in_image(detection, each.camera, camera) for detection, each in again if detection is not None]

    def scaled(self, image: np.ndarray, camera: CameraModel, settings: Settings) -> tuple[np.ndarray, CameraModel]:
        """The image and its camera at the height that the settings, or else the weights, ask for.

        Raises:
            UserError: it would be too large for that.
        """
        height = self.metadata.input_height if settings.input_height < 0 else settings.input_height
        scale = settings.coarsely * (height / image.shape[0] if height else 1.0)
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

    def _decoded(self, maps: Maps, settings: Settings) -> list[KeypointInstance]:
        """Instances of all objects of the maps, in pixels of the maps' picture."""
        spec = self.metadata
        shift = spec.origin - (spec.stride - 1) / 2
        with self.stages("decode"):
            decoded = decode(maps.belief, maps.affinity, spec.map_spec, settings.peak_threshold, spec.calibration)
        return [replace(instance, keypoints=instance.keypoints + shift) for instance in decoded]

    def _detect(self, maps: Maps, seen: list[CropContext], settings: Settings) -> list[list[Detection]]:
        """Detections of each stack of maps, in pixels of the camera that saw its picture.

        Where it is known where the object is, those beside it are left out.
        """
        instances = self._decoded(maps, settings)
        gate, searches = replace(Gate(), rms=settings.max_reprojection_error), []
        with self.stages("pnp"):
            for index, (model, camera, around) in enumerate(seen):
                own = [instance for instance in instances if instance.class_index == index]
                if around is not None:
                    own = [i for i in own if is_near(i.keypoints[cuboid.CENTRE], around, camera)]
                surface = None if maps.surface is None or not own else maps.surface[index]
                searches.append(PoseSearch.of(model, own, read(surface, model, self.metadata.stride), camera.K))
            found = detect(searches, gate, self.metadata.score_model)
        biases = {trained.name: trained.distance_bias for trained in self.metadata.objects}
        return [[detection.corrected(biases[detection.model.name]) for detection in own] for own in found]

    def beliefs(
        self, image: np.ndarray, camera: CameraModel, settings: Settings
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """What the network says of a whole image, for those who want to look at it; it runs for this alone.

        Returns:
            The image as the network sees it, continued to whole cells, and the belief maps (9, h, w) of each object.
        """
        scaled, _ = self.scaled(image, camera, settings)
        margins = 0, -scaled.shape[0] % self.metadata.stride, 0, -scaled.shape[1] % self.metadata.stride
        names = (model.name for model in self.models)
        maps = dict(zip(names, self.maps([scaled])[0].belief, strict=True))
        return cv2.copyMakeBorder(scaled, *margins, cv2.BORDER_REPLICATE), maps

    def maps(self, images: list[np.ndarray]) -> list[Maps]:
        """Run the network on images (H, W, 3) uint8 RGB, all of one size.

        The images are continued by their border to multiples of 32; the maps are cut to the images again.
        """
        return [
            maps
            for start in range(0, len(images), CROP_BATCH_SIZE)
            for maps in self._maps(images[start : start + CROP_BATCH_SIZE])
        ]

    def _maps(self, images: list[np.ndarray]) -> list[Maps]:
        height, width = images[0].shape[:2]
        margins = 0, -height % SIDE_MULTIPLE, 0, -width % SIDE_MULTIPLE
        with self.stages("preprocess"):
            padded = np.stack([cv2.copyMakeBorder(image, *margins, cv2.BORDER_REPLICATE) for image in images])
        stride = self.metadata.stride
        rows, columns = -(-height // stride), -(-width // stride)
        with self.stages("network"):
            outputs = self.engine(padded)
        belief, affinity, *surface = (maps[..., :rows, :columns] for maps in outputs)
        seen = surface[0] if surface else [None] * len(images)
        return [Maps(*each) for each in zip(belief, affinity, seen, strict=True)]
