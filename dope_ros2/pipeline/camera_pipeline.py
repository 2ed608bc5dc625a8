"""One image's way behind its camera, in the node and when a recording is replayed: region, estimator, depth, tracks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.object_crops import ObjectRegion, in_image
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.objects.detection import Detection
from dope_ros2.pipeline.diagnostics import DepthHealth
from dope_ros2.pipeline.frame import DepthImage, Frame
from dope_ros2.pipeline.request import WHOLE_IMAGE, Request, Roi, SearchPrior
from dope_ros2.refinement.depth_correction import DepthCorrection
from dope_ros2.tracking.tracker import Memory, Tracker

SURVEY_SCALE = 0.8  # as high as usual, an image shows well enough that something new has come to what is tracked


class Observation(NamedTuple):
    """What is found in one image alone, in the camera's optical frame and the image's pixels, best first.

    Attributes:
        detections: with their ranges corrected where there is depth.
        depth: the depth image that served; None: none did.
    """

    detections: list[Detection]
    depth: DepthImage | None = None


@dataclass(frozen=True, eq=False)
class FrameResult:
    """The answer to an image, and what it takes to give it again.

    Attributes:
        detections: tracked where that is asked for; in the camera's optical frame, best first.
        request: what was asked in the end, see `CameraPipeline.choose_request`.
        before: what the tracker knew before the image.
        depth: the depth image that served; None: none did.
    """

    detections: list[Detection]
    request: Request
    before: Memory
    depth: DepthImage | None = None


class CameraPipeline:
    """The images of one camera, one after the other, and what is remembered from one to the next.

    Attributes:
        estimator: which looks at them.
        depth_correction, depth_health: what corrects ranges where there is depth, and how that fares.
        tracker: of what was seen.
    """

    def __init__(self, estimator: Estimator, depth_correction: DepthCorrection | None = None) -> None:
        self.depth_correction, self.depth_health = depth_correction or DepthCorrection(), DepthHealth()
        self.restart(estimator)

    def restart(self, estimator: Estimator) -> None:
        """Begin anew with this estimator; nothing has been seen yet."""
        self.estimator, self.tracker = estimator, Tracker(estimator.models)
        self._camera: CameraModel | None = None
        self._searched = -np.inf  # stamp of the newest image that was looked at as a whole [s]
        self._places: tuple[ObjectRegion, ...] = ()  # where it has shown something

    def process(self, frame: Frame, request: Request, search_period: float = 0.0) -> FrameResult:
        """Answer an image and remember it.

        Args:
            frame: the next one of this camera; when the camera has changed, its tracks are forgotten.
            request: what is asked.
            search_period: so often [s] all of an image is looked at for what is new; in between it is enough to follow
                the tracks. 0: do as the request says, as a replay does.

        Raises:
            UserError: the image has no such part, or is too large.
        """
        self._notice(frame.camera)
        request = self.choose_request(request, frame.stamp, search_period)
        prior = None
        if request.follow:
            prior = SearchPrior(self.tracker.expected(frame.stamp, request.smoothing), request.places)
        found, depth = self.observe(frame, request.settings, request.roi, prior)
        self.record_survey(self._searched if request.follow else frame.stamp, ())
        before = self.tracker.memory()
        if request.smoothing is not None:
            with self.estimator.stages("track"):
                found = list(filter(request.reports, self.tracker(found, frame.stamp, request.smoothing)))
        return FrameResult(found, request, before, depth)

    def _notice(self, camera: CameraModel) -> None:
        """Forget the tracks where a camera is another one than before: they were seen by that."""
        if self._camera is not None and not np.array_equal(camera.K, self._camera.K):
            self.tracker.reset()
        self._camera = camera

    def choose_request(self, request: Request, stamp: float, search_period: float) -> Request:
        """The request for an image of this stamp [s], that it is enough to follow the tracks in, if it is.

        The whole image is searched when none of the tracks was seen in the image before, when one of them has not been
        seen since the last search, and when that is twice as long ago as `search_period` [s]; the surveys of a camera
        that is quick enough never let it be.
        """
        recent = 0 <= stamp - self._searched < 2 * search_period
        possible = recent and request.smoothing is not None and request.settings.closer_look
        if not (possible and self.estimator.can_follow and self.tracker.sees_all(self._searched)):
            return request
        return replace(request, follow=True, places=self._places)

    def observe(
        self, frame: Frame, settings: Settings, roi: Roi = WHOLE_IMAGE, prior: SearchPrior | None = None
    ) -> Observation:
        """What the part of an image that is to be looked at shows, whatever was seen before; nothing is remembered.

        Args:
            frame: the image; its depth is asked for after it has been looked at.
            settings: of the estimator.
            roi: the part.
            prior: where to look, if not everywhere.

        Raises:
            UserError: the image has no such part, or is too large.
        """
        part = roi.within(frame.camera.width, frame.camera.height, frame.topic)
        found = self._detect(frame, part, settings, prior)
        depth = frame.depth.nearest(frame) if frame.depth else None
        if depth is None:
            return Observation(found)
        apart = abs(depth.stamp - frame.stamp)
        corrected = [self.depth_correction(each, depth.metres, depth.camera, apart) for each in found]
        changed = sum(new is not old for new, old in zip(corrected, found, strict=True))
        self.depth_health.served(changed, len(found) - changed)
        return Observation(corrected, depth)

    def _detect(self, frame: Frame, part: Roi, settings: Settings, prior: SearchPrior | None) -> list[Detection]:
        """What the estimator finds in a part of an image, in pixels of the whole."""
        cut = frame.cropped(part)
        if prior is None:
            found = self.estimator(cut.image, cut.camera, settings)
        else:
            places = [place._replace(x=place.x - part.x, y=place.y - part.y) for place in prior.places]
            inside = [place for place in places if 0 <= place.x < part.width and 0 <= place.y < part.height]
            found = self.estimator.follow(cut.image, cut.camera, prior.tracks, settings, inside)
        return found if cut is frame else [in_image(detection, cut.camera, frame.camera) for detection in found]

    def survey_due(self, request: Request, stamp: float, search_period: float) -> bool:
        """Whether an image of this stamp [s] that was answered so is to be surveyed, unless it was searched."""
        return request.follow and stamp - self._searched >= search_period

    def survey(self, frame: Frame, request: Request) -> tuple[ObjectRegion, ...]:
        """See by a coarse look where in the asked part of an image something may be, and look there in the next one.

        Raises:
            UserError: the image has no such part, or is too large.
        """
        part = request.roi.within(frame.camera.width, frame.camera.height, frame.topic)
        cut = frame.cropped(part)
        places = self.estimator.places(cut.image, cut.camera, request.settings, SURVEY_SCALE)
        shown = tuple(place._replace(x=place.x + part.x, y=place.y + part.y) for place in places)
        self.record_survey(frame.stamp, shown)
        return shown

    def record_survey(self, stamp: float, places: tuple[ObjectRegion, ...]) -> None:
        """Remember where an image of this stamp [s] shows something: the next one is looked at there."""
        self._searched, self._places = stamp, places
