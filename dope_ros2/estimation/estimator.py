"""One image's whole way: scale, normalise, network, decode, PnP, detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from dope_ros2.common.stage_timer import StageTimer
from dope_ros2.engines import registry
from dope_ros2.engines.registry import Engine, pick_device
from dope_ros2.estimation.map_predictor import MapPredictor, Maps
from dope_ros2.estimation.object_crops import ObjectRegion, best_near, crop_and_scale, in_image, pixel_transform
from dope_ros2.estimation.pnp.solver import Gate
from dope_ros2.estimation.pose_refiner import PoseRefiner
from dope_ros2.estimation.pose_search import CropContext, PoseSearch, detect, suppress
from dope_ros2.estimation.region_proposal import expected_regions, propose_regions
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.metadata import Metadata
from dope_ros2.network.weights import match_objects
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.refinement.drawing.appearances import Appearances, load_appearances

NOTHING_KNOWN = Appearances({}, [])


class Estimator:
    """Finds known objects in an image."""

    def __init__(
        self,
        engine: Engine,
        metadata: Metadata,
        models: list[ObjectModel],
        appearances: Appearances = NOTHING_KNOWN,
    ) -> None:
        """Of a network that runs, with what its file says, and its objects in the order of its outputs.

        Poses of objects whose appearance is given are compared with the photograph.
        """
        self.engine, self.metadata, self.models, self.stages = engine, metadata, models, StageTimer()
        self._predictor = MapPredictor(engine, metadata, self.stages)
        self.appearances, self.refiner = appearances, PoseRefiner(appearances, metadata.refined_score_model)
        self._distance_biases = {trained.name: trained.distance_bias for trained in metadata.objects}

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
        models = match_objects(weights, metadata, objects)
        return cls(started, metadata, models, load_appearances(weights, models))

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
            found = self._look_closer(image, camera, self.places(image, camera, settings), settings)
        else:
            found = self._look_once(image, camera, settings)
        return self._reported(image, camera, found, settings)

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
        places: Sequence[ObjectRegion] = (),
    ) -> list[Detection]:
        """Look only where objects are expected, at T_camera_object, and at places; what else has come is not found.

        What shows where it is expected is refined there, and the network does not look at it.

        For weights that `can_follow`; arguments and answer otherwise as of a call.
        """
        settings = settings or Settings()
        names = [self.models[index].name for index in self._chosen(settings)]
        expected = [(model, pose) for model, pose in expected if model.name in names]
        regions = expected_regions(expected, places, names, camera)
        followed: list[Detection] = []
        if settings.refine:
            with self.stages("refine"):
                shown = self.refiner.follow(image, camera, expected)
            followed = [detection for detection in shown if detection is not None]
            sure = [pair for pair, detection in zip(expected, shown, strict=True) if detection is not None]
            done = expected_regions(sure, (), names, camera)
            regions = [region for region in regions if region not in done]
        found = self._look_closer(image, camera, regions, settings)
        return self._reported(image, camera, found, settings, followed)

    def places(
        self, image: np.ndarray, camera: CameraModel, settings: Settings | None = None, scale: float = 1.0
    ) -> list[ObjectRegion]:
        """Where in an image objects may be, the most promising first: half of the work of a call, without the poses.

        Args:
            image: (H, W, 3) uint8 RGB, rectified.
            camera: the image's camera, of the same size.
            settings: as of a call.
            scale: share of the usual height at which to look; a closer look makes good what a low one loses.

        Returns:
            Regions in pixels of the image, for `follow` to look at.
        """
        settings = settings or Settings()
        chosen = self._chosen(settings)
        maps, camera_scaled = self._overview(image, camera, settings, scale)
        maps, names = maps.of(chosen), [self.models[index].name for index in chosen]
        instances = self._predictor.instances(maps, settings.peak_threshold)
        regions = propose_regions(instances, names, maps.surface, self.metadata.stride)
        A = pixel_transform(camera_scaled, camera)
        return [region.mapped(A) for region in regions]

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

    def scaled(
        self, image: np.ndarray, camera: CameraModel, settings: Settings, scale: float = 1.0
    ) -> tuple[np.ndarray, CameraModel]:
        """The image and its camera at the height that the settings, or else the weights, ask for, or a share of it.

        Raises:
            UserError: it would be too large for that.
        """
        return self._predictor.scaled(image, camera, settings.input_height, scale)

    def maps(self, images: list[np.ndarray]) -> list[Maps]:
        """What the network says of images (H, W, 3) uint8 RGB, all of one size."""
        return self._predictor.maps(images)

    def _chosen(self, settings: Settings) -> list[int]:
        """Indices of the objects to look for."""
        return [k for k, model in enumerate(self.models) if not settings.objects or model.name in settings.objects]

    def _overview(
        self, image: np.ndarray, camera: CameraModel, settings: Settings, scale: float = 1.0
    ) -> tuple[Maps, CameraModel]:
        """Maps of a whole image, and the camera of the image that they are of."""
        with self.stages("preprocess"):
            scaled, camera_scaled = self.scaled(image, camera, settings, scale)
        return self.maps([scaled])[0], camera_scaled

    def _look_once(self, image: np.ndarray, camera: CameraModel, settings: Settings) -> list[Detection]:
        """All objects, as a look at the whole image shows them."""
        chosen = self._chosen(settings)
        maps, camera_scaled = self._overview(image, camera, settings)
        contexts = [CropContext(self.models[index], camera_scaled) for index in chosen]
        found = self._detect(maps.of(chosen), contexts, settings)
        return [in_image(detection, camera_scaled, camera) for own in found for detection in own]

    def _look_closer(
        self, image: np.ndarray, camera: CameraModel, regions: Sequence[ObjectRegion], settings: Settings
    ) -> list[Detection]:
        """The object of each region as a look at its surroundings shows it, if it does."""
        if not regions:
            return []
        with self.stages("preprocess"):
            crops = [crop_and_scale(image, camera, region, self.metadata.crop) for region in regions]
        maps = self.maps([picture for picture, _ in crops])
        indices, own, contexts = {model.name: k for k, model in enumerate(self.models)}, [], []
        for region, (_, crop_camera), every in zip(regions, crops, maps, strict=True):
            index, A = indices[region.name], pixel_transform(camera, crop_camera)
            own.append(every.of([index]))
            contexts.append(CropContext(self.models[index], crop_camera, A[:, :2] @ region.centre + A[:, 2]))
        found = zip(self._detect(Maps.joined(own), contexts, settings), contexts, strict=True)
        best = [(best_near(context.centre, detections, context.camera), context) for detections, context in found]
        return [in_image(detection, context.camera, camera) for detection, context in best if detection is not None]

    def _detect(self, maps: Maps, contexts: list[CropContext], settings: Settings) -> list[list[Detection]]:
        """Detections of each stack of maps, in pixels of the camera of its image."""
        instances = self._predictor.instances(maps, settings.peak_threshold)
        with self.stages("pnp"):
            searches = []
            for index, context in enumerate(contexts):
                own = [instance for instance in instances if instance.class_index == index]
                surface = None if maps.surface is None else maps.surface[index]
                searches.append(PoseSearch.of(context, own, surface, self.metadata.stride))
            gate = replace(Gate(), rms=settings.max_reprojection_error)
            found = detect(searches, gate, self.metadata.score_model)
        biases = self._distance_biases
        return [[detection.corrected(biases[detection.model.name]) for detection in own] for own in found]

    def _reported(
        self,
        image: np.ndarray,
        camera: CameraModel,
        found: list[Detection],
        settings: Settings,
        followed: Sequence[Detection] = (),
    ) -> list[Detection]:
        """Each object once, refined if that is asked for, where its pose is probable enough, best first."""
        if settings.refine:
            with self.stages("refine"):
                found = self.refiner(image, camera, found)
        kept = suppress([*found, *followed], camera)
        return [detection for detection in kept if detection.score >= settings.min_score]
