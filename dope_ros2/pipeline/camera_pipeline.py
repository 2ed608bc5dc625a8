"""One image's way behind its camera, in the node and when a recording is replayed: region, estimator, tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.common.stage_timer import Stages
from dope_ros2.estimation.estimator import Estimator, Settings
from dope_ros2.estimation.object_crops import Place, in_image
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.io import camera_info
from dope_ros2.io.camera_info import CameraInfo
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.tracking.tracker import Memory, Smoothing, Tracker

COARSELY = 0.8  # as high as usual, a picture shows well enough that something new has come to what is tracked


class Expected(NamedTuple):
    """What is looked for where: tracks at T_camera_object, and places in the image where something new may be."""

    tracks: list[tuple[ObjectModel, Pose]]
    places: tuple[Place, ...] = ()


Find = Callable[[Settings, "Roi", Expected | None], list[Detection]]


@dataclass(frozen=True)
class Roi:
    """A part of the image [px]; the whole of it when width or height is 0."""

    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Roi:
        """Read the parameter.

        Raises:
            UserError: there are not four numbers, or one is negative.
        """
        numbers = [int(number) for number in numbers]
        if len(numbers) != 4 or min(numbers) < 0:
            raise UserError(f"parameter roi: needs x, y, width and height [px], none below 0, not {numbers}")
        return cls(*numbers)

    def within(self, width: int, height: int, topic: str) -> Roi:
        """The part of an image of this size that it means.

        Raises:
            UserError: it is larger than the image.
        """
        if not self.width or not self.height:
            return Roi(0, 0, width, height)
        if self.x + self.width > width or self.y + self.height > height:
            raise UserError(
                f"parameter roi: {self.width}x{self.height} at ({self.x}, {self.y}) is not inside {topic}, "
                f"an image of {width}x{height}"
            )
        return self


@dataclass(frozen=True)
class Request:
    """What is asked of an image.

    Attributes:
        settings: of the estimator.
        roi: the part to look at.
        smoothing: of the tracks; None: there are none.
        follow: look only where tracks are expected, and at `places`.
        places: where an earlier image has shown that something new may be.
    """

    settings: Settings
    roi: Roi = Roi()
    smoothing: Smoothing | None = None
    follow: bool = False
    places: tuple[Place, ...] = ()


def find(
    estimator: Estimator,
    image: np.ndarray,
    camera: CameraModel,
    topic: str,
    settings: Settings,
    roi: Roi,
    expected: Expected | None = None,
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
) -> tuple[Place, ...]:
    """Where in the part of an image that is to be looked at something may be, by a coarse look, in its pixels.

    Raises:
        UserError: the image has no such part.
    """
    part = roi.within(camera.width, camera.height, topic)
    places = estimator.places(*seen_in(part, image, camera), replace(settings, coarsely=COARSELY))
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
        self._places: tuple[Place, ...] = ()  # where it has shown something

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

    def surveyed(self, time: float, places: tuple[Place, ...]) -> None:
        """Remember where an image of this stamp [s] shows something: the next one is looked at there."""
        self._searched, self._places = time, places

    def look(self, see: Find, time: float, request: Request, stages: Stages | None = None) -> list[Detection]:
        """The answer to an image of this stamp [s], in which `see` finds what it is asked for."""
        expected = None
        if request.follow:
            expected = Expected(self.tracker.expected(time, request.smoothing), request.places)
        found = see(request.settings, request.roi, expected)
        self.surveyed(self._searched if request.follow else time, ())
        self.before = self.tracker.memory()
        if request.smoothing is None:
            return found
        with (stages or Stages())("track"):
            return self.tracker(found, time, request.smoothing)
