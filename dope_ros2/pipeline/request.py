"""What is asked of one image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from dope_ros2.common.errors import UserError
from dope_ros2.estimation.object_crops import ObjectRegion
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.tracking.tracker import Smoothing


class SearchPrior(NamedTuple):
    """What is looked for where: tracks at T_camera_object, and places in the image where something new may be."""

    tracks: list[tuple[ObjectModel, Pose]]
    places: tuple[ObjectRegion, ...] = ()


@dataclass(frozen=True)
class Roi:
    """A part of the image [px]; the whole of it when width or height is 0."""

    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Roi:
        """Read the parameter; no numbers at all mean the whole image.

        Raises:
            UserError: there are not four numbers, or one is negative.
        """
        numbers = [int(number) for number in numbers] or [0] * 4
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
                f"roi: {self.width}x{self.height} at ({self.x}, {self.y}) is not inside {topic}, "
                f"an image of {width}x{height}"
            )
        return self


WHOLE_IMAGE = Roi()


@dataclass(frozen=True)
class Request:
    """What is asked of an image.

    Attributes:
        settings: of the estimator.
        roi: the part to look at.
        smoothing: of the tracks; None: there are none.
        follow: look only where tracks are expected, and at `places`.
        places: where an earlier image has shown that something new may be.
        coast_below_min_score: what is coasting is reported even when its score has fallen below the least.
    """

    settings: Settings
    roi: Roi = WHOLE_IMAGE
    smoothing: Smoothing | None = None
    follow: bool = False
    places: tuple[ObjectRegion, ...] = ()
    coast_below_min_score: bool = False

    def reports(self, detection: Detection) -> bool:
        """Whether a detection's score lets it be reported."""
        is_exempt = self.coast_below_min_score and detection.unseen_for > 0
        return is_exempt or detection.score >= self.settings.min_score
