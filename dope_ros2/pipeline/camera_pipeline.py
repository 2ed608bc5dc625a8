"""One image's way behind its camera, in the node and when a recording is replayed: region, estimator, tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from dope_ros2.common.stage_timer import StageTimer
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.object_crops import ObjectRegion, in_image
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.io import camera_info
from dope_ros2.io.camera_info import CameraInfo
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.request import Request, Roi, SearchPrior
from dope_ros2.tracking.tracker import Memory, Tracker

SURVEY_SCALE = 0.8  # as high as usual, a picture shows well enough that something new has come to what is tracked


Find = Callable[[Settings, "Roi", SearchPrior | None], list[Detection]]


def find(
    estimator: Estimator,
    image: np.ndarray,
    camera: CameraModel,
    topic: str,
    settings: Settings,
    roi: Roi,
    expected: SearchPrior | None = None,
) -> list[Detection]:
    """What the estimator finds in the part of an image (H, W, 3) that is to be looked at, in pixels of the image.

    Where it is known what to expect, only there is looked.

    Raises:
        UserError: the image has no such part.
    """
    part = roi.within(camera.width, camera.height, topic)
    cut, seen_by = seen_in(part, image, camera)
    if expected is None:
        found = estimator(cut, seen_by, settings)
    else:
        places = [place._replace(x=place.x - part.x, y=place.y - part.y) for place in expected.places]
        inside = [place for place in places if 0 <= place.x < part.width and 0 <= place.y < part.height]
        found = estimator.follow(cut, seen_by, expected.tracks, settings, inside)
    return found if seen_by is camera else [in_image(detection, seen_by, camera) for detection in found]


def survey(
    estimator: Estimator, image: np.ndarray, camera: CameraModel, topic: str, settings: Settings, roi: Roi
) -> tuple[ObjectRegion, ...]:
    """Where in the part of an image that is to be looked at something may be, by a coarse look, in its pixels.

    Raises:
        UserError: the image has no such part.
    """
    part = roi.within(camera.width, camera.height, topic)
    places = estimator.places(*seen_in(part, image, camera), settings, SURVEY_SCALE)
    return tuple(place._replace(x=place.x + part.x, y=place.y + part.y) for place in places)


def seen_in(part: Roi, image: np.ndarray, camera: CameraModel) -> tuple[np.ndarray, CameraModel]:
    """A part of an image, and its camera."""
    if part == Roi(0, 0, camera.width, camera.height):
        return image, camera
    cut = image[part.y : part.y + part.height, part.x : part.x + part.width]
    return np.ascontiguousarray(cut), camera.cropped(part.x, part.y, part.width, part.height)


class Sight:
    """What one camera has seen.

    Attributes:
        tracker: of its images.
        before: what the tracker knew before the newest image.
    """

    def __init__(self, models: Iterable[ObjectModel]) -> None:
        self.tracker = Tracker(models)
        self.before = Memory()
        self._camera: CameraModel | None = None
        self._searched = -np.inf  # stamp of the newest image that was looked at as a whole [s]
        self._places: tuple[ObjectRegion, ...] = ()  # where it has shown something

    def camera(self, info: CameraInfo, info_topic: str, width: int, height: int, topic: str) -> CameraModel:
        """The camera of an image of this size; another one than before has seen nothing yet.

        Raises:
            UserError: the camera_info cannot belong to the image.
        """
        camera = camera_info.fitted(camera_info.read(info, info_topic), width, height, topic, info_topic)
        if self._camera is None or not np.array_equal(camera.K, self._camera.K):
            self.tracker.reset()
        self._camera = camera
        return camera

    def asked(self, request: Request, time: float, search_period: float) -> Request:
        """The request for an image of this stamp [s], that it is enough to follow the tracks in, if it is.

        The whole image is searched when none of the tracks was seen in the image before, when one of them has not been
        seen since the last search, and when that is twice as long ago as `search_period` [s]; the surveys of a camera
        that is quick enough never let it be.
        """
        recent = 0 <= time - self._searched < 2 * search_period
        if not recent or request.smoothing is None or not self.tracker.sees_all(self._searched):
            return request
        return replace(request, follow=True, places=self._places)

    def is_due(self, request: Request, time: float, search_period: float) -> bool:
        """Whether an image of this stamp [s], unless it was searched, is to be surveyed after it has been answered."""
        return request.follow and time - self._searched >= search_period

    def surveyed(self, time: float, places: tuple[ObjectRegion, ...]) -> None:
        """Remember where an image of this stamp [s] shows something: the next one is looked at there."""
        self._searched, self._places = time, places

    def look(self, see: Find, time: float, request: Request, stages: StageTimer | None = None) -> list[Detection]:
        """The answer to an image of this stamp [s], in which `see` finds what it is asked for."""
        expected = None
        if request.follow:
            expected = SearchPrior(self.tracker.expected(time, request.smoothing), request.places)
        found = see(request.settings, request.roi, expected)
        self.surveyed(self._searched if request.follow else time, ())
        self.before = self.tracker.memory()
        if request.smoothing is None:
            return found
        with (stages or StageTimer())("track"):
            return self.tracker(found, time, request.smoothing)
