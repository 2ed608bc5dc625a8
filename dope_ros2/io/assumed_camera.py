"""The camera of images that do not say which camera took them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel

ASSUMED_FIELD_OF_VIEW = math.radians(60)  # horizontal, of an image whose camera is not known
MAX_ASPECT_DIFFERENCE = 0.01  # relative difference of aspect ratios up to which a calibration is scaled to an image


@dataclass
class AssumedCamera:
    """Which camera an image without one of its own was taken with: a calibration, a focal length [px], or a guess."""

    calibration: CameraModel | None = None
    focal: float | None = None
    source: str = ""

    @property
    def assumed(self) -> bool:
        """Whether the field of view is a guess."""
        return self.calibration is None and self.focal is None

    def camera(self, width: int, height: int) -> CameraModel:
        """The camera of an image of this size [px].

        Raises:
            UserError: the calibration is of an image of another shape.
        """
        if self.calibration is None:
            focal = self.focal or width / 2 / math.tan(ASSUMED_FIELD_OF_VIEW / 2)
            return CameraModel.from_focal(focal, width, height)
        known = self.calibration
        if abs(width / height / (known.width / known.height) - 1) > MAX_ASPECT_DIFFERENCE:
            raise UserError(
                f"the image is {width}x{height}, but {self.source} is a calibration for "
                f"{known.width}x{known.height}; give the one of this camera mode"
            )
        return known.resized(width, height)
