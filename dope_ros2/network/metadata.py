"""What a weights file says of itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import NamedTuple

from dope_ros2 import __version__
from dope_ros2.common.errors import short
from dope_ros2.network.belief_maps import MapSpec
from dope_ros2.network.calibration import PeakCalibration, RefinedScoreModel, ScoreModel
from dope_ros2.network.channels import STRIDE
from dope_ros2.objects.object_model import MAX_NAME_LENGTH

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MAX_OBJECTS, MAX_IMAGE_SIDE = 1000, 4096  # objects of a network, images [px] that it is given
MAX_NUMBER = 1e6  # any number of the metadata from zero
MAX_DISTANCE_BIAS = 0.5  # of a distance
FILE_KEYS = {  # what fields are called in files; those that exist keep their keys, and either name is read
    "score_model": "trust",
    "sigma_scale": "spread",
    "shrinkage": "inward",
    "sigma_sure": "sure",
    "sigma_slope": "unsure",
}
FIELDS = {key: name for name, key in FILE_KEYS.items()}
MEASURED = {"calibration": PeakCalibration, "score_model": ScoreModel, "refined_score_model": RefinedScoreModel}


class Conventions(NamedTuple):
    """What images and maps mean to a network; whoever goes on training it keeps to them.

    Attributes:
        mean, std, origin, sigma, affinity: see `Metadata`.
    """

    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    origin: float = (STRIDE - 1) / 2
    sigma: float = MapSpec.sigma
    affinity: str = MapSpec.affinity


@dataclass(frozen=True, kw_only=True)
class TrainedObject:
    """An object as it was when the weights were trained.

    Attributes:
        size, centre: of its cuboid in the mesh's frame [m].
        distance_bias: its poses come out too far by at least this share of the distance; `dope calibrate` measures it.
    """

    name: str
    size: tuple[float, float, float]
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    distance_bias: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a weights file says of itself.

    Attributes:
        architecture: a key of `architectures.ARCHITECTURES`.
        objects: in the order of the network's outputs.
        mean, std: normalisation of RGB in [0, 1].
        sigma: standard deviation of the belief targets [cells].
        affinity: kind of affinity, see `belief_maps.MapSpec`.
        origin: pixel at which the centre of map cell (0, 0) lies, in x and y [px].
        calibration: how the peaks of its maps err.
        score_model: what scores and ellipsoids are made with.
        refined_score_model: the same of poses that were compared with the photograph.
        input_height: height to which images are scaled for inference [px]; 0 keeps their own.
        crop: side of the crops of the training [px], in which objects span a third to all; 0 when that is not known.
        data, training: summaries in words and figures.
    """

    architecture: str
    objects: tuple[TrainedObject, ...]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    stride: int = STRIDE
    sigma: float = MapSpec.sigma
    affinity: str = MapSpec.affinity
    origin: float = (STRIDE - 1) / 2
    input_height: int = 480
    crop: int = 0
    calibration: PeakCalibration = field(default_factory=PeakCalibration)
    score_model: ScoreModel = field(default_factory=ScoreModel)
    refined_score_model: RefinedScoreModel = field(default_factory=RefinedScoreModel)
    data: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    licence: str = "Apache-2.0"
    code_version: str = __version__

    def __post_init__(self) -> None:
        numbers = [*self.mean, *self.std, self.sigma, self.origin, *vars(self.calibration).values()]
        numbers += [*vars(self.score_model).values(), *vars(self.refined_score_model).values()]
        numbers += [v for o in self.objects for v in (*o.size, *o.centre, o.distance_bias)]
        names = [o.name for o in self.objects if isinstance(o.name, str) and len(o.name) <= MAX_NAME_LENGTH]
        if not 1 <= len(names) == len(self.objects) <= MAX_OBJECTS:
            raise ValueError(f"{len(self.objects)} objects, of which 1 to {MAX_OBJECTS} and their names are needed")
        if not all(isinstance(number, int | float) and abs(number) <= MAX_NUMBER for number in numbers):
            raise ValueError(f"a number is none: {short(numbers)}")
        if {len(self.mean), len(self.std), *(len(v) for o in self.objects for v in (o.size, o.centre))} != {3}:
            raise ValueError("mean, std, size and centre have three numbers each")
        if min(*self.std, self.sigma, *(edge for o in self.objects for edge in o.size)) <= 0:
            raise ValueError("std, sigma and sizes are above 0")
        if max(abs(o.distance_bias) for o in self.objects) > MAX_DISTANCE_BIAS:
            raise ValueError(f"distance_bias is at most {MAX_DISTANCE_BIAS} of the distance")
        if self.stride != STRIDE or self.affinity not in ("unit", "offset"):
            raise ValueError(f"stride {self.stride!r} and affinity {self.affinity!r}")
        for height in (self.input_height, self.crop):
            if not isinstance(height, int) or not 0 <= height <= MAX_IMAGE_SIDE:
                raise ValueError(f"input_height and crop are from 0 to {MAX_IMAGE_SIDE}, not {height!r}")

    @property
    def map_spec(self) -> MapSpec:
        """How the maps are drawn and read."""
        return MapSpec(stride=self.stride, sigma=self.sigma, affinity=self.affinity)

    @property
    def conventions(self) -> Conventions:
        """What images and maps mean."""
        return Conventions(self.mean, self.std, self.origin, self.sigma, self.affinity)

    def to_json(self) -> str:
        """As it stands in a weights file."""
        entry = asdict(self)
        measured = {name: _renamed(entry[name], FILE_KEYS) for name in MEASURED}
        return json.dumps(_renamed(entry | measured, FILE_KEYS))

    @classmethod
    def from_json(cls, text: str) -> Metadata:
        """Rebuild from the JSON in a weights file."""
        entry = _renamed(json.loads(text), FIELDS)
        known = {f.name for f in fields(cls)}
        entry = {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items() if key in known}
        entry["objects"] = tuple(
            TrainedObject(
                name=o["name"],
                size=tuple(o["size"]),
                centre=tuple(o["centre"]),
                distance_bias=o.get("distance_bias", 0.0),
            )
            for o in entry["objects"]
        )
        for name, kind in MEASURED.items():
            entry[name] = kind(**_renamed(entry.get(name, {}), FIELDS))
        return cls(**entry)


def _renamed(entry: dict, names: dict[str, str]) -> dict:
    """The entry with other names for some of its keys."""
    renamed = {names.get(key, key): value for key, value in entry.items()}
    if len(renamed) < len(entry):
        raise ValueError(f"a field stands twice, under two names: {sorted(entry)}")
    return renamed
