"""Local features of what is printed on an object, with their places on its surface, small enough for a weights file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.bounding_box import BoundingBox

VERSION = 1  # of the arrays in files
MAX_FEATURES = 10_000  # in a file
MIN_FOUND = 0.4  # of the drawn views, from which on a print carries its object
LEVELS = 400.0  # of a descriptor's component for each unit: they are hardly ever above 0.6
TYPES = {
    "points": (np.uint16, 3),
    "normals": (np.int8, 3),
    "tangents": (np.int8, 3),
    "extents": (np.float32, 0),
    "descriptors": (np.uint8, 128),
}
REMEDY = "make it again with `dope assets appearance`"


@dataclass(frozen=True, eq=False)
class SurfaceFeatures:
    """Local features on a surface.

    Attributes:
        points: (N, 3) in the object's frame [m].
        normals: (N, 3) unit vectors, outward.
        tangents: (N, 3) unit vectors along the surface, the way of each feature's gradient.
        extents: (N,) diameter of the blob that each is centred on [m].
        descriptors: (N, 128) float32 RootSIFT, of length 1.
    """

    points: np.ndarray
    normals: np.ndarray
    tangents: np.ndarray
    extents: np.ndarray
    descriptors: np.ndarray


@dataclass(frozen=True, eq=False)
class PrintFeatures:
    """Local features of an object, those first that most views of it show, as made from its mesh (`mesh_features`).

    Attributes:
        points: (N, 3) uint16 in the box, from its lower to its upper corner.
        normals, tangents: (N, 3) int8, 127 times unit vectors; see `SurfaceFeatures`.
        extents: (N,) float32 [m].
        descriptors: (N, 128) uint8, `LEVELS` times RootSIFT.
        box: of the object [m].
        found_again: share of drawn, lit and noisy views in which the object was found by these features.
    """

    points: np.ndarray
    normals: np.ndarray
    tangents: np.ndarray
    extents: np.ndarray
    descriptors: np.ndarray
    box: BoundingBox
    found_again: float = 0.0

    @classmethod
    def of(cls, surface: SurfaceFeatures, box: BoundingBox) -> PrintFeatures:
        """Packed; not tried yet."""
        places = (surface.points - box.low) / np.maximum(box.size, 1e-9)
        return cls(
            np.uint16(np.clip(np.rint(places * 65_535), 0, 65_535)),
            np.int8(np.rint(127 * surface.normals)),
            np.int8(np.rint(127 * surface.tangents)),
            np.float32(surface.extents),
            np.uint8(np.clip(np.rint(LEVELS * surface.descriptors), 0, 255)),
            box,
        )

    @property
    def carried(self) -> bool:
        """Whether the print carries the object: features alone find it in many views."""
        return self.found_again >= MIN_FOUND

    @property
    def diameter(self) -> float:
        """Length of the diagonal of the box [m]."""
        return float(np.linalg.norm(self.box.size))

    @cached_property
    def surface(self) -> SurfaceFeatures:
        """The features as numbers."""
        points = self.box.low + self.points / 65_535 * self.box.size
        units = (unit(np.float64(each)) for each in (self.normals, self.tangents, self.descriptors))
        normals, tangents, descriptors = units
        return SurfaceFeatures(points, normals, tangents, np.float64(self.extents), np.float32(descriptors))

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file keeps of it."""
        frame = np.array([*self.box.low, *self.box.high, self.found_again], np.float64)
        return {"version": np.array([VERSION], np.int32), "frame": frame} | {key: getattr(self, key) for key in TYPES}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], where: str) -> PrintFeatures:
        """As a file keeps it.

        Raises:
            UserError: it is of another version, or damaged.
        """
        version = int(np.ravel(arrays.get("version", [0]))[0])
        if version != VERSION:
            raise UserError(f"{where}: features of version {version}, this release reads {VERSION}; {REMEDY}")
        try:
            return cls._checked(arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{where}: damaged features ({error}); {REMEDY}") from error

    @classmethod
    def _checked(cls, arrays: Mapping[str, np.ndarray]) -> PrintFeatures:
        own = {key: np.asarray(arrays[key]) for key in TYPES}
        count = len(own["points"])
        for key, (kind, columns) in TYPES.items():
            shape = (count, columns) if columns else (count,)
            if own[key].dtype != kind or own[key].shape != shape:
                raise ValueError(f"{key} {own[key].dtype} {own[key].shape}")
        if count > MAX_FEATURES:
            raise ValueError(f"{count} features, at most {MAX_FEATURES}")
        if not (np.isfinite(own["extents"]) & (own["extents"] > 0)).all():
            raise ValueError("extents that are not above 0")
        frame = np.asarray(arrays["frame"], float)
        if frame.shape != (7,) or not np.isfinite(frame).all() or not (frame[3:6] >= frame[:3]).all():
            raise ValueError("its box is none")
        if not 0 <= frame[6] <= 1:
            raise ValueError(f"found again in a share of {frame[6]:g}")
        return cls(**own, box=BoundingBox(frame[:3], frame[3:6]), found_again=float(frame[6]))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (N, D) brought to length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
